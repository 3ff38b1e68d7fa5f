"""The catalogue: names derived, sentences filled, and wrong words refused with their place."""

import math
import re
from pathlib import Path

import pytest

from features.catalogue import fill, load_catalogue
from features.errors import ConfigError, ContractError
from features.states import Learned, learned_in, with_learned, without_learned
from features.table import Contract

COMMUNITY = Path(__file__).parents[2] / "configs" / "features" / "community.yaml"
GOOD = """
events:
  visit: {table: contacts, where: seen}
families:
  visits:
    title: Visits
    features:
      - {count: visit, days: [7, 30], direction: up}
      - {days_since: visit, days: 90}
      - {person: age}
    sentences:
      - {when: [count_visit_7d], say: "{count_visit_7d:visit} in 7 days"}
      - {known: [days_since_visit_90d], say: "a visit {days_since_visit_90d:ago}"}
      - {say: no visit, reassures: true}
"""


STATES = (
    GOOD.replace(
        "families:",
        """  pulse: {table: observations, where: "code = 'pulse'", value: value}
  stay: {table: stays}
states: {admission: stay, counts: [visit], readings: [pulse], number: 2}
families:""",
    )
    .replace(
        "      - {person: age}",
        """      - {person: age}
      - {evidence: visit}""",
    )
    .replace(
        "families:",
        """families:
  course:
    title: Course
    features: [{log_odds: stay, within: [9, 30], direction: up}]
    sentences: [{say: all}]""",
    )
)
LEARNED = Learned(
    initial=(0.5, 0.5),
    home=(0.5, 0.5),
    transitions=((0.9, 0.1), (0.1, 0.9)),
    counts=((0.1, 0.2),),
    marks=(),
    readings=((0.0, 1.0),),
    hazard=(0.01, 0.02),
    heard=((1.0,) * 31,),
    usual=((1.0, 1.0, 1.0),),
    pace=((0.1, 1.0),),
)


def test_features_of_states_are_named_by_what_they_say():
    names = load_catalogue(STATES, "c").contract.names
    assert names[:2] == ["log_odds_stay_within_9d", "log_odds_stay_within_30d"]
    assert names[-1] == "evidence_visit"
    assert load_catalogue(STATES, "c").longest == 365, "own usual readings are those of a year"


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("counts: [visit]", "counts: [visits]", "states: 'visits' is not a known event"),
        ("value: value}", "words: pulses}", "readings must be events with a value"),
        ("stay, counts: [visit], readings: [pulse]", "pulse, counts: [visit]", "the admission one of stays"),
        ("log_odds: stay", "log_odds: visit", "'visit' is not a known admission of the states"),
        ("evidence: visit", "evidence: age", "'age' is not a known event"),
        ("{evidence: visit}", "{evidence: visit, days: 3}", "evidence must say no more; found days"),
        ("within: [9, 30]", "days: 9", "log_odds must say within; found days"),
        ("within: [9, 30]", "within: [9, 0]", "must have days of 1 or more"),
        ("counts: [visit]", "counts: []", "at least 1 item"),
        ("counts: [visit]", "counts: [visit, stay]", "an event must be named once"),
        ("{evidence: visit}", "{log_odds: stay, within: 3}", "one family to themselves"),
        ("states: {", "other: {", "other: Extra inputs are not permitted"),
        ("number: 2", "number: 1", "greater than or equal to 2"),
    ],
)
def test_states_that_cannot_be_are_refused(line, other, message):
    assert line in STATES
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_catalogue(STATES.replace(line, other), "c")


def test_what_states_have_learned_is_a_line_of_the_catalogue():
    text = with_learned(STATES, LEARNED.model_dump_json())
    assert load_catalogue(text, "c").learned == LEARNED
    assert Learned.model_validate_json(learned_in(text)) == LEARNED
    assert load_catalogue(without_learned(text), "c").contract == load_catalogue(STATES, "c").contract
    assert learned_in(STATES) == ""
    with pytest.raises(ConfigError, match="learned: the numbers must be of the states"):
        load_catalogue(text.replace("number: 2", "number: 3"), "c")
    with pytest.raises(ConfigError, match="must say what they are of"):
        load_catalogue(with_learned(GOOD, LEARNED.model_dump_json()), "c")


