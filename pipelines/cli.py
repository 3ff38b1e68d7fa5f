"""The command line: reads the options, calls a step, prints what came of it, and turns errors into one sentence."""

import gc
import getpass
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import ConfigError, MinusNineError, place_of
from pipelines.cli_board import board
from pipelines.cli_operations import DEPLOYMENTS, operations
from pipelines.console import (
    DEFAULT_CONFIG,
    LOG_VARIABLE,
    AsOfOption,
    ConfigOption,
    WorkspaceOption,
    chosen_cut,
    complain,
    day_of,
    now,
    opened,
    out,
    telling,
    write_json,
)

if TYPE_CHECKING:
    from models.gate import Line

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
worlds = typer.Typer(no_args_is_help=True, help="The simulated world: check it, or play it through day by day.")
app.add_typer(operations)
app.add_typer(board, name="board")
app.add_typer(worlds, name="world")

TRACEBACK_VARIABLE = "MINUSNINE_TRACEBACK"
UNFORESEEN = 70


@app.callback()
def options(
    log: Annotated[
        str, typer.Option(envvar=LOG_VARIABLE, help="How progress and errors are told: text or json.")
    ] = "text",
) -> None:
    """Each morning: who on a community team's caseload is likely to need an emergency admission in nine days."""
    if log not in ("text", "json"):
        message = f"--log must be text or json; it is {log}. Choose one."
        raise ConfigError(message)
    write_json(log == "json")


def main() -> None:
    """The `minusnine` command. Exits with the error's own code after one sentence, never a traceback."""
    try:
        app()
    except MinusNineError as error:
        complain(" ".join([str(error), *getattr(error, "__notes__", ())]), error.exit_code)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        complain(unforeseen(error), UNFORESEEN)
        raise SystemExit(UNFORESEEN) from None
    finally:
        gc.freeze()  # as it ends, Python would look through all there is several times, which takes a second


def unforeseen(error: Exception) -> str:
    """What can be said of a fault that has no sentence of its own."""
    return (
        f"something failed that should not: {place_of(error)}. "
        f"Run `minusnine doctor`; {TRACEBACK_VARIABLE}=1 shows where it happened."
    )


def user() -> str:
    """The name of whoever runs this; ConfigError where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        message = "--by must name who decides; the system has no name for the user. Give a name or a role."
        raise ConfigError(message) from None


@app.command()
def simulate(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Write the extracts of a simulated trust: a history load, then one drop a day."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Simulating") as tell:
        summary = steps.simulate(loaded, tell)
    out.print(
        f"{summary.people:,} people, {summary.contacts:,} contacts, {summary.admissions:,} emergency admissions, "
        f"{summary.first_day} to {summary.last_day}, in {steps.workspace_of(loaded) / 'extracts'}"
    )


@app.command()
def ingest(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Take every new extract into the contact history, with a data-quality report."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Ingesting") as tell:
        done = steps.ingest(loaded, now(), tell)
    new = sum(not one.already for one in done.ingested)
    out.print(f"{new} new extracts of {len(done.ingested)}: {done.rows:,} rows kept, {done.rejected:,} rejected")
    for line in done.useless:
        out.print(line, soft_wrap=True)
    if done.report:
        out.print(f"What became of every row: {done.report}")


@app.command()
def train(config: ConfigOption = DEFAULT_CONFIG, as_of: AsOfOption = None, workspace: WorkspaceOption = None) -> None:
    """Train a model on what was known at the cut, judge it, register it as challenger (the first goes to the gate)."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Training") as tell:
        trained = steps.train(loaded, chosen_cut(loaded, as_of), tell)
    role = "champion" if trained.decision else "the challenger (`minusnine promote` puts it to the gate)"
    out.print(f"Model {trained.version} ({trained.lead} leads) is {role}: {trained.bundle}", soft_wrap=True)
    show_metrics(trained.evidence.metrics, trained.evidence.page)


