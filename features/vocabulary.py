"""The words a catalogue may use: what each aggregate is, and each fact about the person and the day."""

from dataclasses import dataclass

FADED_AFTER = 12
"""Half-lives after which an event no longer counts: less than 1/4096 of it is left."""


@dataclass(frozen=True)
class Aggregate:
    """One aggregate.

    says: what it is in words; {of}, {among}, {until}, {days}, {against}, {half_life} and {within} stand for a
    feature's own.
    empty: the value where nothing happened (null: unknown). takes: what a feature of it must say beside its event.
    """

    says: str
    empty: float | None
    takes: tuple[str, ...] = ("days",)


AGGREGATES = {
    "count": Aggregate("number of {of}", 0.0),
    "distinct_days": Aggregate("number of calendar days that have {of}", 0.0),
    "rate": Aggregate("{of} per day, over the part of the window in which anything is known of the person", 0.0),
    "ratio": Aggregate(
        "{of} in {days} days against the number expected from the last {against}, corrected for how long the person "
        "has been known; about 1 is as usual",
        0.5,
        ("days", "against"),
    ),
    "decayed": Aggregate(
        "{of}, each counting 1 when it occurs and half as much every {half_life} days", 0.0, ("half_life",)
    ),
    "share": Aggregate("share of {among} that are {of}", None, ("days", "among")),
    "run": Aggregate("{of} in a row: those since the last of {until}", 0.0, ("days", "until")),
    "days_since": Aggregate("days since the last of {of}", None),
    "days_since_first": Aggregate("days since the first of {of} within the window", None),
    "longest_gap": Aggregate("longest time between two of {of} in succession, in days", None),
    "cadence": Aggregate(
        "time since the last of {of}, in units of the person's own mean gap; about 1 is when due", None
    ),
    "sum": Aggregate("sum of the values of {of}", 0.0),
    "mean": Aggregate("mean value of {of}", None),
    "min": Aggregate("least value of {of}", None),
    "max": Aggregate("greatest value of {of}", None),
    "first": Aggregate("first value of {of} within the window", None),
    "last": Aggregate("last value of {of}", None),
    "change": Aggregate("last value of {of} less the person's own mean over {against} days", None, ("days", "against")),
    "slope": Aggregate("change of the value of {of} per day, by the straight line of least squares", None),
    "decayed_mean": Aggregate(
        "mean value of {of}, each weighing half as much every {half_life} days", None, ("half_life",)
    ),
    "decayed_excess": Aggregate(
        "how far the values of {of} lie above the person's own mean over {against} days, all of them together, each "
        "counting half as much every {half_life} days",
        0.0,
        ("half_life", "against"),
    ),
    "open": Aggregate("number of {of} that have begun and not ended", 0.0, ()),
    "team_share": Aggregate(
        "share of {among} by the person's teams on whose day they recorded {of}", None, ("days", "among")
    ),
    "log_odds": Aggregate(
        "log-odds of one of {of} within {within} days ahead, by hidden states that were learned at training",
        None,
        ("within",),
    ),
    "evidence": Aggregate(
        "what {of} say, by hidden states, for an emergency admission within nine days: how much likelier the days with "
        "and without them are before one than otherwise, in logarithms",
        None,
        (),
    ),
}
"""`team_share` is made over all of a team's people, the rest of the person's own events."""

PERSONAL = {
    "age": "age in whole years",
    "female": "1 female, 0 male",
    "deprivation_decile": "Index of Multiple Deprivation decile of the home area; 1 is most deprived",
    "care_home": "1 where the person lives in a care home, 0 where not",
    "days_on_caseload": "days since the oldest open referral was received",
    "open_referrals": "number of open referrals",
    "weekday": "day of the week of the cut; 1 is Monday",
    "season_cos": "time of year, as the cosine of its angle; 1 at New Year",
    "season_sin": "time of year, as the sine of its angle; 1 in early April",
}
DIRECTIONS = {"up": 1, "down": -1, "none": 0}