def test_names_are_derived():
    assert load_catalogue(GOOD, "c").contract.names == [
        "count_visit_7d",
        "count_visit_30d",
        "days_since_visit_90d",
        "age",
    ]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("{decayed: visit, half_life: [2, 8]}", ["decayed_visit_2d", "decayed_visit_8d"]),
        ("{ratio: visit, days: 14, against: 90}", ["ratio_visit_14d_against_90d"]),
        ("{decayed_excess: visit, half_life: 2, against: 90}", ["decayed_excess_visit_2d_against_90d"]),
        ("{run: missed, until: visit, days: 90}", ["run_missed_until_visit_90d"]),
        ("{share: missed, among: visit, days: 90}", ["share_missed_among_visit_90d"]),
        ("{open: referral}", ["open_referral"]),
    ],
)
def test_names_say_all_that_a_feature_takes(line, names):
    more = "  missed: {table: contacts}\n  referral: {table: referrals}\nfamilies:"
    text = GOOD.replace("families:", more, 1).replace("- {person: age}", f"- {line}")
    assert load_catalogue(text, "c").contract.names[3:] == names


@pytest.mark.parametrize(
    "where", ["status in (medium, 'attended')", "status = medium", "status in ('attended')", "status == 'planned'"]
)
def test_conditions_that_compare_with_known_codes_or_other_columns_are_taken(where):
    assert load_catalogue(GOOD.replace("where: seen", f'where: "{where}"'), "c").events["visit"].where == where


def test_the_fingerprint_follows_what_the_features_mean():
    one = load_catalogue(GOOD, "c").contract.fingerprint
    assert one == load_catalogue(GOOD, "elsewhere").contract.fingerprint
    assert one != load_catalogue(GOOD.replace("where: seen", "where: not seen"), "c").contract.fingerprint
    assert one != load_catalogue(GOOD.replace("[7, 30]", "[30, 7]"), "c").contract.fingerprint
    assert one == load_catalogue(GOOD.replace("title: Visits", "title: Calls"), "c").contract.fingerprint


@pytest.mark.parametrize(
    ("good", "bad", "clause"),
    [
        (
            "count: visit, days: [7",
            "count: visitt, days: [7",
            "families.visits: 'visitt' is not a known event; did you mean 'visit'?",
        ),
        ("{person: age}", "{person: agee}", "did you mean 'age'?"),
        ("{days_since: visit", "{days_sence: visit", "families.visits.features.1"),
        ("days: 90", "days: 0", "days of 1 or more"),
        ("where: seen", "where: seeen", "events.visit"),
        ("table: contacts", "table: contact", "events.visit.table"),
        (
            "where: seen",
            "where: status == 'atended'",
            "'atended' is not a known code of status; did you mean 'attended'",
        ),
        (
            "where: seen",
            "at: occured_at",
            "events.visit.at: 'occured_at' is not a known moment of contacts",
        ),
        (
            "where: seen",
            "where: status='no_acess'",
            "'no_acess' is not a known code of status; did you mean 'no_access'",
        ),
        ("where: seen", "where: \"medium not in ('video', 'fone')\"", "events.visit.where: 'fone' is not a known code"),
        ("when: [count_visit_7d]", "when: [count_visit_8d]", "did you mean 'count_visit_7d'?"),
        ("{count_visit_7d:visit}", "{count_visits_7d:visit}", "did you mean 'count_visit_7d'?"),
        ("- {person: age}", "- {person: age}\n      - {person: age}", "found twice: age"),
        ("title: Visits", "title: Visits\n    colour: red", "families.visits.colour"),
        ("- {person: age}", "- {share: visit, days: 7}", "share must say days and among; found days"),
        ("- {person: age}", "- {count: visit, days: 7, among: visit}", "count must say days; found days, among"),
        ("- {person: age}", "- {change: visit, days: 30, against: 7}", "fewer of them than it has against"),
        ("- {person: age}", "- {decayed: visit, half_life: 0}", "days of 1 or more"),
        (
            "- {person: age}",
            "- {decayed_excess: visit, half_life: 8, against: 90}",
            "fewer of them than it has against",
        ),
        (
            "- {person: age}",
            "- {open: visit}",
            "open must be of an event in referrals or stays; 'visit' is of contacts",
        ),
        ("- {person: age}", "- {counts: visit, days: 7}", "found counts; did you mean 'count'?"),
    ],
)
def test_what_a_catalogue_cannot_mean_is_refused_with_the_place(good, bad, clause):
    assert good in GOOD
    with pytest.raises(ConfigError, match="my catalogue") as error:
        load_catalogue(GOOD.replace(good, bad), "my catalogue")
    assert clause in str(error.value)