@app.command()
def promote(
    config: ConfigOption = DEFAULT_CONFIG,
    workspace: WorkspaceOption = None,
    by: Annotated[str | None, typer.Option(help="Who decides, for the record (default: the user's name).")] = None,
    back: Annotated[bool, typer.Option("--back", help="Make the champion before this one champion again.")] = False,
) -> None:
    """Put the challenger to the gate, and make it champion if it passes every line; or go back to the one before."""
    loaded = opened(config, workspace)
    from pipelines import steps

    decides = by if by is not None else user()
    if back:
        was, now_is = steps.go_back(loaded, decides)
        out.print(f"Model {now_is} is champion again; model {was} is not.")
        return
    with telling("Promoting") as tell:
        decision = steps.promote(loaded, decides, tell)
    show_lines(decision.lines)
    out.print(f"Evidence: {decision.evidence.page}", soft_wrap=True)
    decision.require()
    out.print(f"Model {decision.version} is champion.")


@app.command()
def evaluate(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Judge the champion on its test period, beside simple rules, as a page, tables and metrics.json."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Evaluating") as tell:
        evidence = steps.evaluate(loaded, tell)
    show_metrics(evidence.metrics, evidence.page)


@app.command()
def prove(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Hold the champion against a simulated trust's truth: near the best there is, and no leak."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Proving") as tell:
        done = steps.prove(loaded, tell)
    show_lines(done.lines)
    for row in done.one_clock.itertuples():
        out.print(f"{row.build}: {row.measure} {row.value:.3f} ({row.low:.3f} to {row.high:.3f})")
    out.print(f"Evidence: {done.page}", soft_wrap=True)
    failed = [line.name for line in done.lines if not line.passed]
    if failed:
        complain(
            f"every line must hold against the truth; {len(failed)} of {len(done.lines)} did not: {'; '.join(failed)}. "
            "The page says by how much.",
            1,
        )
        raise SystemExit(1)


@app.command()
def backtest(
    config: ConfigOption = DEFAULT_CONFIG, as_of: AsOfOption = None, workspace: WorkspaceOption = None
) -> None:
    """Repeat training and judging at earlier cuts, each with what was known then; registers nothing."""
    loaded = opened(config, workspace)
    from pipelines import steps

    with telling("Backtest") as tell:
        done = steps.backtest(loaded, chosen_cut(loaded, as_of), tell)
    for row in done.figures[done.figures["measure"].isin(("auroc", "ppv"))].itertuples():
        out.print(f"{row.origin} {row.measure} {row.value:.3f} ({row.low:.3f} to {row.high:.3f})")
    out.print(f"Evidence: {done.page}", soft_wrap=True)


@app.command()
def demo(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """The whole job on a simulated trust, run by Prefect and tracked in MLflow."""
    from pipelines.demo import run_demo

    run_demo(config, opened(config, workspace), out, telling)


@app.command()
def doctor(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Check the configuration, the feeds and the installed versions, and say what is wrong in sentences."""
    from pipelines.doctor import examine

    findings = examine(opened(config, workspace), now())
    for finding in findings:
        out.print(
            f"{'ok  ' if finding.well else 'LOOK'}  {finding.says}",
            style="" if finding.well else "bold",
            soft_wrap=True,
        )
    if not all(finding.well for finding in findings):
        raise SystemExit(1)


@worlds.command("check")
def check_world(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Hold the simulated world to its promises: exact risks, filters, rates; a page with pictures."""
    loaded = opened(config, workspace)
    from pipelines.worlds import check

    with telling("Checking the world") as tell:
        done = check(loaded, tell)
    for one in done.checks:
        state = "ok  " if one.well else "LOOK"
        out.print(f"{state}  {one.what}: {one.found:.4g} ({one.least:g} to {one.most:g})", soft_wrap=True, markup=False)
    out.print(f"Pictures: {done.page}", soft_wrap=True)
    if not all(one.well for one in done.checks):
        raise SystemExit(1)


@worlds.command("play")
def play_world(config: ConfigOption = DEFAULT_CONFIG, workspace: WorkspaceOption = None) -> None:
    """Play the world's daily drops through the daily path, with teams acting on each day's lists."""
    loaded = opened(config, workspace)
    from pipelines.worlds import play

    with telling("Playing the world") as tell:
        done = play(loaded, tell)
    listed, acted, prevented = (len(done.life.journal.exposures), done.acted, len(done.life.journal.prevented))
    out.print(f"{listed:,} places on lists, {acted:,} acted on, {prevented:,} emergency admissions prevented")
    out.print(f"Truth: {done.folder / 'truth'}", soft_wrap=True)


@worlds.command("year")
def play_year(
    config: ConfigOption = DEFAULT_CONFIG,
    workspace: WorkspaceOption = None,
    places: Annotated[int, typer.Option(help="Caseload places.")] = 1000,
    days: Annotated[int, typer.Option(help="Days that are played, after the world's own.")] = 365,
) -> None:
    """Play a year through the daily path twice, with teams acting on the lists and not; goes on where it stopped."""
    loaded = opened(config, workspace)
    from pipelines.config import load_config
    from pipelines.year import Plan, year

    plan = Plan(partial(load_config, config), loaded.workspace / "year", places, days)
    with telling("Playing a year") as tell:
        done = year(plan, tell)
    for row in done.months[done.months["month"] == "all"].itertuples():
        out.print(f"{row.arm}: {row.measure} {row.value:.4g} ({row.low:.4g} to {row.high:.4g})")
    for row in done.retrained.itertuples():
        out.print(
            f"{row.model}, judged where {row.arm}: {row.measure} {row.value:.4g} ({row.low:.4g} to {row.high:.4g})"
        )
    out.print(f"Tables and picture: {done.folder}", soft_wrap=True)


@worlds.command("month")
def play_month(
    config: ConfigOption = DEFAULT_CONFIG,
    workspace: WorkspaceOption = None,
    last: Annotated[str, typer.Option(help="The last day.")] = "2026-03-31",
    days: Annotated[int, typer.Option(help="Days that are played, after the world's own.")] = 31,
    places: Annotated[int, typer.Option(help="Caseload places.")] = 1000,
    deployments: Annotated[Path, typer.Option(help="What is deployed (YAML).")] = DEPLOYMENTS,
) -> None:
    """Play a month by the real scheduler, with faults done to files and processes; says what happened each day."""
    loaded = opened(config, workspace)
    from pipelines.month import Plan, month

    plan = Plan(config, loaded.workspace / "month", deployments, day_of(last, "--last"), days, places)
    with telling("Playing a month") as tell:
        done = month(plan, tell)
    for row in done.table.itertuples():
        out.print(f"{row.day}: {row.runs}. At 07:00 {row.seen} {row.happened}", markup=False, soft_wrap=True)
    out.print(f"{done.replayed} days made again, equal in every row. Tables: {done.folder}", soft_wrap=True)


@app.command("features")
def list_features(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """List every feature of the catalogue in words, with its window, direction, and value when nothing happened."""
    from features.describing import describe
    from pipelines.service import Service

    catalogue = Service(opened(config, None)).catalogue
    described = describe(catalogue)
    for family in dict.fromkeys(one.family for one in described):
        out.print(family, style="bold")
        for one in (one for one in described if one.family == family):
            out.print(f"  {one.name}", markup=False)
            facts = f"{one.window}; direction: {one.direction}; when nothing happened: {one.empty}"
            out.print(f"    {one.says} ({facts})", markup=False, soft_wrap=True)
    out.print(
        f"{len(described)} features, {len(catalogue.families)} families, contract {catalogue.contract.fingerprint[:12]}"
    )


@app.command()
def docs(
    folder: Annotated[Path, typer.Option(help="Where the generated pages go.")] = Path("docs"),
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write the generated pages of the documentation: the data dictionary and the list of features."""
    from pipelines.dictionary import data_dictionary, features_page
    from pipelines.service import Service

    catalogue = Service(opened(config, None)).catalogue
    pages = {"data-dictionary.md": data_dictionary(), "features.md": features_page(catalogue)}
    for name, page in pages.items():
        (folder / name).write_text(page, encoding="utf-8")
        out.print(f"Wrote {folder / name}")


def show_lines(lines: "Iterable[Line]") -> None:
    for line in lines:
        out.print(f"{'ok  ' if line.passed else 'FAIL'}  {line.name}: {line.says}", markup=False, soft_wrap=True)


def show_metrics(metrics: dict[str, float], page: Path) -> None:
    shown = ("auroc", "average_precision", "ppv", "recall", "lift", "expected_over_observed", "calibration_slope")
    out.print(", ".join(f"{name} {metrics[name]:.3f}" for name in shown if name in metrics))
    out.print(f"Evidence: {page}", soft_wrap=True)
