"""Gates held against drawn histories: a quiet month passes, and each planted fault is found by its own gate."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from features.daysoff import counts_as
from models.usual import Limits, around, chance, usual
from pipelines.accounts import Account
from pipelines.config import ServiceConfig, SourceConfig
from pipelines.feeds import gaps_at
from pipelines.gates import teams as gate
from pipelines.gates.config import GatesConfig
from pipelines.gates.extracts import extract_outcomes
from pipelines.gates.feeds import gap_outcomes
from pipelines.gates.outcome import CODES, NULLS, OVERLAP, REJECTS, RISK, ROWS, STATES, Outcome, of_plain
from pipelines.gates.report import UNUSUAL, notes, refuse, team_notes, withheld
from pipelines.gates.scores import HIGH, kept_places, score_outcomes
from pipelines.gates.teams import team_outcomes
from pipelines.runs import RANKED, Run

ZONE = "Europe/London"
FIRST = date(2026, 1, 5)
DAYS = 84
GATES = GatesConfig()


def at(day: date, hour: int = 5) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)


def account(number: int, scale: float = 1.0, copies: int = 1, empty: float = 0.1, fresh: float = 0.0) -> Account:
    """A day's extract of a trust: 400 contacts on a weekday's morning and half of that after a day of rest."""
    day, chance = FIRST + timedelta(days=number), np.random.default_rng(number)
    rows = int(chance.poisson(400 * (0.5 if day.weekday() in (6, 0) else 1)) * scale)
    nulls = int(chance.binomial(rows, empty))
    strange = int(chance.binomial(rows, fresh))
    files = {"contacts.csv": {"rows": rows * copies, "rejected": rows * (copies - 1) + rows // 100}}
    codes = {"attended": rows - strange} | ({"strange": strange} if strange else {})
    told = {"rows": rows, "unknown": 0, "codes": codes}
    columns = {"contacts.csv": {"AttendanceStatus": [rows, nulls], "Contact_Date": [rows, 0]}}
    return Account("community", at(day), at(day), files, columns, {"contacts.status": told})


def of_last(*last: Account, config: GatesConfig = GATES) -> list[Outcome]:
    """What the gates say of the extracts after `DAYS` usual ones."""
    past = [account(number) for number in range(DAYS)]
    return list(extract_outcomes([*past, *last], past[-1].received_at, config, ZONE))


def failed(outcomes: list[Outcome]) -> set[str]:
    return {one.gate for one in outcomes if one.failed}


def test_a_quiet_month_of_extracts_passes_every_gate() -> None:
    every = [account(number) for number in range(DAYS)]
    found = list(extract_outcomes(every, every[-29].received_at, GATES, ZONE))
    assert {one.state for one in found} == {"passed"}
    assert sum(one.gate == ROWS for one in found) == 28


@pytest.mark.parametrize(
    ("planted", "gates"),
    [
        ({"scale": 0.5}, {ROWS}),
        ({"copies": 2}, {ROWS, REJECTS}),
        ({"empty": 1.0}, {NULLS}),
        ({"fresh": 0.3}, {CODES}),
        ({}, set()),
    ],
    ids=["half of a file missing", "a doubled file", "a column gone null", "a flood of new codes", "nothing"],
)
def test_each_planted_fault_is_found_by_its_gate(planted: dict[str, float], gates: set[str]) -> None:
    found = of_last(account(DAYS, **planted))  # type: ignore[arg-type]
    assert failed(found) == gates
    assert all(one.says for one in found if one.failed)


def test_a_column_that_is_mostly_empty_is_missed_when_it_goes_empty_for_good() -> None:
    past = [account(number, empty=0.85) for number in range(DAYS)]
    (one,) = [
        one
        for one in extract_outcomes([*past, account(DAYS, empty=1.0)], past[-1].received_at, GATES, ZONE)
        if one.gate == NULLS and one.failed
    ]
    assert one.subject == "community contacts.csv AttendanceStatus"
    assert one.says.startswith("community contacts.csv AttendanceStatus is empty in 100% of the rows; 85% is usual")


def test_a_file_that_does_not_come_at_all_has_no_rows() -> None:
    bare = account(DAYS)
    found = of_last(Account(bare.source, bare.received_at, bare.tells_until, {}, {}, {}))
    (one,) = [one for one in found if one.failed]
    assert (one.gate, one.subject, one.value) == (ROWS, "community contacts.csv", 0)


def test_what_is_delivered_again_stands_in_the_place_of_what_was_broken() -> None:
    broken, whole = account(DAYS, scale=0.5), account(DAYS)
    again = replace(whole, received_at=at(FIRST + timedelta(days=DAYS), 9))
    assert ROWS in failed(of_last(broken))
    assert failed(of_last(broken, again)) == set()


def test_after_a_pause_there_may_be_as_many_times_the_rows() -> None:
    assert failed(of_last(account(DAYS + 2, scale=3))) == set()
    assert failed(of_last(account(DAYS + 2, scale=6))) == {ROWS}


def test_too_short_a_history_is_said_and_nothing_is_passed_in_silence() -> None:
    few = [account(number) for number in range(15)]
    found = list(extract_outcomes(few, few[-2].received_at, GATES, ZONE))
    assert [(one.gate, one.state) for one in found if one.gate == ROWS] == [(ROWS, "not enough history")]
    found = list(extract_outcomes(few[:3], few[1].received_at, GATES, ZONE))
    assert {one.state for one in found} == {"not enough history"}
    assert len(found) == 4


def test_a_gate_that_is_off_says_nothing_and_a_small_file_is_not_judged_by_its_shares() -> None:
    off = GatesConfig.model_validate({"rows": {"level": "off"}, "nulls": {"level": "off"}})
    assert {one.gate for one in of_last(account(DAYS, scale=0.1), config=off)} == {REJECTS, CODES}
    assert {one.state for one in of_last(account(DAYS, scale=0.1)) if one.gate != ROWS} == {"too few rows"}


def test_a_rule_that_is_set_in_part_is_as_by_default_in_the_rest() -> None:
    rule = GatesConfig.model_validate({"rows": {"level": "warn"}}).rows
    assert (rule.level, rule.floor, rule.times) == ("warn", GATES.rows.floor, GATES.rows.times)
    with pytest.raises(ValidationError):
        GatesConfig.model_validate({"rows": {"level": "perhaps"}})


# Teams


def service() -> ServiceConfig:
    source = SourceConfig(mapping=Path("m"), path=Path("p"))
    return ServiceConfig(trust="T", features=Path("f"), sources={"community": source})


LAST_MORNING = datetime(2026, 3, 20, 6, tzinfo=UTC)
"""A Friday."""


def recordings(stopped: int = 0, small: float = 0.4, until: datetime = LAST_MORNING) -> pd.DataFrame:
    """Three teams over ten weeks, as recorded by hour: 'busy' every day, 'office' on weekdays, 'tiny' now and then.
    Nothing is recorded for 'busy' in the last `stopped` days."""
    chance, rows = np.random.default_rng(5), []
    for back in range(70, 0, -1):
        day = until - timedelta(days=back)
        many = 0 if back <= stopped else chance.poisson(30)
        few = chance.poisson(15) if day.weekday() < 5 else 0
        for team, count in (("busy", many), ("office", few), ("tiny", chance.poisson(small))):
            if count:
                rows.append((team, pd.Timestamp(day.replace(hour=16)), count))
    return pd.DataFrame(rows, columns=["team_id", "hour", "rows"]).astype({"hour": "datetime64[us, UTC]"})


def teams(seen: pd.DataFrame, as_of: datetime = LAST_MORNING, names: tuple[str, ...] = ("busy", "office", "tiny")):
    return {one.subject: one for one in team_outcomes(seen, names, as_of, service())}


def test_teams_that_record_as_they_are_used_to_pass() -> None:
    for back in range(28):
        as_of = LAST_MORNING - timedelta(days=back)
        seen = recordings()
        found = teams(seen[seen["hour"] <= as_of], as_of)
        assert {name: one.state for name, one in found.items()} == dict.fromkeys(("busy", "office", "tiny"), "passed")


def test_the_team_whose_feed_stopped_is_found_and_no_other() -> None:
    found = teams(recordings(stopped=2))
    assert {name for name, one in found.items() if one.failed} == {"busy"}
    assert found["busy"].value == 48
    assert found["busy"].says.startswith("Nothing has been recorded for team busy for 48 hours longer than for")
    assert withheld(found.values()) == {"busy": found["busy"].says}


def test_a_team_stays_held_back_however_long_its_feed_has_been_silent() -> None:
    assert all(teams(recordings(stopped=days))["busy"].failed for days in (3, 10, 35))


def test_a_service_whose_whole_feed_stopped_holds_no_team_back() -> None:
    seen = recordings()
    assert not any(one.failed for one in teams(seen[seen["hour"] < LAST_MORNING - timedelta(days=4)]).values())


@pytest.mark.parametrize("seed", range(5))
def test_what_was_recorded_before_the_look_back_changes_nothing(seed: int) -> None:
    """A year of records of teams that are busy, fell silent (before the look-back too), or record now and then."""
    chance, config, names = np.random.default_rng(seed), service(), ("busy", "silent", "gone", "rare", "never")
    days = {
        "busy": 365 * chance.random(3000),
        "silent": 365 - chance.random(900) * 300,
        "gone": 200 + chance.random(90),
    }
    days["rare"] = 365 * chance.random(12)
    known = [(team, LAST_MORNING - timedelta(days=float(day))) for team, some in days.items() for day in some]
    contacts = pa.table(
        {
            "team_id": pa.array([team for team, _ in known]).dictionary_encode(),
            "known_from": pa.array([moment for _, moment in known], pa.timestamp("us", tz="UTC")),
        }
    )
    whole = gate.recordings(contacts, datetime(2000, 1, 1, tzinfo=UTC))
    part = gate.recordings(contacts, gate.looked_back_to(LAST_MORNING, config))
    assert part.groupby("team_id")["rows"].sum()["gone"] < whole.groupby("team_id")["rows"].sum()["gone"]
    assert set(part["team_id"]) == {"busy", "silent", "gone", "rare"}
    assert teams(part, names=names) == teams(whole, names=names)


def test_a_bank_holiday_is_no_silence() -> None:
    """Good Friday and Easter Monday 2026 are 3 and 6 April; the office team is away from the 3rd to the 6th."""
    tuesday = datetime(2026, 4, 7, 5, tzinfo=UTC)
    seen = recordings(until=tuesday)
    rest = (seen["team_id"] == "office") & seen["hour"].dt.date.isin([date(2026, 4, 3), date(2026, 4, 6)])
    assert teams(seen[~rest], tuesday)["office"].state == "passed"
    assert counts_as(date(2026, 4, 7)) == 0
    assert counts_as(date(2026, 3, 31)) == 1


def test_a_new_team_has_not_enough_history() -> None:
    assert teams(recordings(), names=("nobody",))["nobody"].state == "not enough history"


# Scores


def ranking(shift: float = 1.0, seed: int = 1, turned: bool = False) -> pd.DataFrame:
    risk = np.sort(np.clip(np.random.default_rng(seed).beta(0.6, 30, 600) * shift, 0, 1))[::-1]
    shaken = np.arange(600, 0, -1) + np.random.default_rng(seed).normal(0, 12, 600)
    order = np.argsort(shaken if turned else -shaken)
    frame = pd.DataFrame({"team_id": "north", "person_id": order, "risk": risk, "rank": np.arange(1, 601)})
    return frame.assign(listed=frame["rank"] <= 30)


def days(tmp_path: Path, count: int) -> list[Run]:
    """Runs day after day, each with what the gates found."""
    found: list[Run] = []
    for number in range(count):
        day = FIRST + timedelta(days=number)
        ranked = ranking(seed=number)
        gates = [vars(one) for one in score_outcomes(ranked, found, day, GATES)]
        folder = tmp_path / day.isoformat()
        folder.mkdir()
        ranked.to_parquet(folder / RANKED)
        found.append(Run(folder, {"day": day.isoformat(), "version": 1, "gates": gates}))
    return found


def test_quiet_days_pass_and_shifted_scores_and_a_turned_list_do_not(tmp_path: Path) -> None:
    runs = days(tmp_path, 30)
    today = FIRST + timedelta(days=30)
    states = {one["state"] for run in runs[11:] for one in run.told["gates"]}
    assert states == {"passed"}
    assert {one.state for one in of_plain(runs[5].told["gates"])} == {"not enough history"}
    assert failed(list(score_outcomes(ranking(seed=99), runs, today, GATES))) == set()
    assert failed(list(score_outcomes(ranking(shift=2, seed=99), runs, today, GATES))) == {RISK}
    assert failed(list(score_outcomes(ranking(seed=99, turned=True), runs, today, GATES))) == {OVERLAP}
    later = list(score_outcomes(ranking(seed=99, turned=True), runs, today + timedelta(days=1), GATES))
    assert [one.state for one in later if one.gate == OVERLAP] == ["not enough history"]


@pytest.mark.parametrize(("people", "state"), [(3, "passed"), (19, "passed"), (24, "failed")])
def test_a_few_people_at_high_risk_where_there_were_none_hold_no_list_back(people: int, state: str) -> None:
    past = Run(Path(), {"gates": [vars(outcome_of_none_at_high_risk())]})
    risks = np.r_[np.full(people, 0.3), np.full(600 - people, 0.01)]
    ranked = ranking(seed=1).assign(risk=risks)
    only_risk = GATES.model_copy(update={"overlap": GATES.overlap.model_copy(update={"level": "off"})})
    found = score_outcomes(ranked, [past] * 20, FIRST, only_risk)
    assert [one.state for one in found if one.subject == HIGH] == [state]


def outcome_of_none_at_high_risk() -> Outcome:
    quiet = ranking(seed=1).assign(risk=0.01)
    return next(one for one in score_outcomes(quiet, [], FIRST, GATES) if one.subject == HIGH)


def test_a_smaller_capacity_turns_no_list_over() -> None:
    yesterday, today = ranking(seed=1), ranking(seed=1)
    assert kept_places(yesterday, today.assign(listed=today["rank"] <= 10)) == (10, 10)
    gone = today[today["person_id"] != yesterday["person_id"].iloc[0]]
    assert kept_places(yesterday, gone) == (29, 29)


GAP_CASES = [
    ("daily", [5, 4, 3, 2, 1, 0], "passed"),
    ("two days are missing and it goes on", [5, 4, 3, 0], "failed"),
    ("they have come since", [5, 4, 3, 0, 2, 1], "passed"),
    ("two days were missing long ago", [30, 27, *range(26, -1, -1)], "passed"),
    ("it has just begun", [0], "not enough history"),
]


@pytest.mark.parametrize(("days_ago", "state"), [case[1:] for case in GAP_CASES], ids=[case[0] for case in GAP_CASES])
def test_a_feed_that_leaves_days_out_and_goes_on(days_ago: list[int], state: str) -> None:
    as_of = at(FIRST, 6)
    until = [pd.Timestamp(as_of - timedelta(days=back, hours=1)) for back in days_ago]
    ledger = pd.DataFrame({"source": "contacts", "received_at": until, "covers_to": until, "rows": 9})
    config = ServiceConfig(
        trust="Invented",
        features=Path("none.yaml"),
        sources={"contacts": SourceConfig(mapping=Path("m.yaml"), path=Path("p"), late_after_hours=36)},
    )
    (found,) = gap_outcomes(gaps_at(ledger, config, as_of), config)
    assert (found.state, found.blocks) == (state, False)
    assert ("72 hours" in found.says) == (state == "failed")


# Words and levels


def outcome(gate: str, level: str) -> Outcome:
    return Outcome(gate, "x", level, "failed", says=f"{gate} at {level}.")


def test_what_blocks_what_is_noted_and_what_only_a_team_is_told() -> None:
    found = [outcome(RISK, "warn"), outcome("team feed", "warn"), outcome("team feed", "block")]
    refuse(found)
    assert notes(found) == (f"{UNUSUAL} risk at warn.",)
    assert team_notes(found) == {"x": (f"{UNUSUAL} team feed at warn.",)}
    assert withheld(found) == {"x": "team feed at block."}
    with pytest.raises(Exception, match="rows at block") as told:
        refuse([*found, outcome(ROWS, "block"), outcome("late feed", "block")])
    assert told.value.exit_code == 13  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="late feed at block") as told:
        refuse([outcome("late feed", "block")])
    assert told.value.exit_code == 7  # type: ignore[attr-defined]


def test_limits_lie_as_far_from_the_middle_as_the_spread_says_but_for_a_floor() -> None:
    found = usual([10, 12, 11, 9, 50])
    assert found is not None
    assert (found.centre, found.count) == (11, 5)
    assert around(found, 2, 0) == Limits(11 - 2 * found.spread, 11 + 2 * found.spread)
    assert around(found, 2, 30) == Limits(-19, 41)
    assert not Limits(0, 1).hold(float("nan"))
    assert usual([float("nan")]) is None
    assert chance(0.0, 100) > 0
    assert set(STATES) == {"passed", "failed", "not enough history", "too few rows"}