@pytest.mark.parametrize(
    ("template", "value", "words"),
    [
        ("{x:visit}", 1, "1 visit"),
        ("{x:visit}", 3, "3 visits"),
        ("{x:visit with no answer}", 2, "2 visits with no answer"),
        ("{x:attendance to the emergency department}", 2, "2 attendances to the emergency department"),
        ("{x}", 2.04, "2"),
        ("{x}", 2.26, "2.3"),
        ("{x:ago}", 0.2, "today"),
        ("{x:ago}", 0.3, "yesterday"),
        ("{x:ago}", 1.2, "yesterday"),
        ("{x:ago}", 1.9, "2 days ago"),
        ("{x:ago}", 41.2, "41 days ago"),
        ("{x}", math.nan, "no record"),
    ],
)
def test_facts_in_words(template, value, words):
    assert fill(template, {"x": value}, cut_share=0.25) == words


def test_the_first_sentence_that_fits_is_said():
    catalogue = load_catalogue(GOOD, "c")
    row = {"count_visit_7d": 0.0, "days_since_visit_90d": 40.0}
    assert catalogue.sentence("visits", row | {"count_visit_7d": 2.0}) == "2 visits in 7 days"
    assert catalogue.sentence("visits", row) == "a visit 40 days ago"
    assert catalogue.sentence("visits", row | {"days_since_visit_90d": 0.0}, cut_share=0.25) == "a visit today"


@pytest.mark.parametrize(("excess", "side"), [(3.2, "above"), (0.01, "at"), (-0.01, "at"), (-3.2, "below")])
def test_on_which_side_of_the_usual(excess, side):
    assert fill("vital signs {x:side} the usual", {"x": excess}) == f"vital signs {side} the usual"


def test_what_reassures_is_no_reason():
    row = {"count_visit_7d": 0.0, "days_since_visit_90d": math.nan}
    assert load_catalogue(GOOD, "c").sentence("visits", row) == ""


ZERO_AND_UNKNOWN = [
    {},
    {"last_news2_30d": 0.0, "mean_news2_180d": 0.0, "days_since_news2_365d": 0.3, "max_news2_14d": 9.0},
    {"days_since_news2_365d": 200.0},
    {"count_attendance_365d": 1.0, "days_since_attendance_365d": 60.0},
    {"days_since_emergency_discharge_365d": 1.0, "count_emergency_discharge_30d": 1.0, "count_emergency_365d": 1.0},
]


@pytest.mark.parametrize("given", ZERO_AND_UNKNOWN, ids=lambda given: ", ".join(given) or "nothing known")
def test_no_sentence_of_the_community_catalogue_says_less_than_is_known(given):
    """Zero is a value, not its absence; and a sentence never quotes what is not known."""
    catalogue = load_catalogue(COMMUNITY.read_text(encoding="utf-8"), "community.yaml")
    row = {info.name: 0.0 if info.empty == 0 else math.nan for info in catalogue.infos()} | given
    said = {family: catalogue.sentence(family, row, 0.25) for family in catalogue.families}
    assert not [words for words in said.values() if "no record" in words]
    if "last_news2_30d" in given:
        assert said["observations"] == "NEWS2 of 0, yesterday (own usual 0)"
    if "count_attendance_365d" in given:
        assert said["hospital"] == "1 attendance to the emergency department in a year, the last 60 days ago"
    if "count_emergency_discharge_30d" in given:
        assert said["hospital"].startswith("discharged from an emergency stay yesterday")


def test_a_contract_refuses_another_table_and_survives_json():
    import pandas as pd

    contract = load_catalogue(GOOD, "c").contract
    assert Contract.from_json(contract.to_json()) == contract
    frame = pd.DataFrame(columns=["person_id", "as_of", *contract.names])
    contract.check(frame)
    with pytest.raises(ContractError, match="age"):
        contract.check(frame.drop(columns="age"))
    with pytest.raises(ContractError):
        contract.check(frame[["as_of", "person_id", *contract.names]])
