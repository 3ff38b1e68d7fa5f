"""The deployments as data: what runs when, by the wall clock, and that every entry point is there."""

import ast
import asyncio
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LONDON = ZoneInfo("Europe/London")
FILE = yaml.safe_load((ROOT / "configs" / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS = {one["name"]: one for one in FILE["deployments"]}


def flows():
    """The functions of the flows module that are flows."""
    tree = ast.parse((ROOT / "pipelines" / "flows.py").read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Call) and getattr(d.func, "id", "") == "flow" for d in node.decorator_list)
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_deployment_is_of_a_flow_in_the_pool_and_takes_the_service_from_the_environment(name):
    one = DEPLOYMENTS[name]
    module, function = one["entrypoint"].rsplit(".", 1)
    assert module == "pipelines.flows"
    assert function in flows()
    assert one["work_pool"] == {"name": "minus-nine"}
    assert one["parameters"] == {"config": "{{ $MINUSNINE_CONFIG }}", "workspace": "{{ $MINUSNINE_WORKSPACE }}"}
    assert all(schedule["timezone"] == "Europe/London" for schedule in one.get("schedules", []))


def test_what_has_changed_is_looked_at_weekly():
    assert DEPLOYMENTS["weekly"]["entrypoint"] == "pipelines.flows.monitor"
    assert [one["cron"] for one in DEPLOYMENTS["weekly"]["schedules"]] == ["0 9 * * 1"]


def test_nothing_promotes_by_itself():
    assert "schedules" not in DEPLOYMENTS["by-hand"]
    assert DEPLOYMENTS["by-hand"]["entrypoint"] == "pipelines.flows.promote"
    scheduled = {one["entrypoint"] for one in DEPLOYMENTS.values() if one.get("schedules")}
    assert "pipelines.flows.promote" not in scheduled


@pytest.mark.parametrize("night", [date(2026, 3, 28), date(2026, 10, 24), date(2026, 1, 12)])
def test_the_morning_is_tried_after_the_cut_by_the_wall_clock_whatever_the_night(night):
    """As Prefect's own scheduler reads the hours; two of the nights have 23 and 25 hours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from prefect.server.schemas.schedules import CronSchedule
    eve = datetime.combine(night, time(18), LONDON)
    span = {"n": 50, "start": eve.astimezone(UTC), "end": (eve + timedelta(days=1)).astimezone(UTC)}
    schedules = [CronSchedule(**schedule) for schedule in DEPLOYMENTS["morning"]["schedules"]]
    with ThreadPoolExecutor(1) as apart:  # a browser's tests leave a loop running in this thread
        found = [apart.submit(asyncio.run, schedule.get_dates(**span)).result() for schedule in schedules]
    moments = [moment for dates in found for moment in dates]
    clock = sorted(moment.astimezone(LONDON).strftime("%H:%M") for moment in moments)
    assert clock == ["06:10", "06:30", "06:50", *(f"{hour:02}:10" for hour in range(7, 13))]
