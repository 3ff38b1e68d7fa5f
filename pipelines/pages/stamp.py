"""What every published page says about itself."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipelines.pages import words


@dataclass(frozen=True)
class Stamp:
    """Where a publication comes from. `as_of` and `data_as_of` are aware times, shown in `zone`.

    feed_ages: for each feed, the hours between its newest row and `as_of`; NaN where it never came.
    active_days: how far back a contact by the team is looked for.
    notes: sentences a reader must see before the list (a feed is late, the list is yesterday's).
    good_until: the wall-clock time of the next morning from which these lists are out of date.
    """

    as_of: datetime
    data_as_of: datetime
    model_version: str
    trust: str
    simulated: bool
    zone: str
    feed_ages: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    active_days: int = 90
    good_until: time = time(8, 0)

    def __post_init__(self) -> None:
        if self.as_of.tzinfo is None or self.data_as_of.tzinfo is None:
            message = "A stamp's as_of and data_as_of must carry a time zone; at least one has none. Give aware times."
            raise ValueError(message)

    @property
    def date(self) -> str:
        """The local calendar day of `as_of`, as 2026-02-03."""
        return self.as_of.astimezone(ZoneInfo(self.zone)).date().isoformat()

    @property
    def valid_until(self) -> datetime:
        """From when on the lists are out of date, whether or not newer ones have come."""
        there = ZoneInfo(self.zone)
        tomorrow = self.as_of.astimezone(there).date() + timedelta(days=1)
        return datetime.combine(tomorrow, self.good_until, tzinfo=there)

    @property
    def valid_words(self) -> str:
        """`valid_until` as a reader says it: Wednesday 04-Feb-2026, 08:00."""
        until = words.moment(self.valid_until, self.zone)
        return words.weekday(self.valid_until, self.zone) + " " + until.replace(" ", ", ")

    @property
    def day(self) -> str:
        """The local calendar day of `as_of`, as a reader says it: Tuesday 03-Feb-2026."""
        return words.weekday(self.as_of, self.zone) + " " + words.date(self.as_of, self.zone)

    @property
    def when(self) -> str:
        """`day` with the time: Tuesday 03-Feb-2026, 06:00."""
        return words.weekday(self.as_of, self.zone) + " " + self.as_of_words.replace(" ", ", ")

    @property
    def as_of_words(self) -> str:
        return words.moment(self.as_of, self.zone)

    @property
    def data_words(self) -> str:
        return words.moment(self.data_as_of, self.zone)

    @property
    def not_seen(self) -> str:
        """What is said of someone with no contact by the team in `active_days`."""
        return f"not seen by this team in {words.count(self.active_days, 'day')}"

    @property
    def feeds(self) -> tuple[tuple[str, str], ...]:
        """For each feed, what to call it and its age in words."""
        return tuple((f"{words.label(name)} feed", words.age_of_feed(hours)) for name, hours in self.feed_ages)
