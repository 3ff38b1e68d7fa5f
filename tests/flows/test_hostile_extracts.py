"""Damaged extracts: refused in one sentence with nothing changed, or taken up with every row accounted for; and what
is delivered whole afterwards leaves the history that it would have left had the damage never happened."""

import csv
import gzip
import io
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
import yaml

from features.errors import SourceError
from pipelines import steps
from pipelines.config import ServiceConfig, load_config
from pipelines.service import Service

TRUST = {
    "world": "worlds/small.yaml",
    **{"places": 60, "days": 70, "teams": 10, "daily_drops": 1, "start": "2025-04-01", "seed": 3},
}
FEEDS = {"community-history", "community"}
DROP, RECEIVED = "2025-06-10", datetime(2025, 6, 10, 5, tzinfo=UTC)
HEADER, PATIENTS, REFERRALS, CONTACTS, ACTIVITIES = (f"CYP{n}.csv" for n in ("000", "001", "101", "201", "202"))
HOSTILE = (
    b"=cmd()",
    b"+1+1",
    b"<script>alert(1)</script>",
    b'"a ""quoted"" word"',
    b'"two\nlines, and a comma"',
    b"a\x00\x07\x1b[2Jb",
    b"'; drop table contacts; --",
    b"{{ 7 * 7 }}",
    b"\xe2\x80\xae\xe2\x80\x8b",
)


@dataclass(frozen=True)
class Bench:
    """A workspace into which the damaged drops of one feed are delivered, one after another."""

    config: ServiceConfig
    folder: Path
    whole: Path
    clock: Iterator[datetime]

    def deliver(self, damage=lambda folder: None):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.whole, self.folder)
        damage(self.folder)

    def ingest(self):
        return steps.ingest(self.config, next(self.clock), quiet)

    def told(self):
        """All that an ingestion may change: each table, the visible versions, who is who."""
        service = Service(self.config)
        tables = {name: table.to_pandas() for name, table in service.history.read().items()}
        return tables | {"ledger": service.history.ledger(), "identities": service.identities.people()}


def edited(name, change):
    def damage(folder):
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def instead(name, content):
    return edited(name, lambda _: content)


def replaced(name, old, new, times=-1):
    return edited(name, lambda text: text.replace(old, new, times))


def lines(change):
    """A change of a file's lines, the header first."""
    return lambda text: b"\n".join(change(text.removesuffix(b"\n").split(b"\n"))) + b"\n"


def cell(place, column, value):
    """Damage to one cell of the contacts: in line `place`, counted from the header."""
    return edited(
        CONTACTS, lines(lambda rows: [*rows[:place], with_cell(rows, place, column, value), *rows[place + 1 :]])
    )


def with_cell(rows, place, column, value):
    cells = rows[place].split(b",")
    cells[rows[0].split(b",").index(column)] = value
    return b",".join(cells)


def moved(name, other, change=lambda text: text):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / other).write_bytes(change(content))

    return damage


def as_parquet(text):
    sink = io.BytesIO()
    strings = pv.ConvertOptions(column_types={name: pa.string() for name in text.split(b"\n")[0].decode().split(",")})
    pq.write_table(pv.read_csv(io.BytesIO(text), convert_options=strings), sink)
    return sink.getvalue()


def a_folder(folder):
    (folder / CONTACTS).unlink()
    (folder / CONTACTS).mkdir()


def a_link(folder):
    elsewhere = folder.parent.parent / "elsewhere.csv"
    (folder / CONTACTS).rename(elsewhere)
    (folder / CONTACTS).symlink_to(elsewhere)
    return elsewhere


def on_every_file(change):
    def damage(folder):
        for path in folder.glob("*.csv"):
            path.write_bytes(change(path.read_bytes()))

    return damage


def dressed(text):
    """The same rows as a spreadsheet would write them: byte order mark, every cell quoted, CRLF, blank lines."""
    sink = io.StringIO(newline="")
    csv.writer(sink, quoting=csv.QUOTE_ALL).writerows(csv.reader(io.StringIO(text.decode())))
    return b"\xef\xbb\xbf" + sink.getvalue().replace("\r\n", "\r\n\r\n").encode()


def other_columns(text):
    frame = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
    frame.insert(3, "Zusatz", "=1+1")
    return frame[frame.columns[::-1]].to_csv(index=False).encode()


def hostile(rows):
    told = [with_cell(rows, place, b"TeamID_Local", value) for place, value in enumerate(HOSTILE, start=1)]
    return [rows[0], *told, *rows[len(told) + 1 :]]


def mixed(rows):
    return [*rows[:4], *(row.replace(b",", b";") for row in rows[4:9]), *rows[9:]]


REFUSED = {
    "no header row": (instead(HEADER, b""), "CYP000.* must have a header line at least; it is empty"),
    "an empty required file": (instead(CONTACTS, b""), "CYP201.csv must have a header line at least; it is empty"),
    "only the header's column names": (edited(HEADER, lines(lambda rows: rows[:1])), "CYP000.* it has 0"),
    "two header rows": (edited(HEADER, lines(lambda rows: [*rows, rows[1]])), "CYP000.* it has 2"),
    "two header files": (lambda folder: shutil.copy(folder / HEADER, folder / "CYP000_2.csv"), "CYP000.* it has 2"),
    "no column names": (edited(CONTACTS, lines(lambda rows: rows[1:])), "CYP201.csv must begin with a header line"),
    "UTF-16": (edited(CONTACTS, lambda text: text.decode().encode("utf-16")), "CYP201.csv .* UTF-16"),
    "UTF-16, unmarked": (edited(CONTACTS, lambda text: text.decode().encode("utf-16-le")), "CYP201.csv .* not text"),
    "needed column missing": (replaced(CONTACTS, b"CareContactID", b"Something"), "CYP201.csv .* 'CareContactID'"),
    "needed column misspelt": (replaced(CONTACTS, b"CareContactID", b"CareContctID"), "nearest is 'carecontctid'"),
    "column twice": (replaced(CONTACTS, b"OrgID_Commissioner", b"CareContactID"), "CYP201.csv .* is there twice"),
    "a PDF": (instead(CONTACTS, b"%PDF-1.7\n%\xe2\xe3\n1 0 obj"), "CYP201.csv .* a PDF"),
    "a zip": (instead(CONTACTS, b"PK\x03\x04\x14\x00\x00"), "CYP201.csv .* a zip archive"),
    "an error page": (instead(CONTACTS, b"<!DOCTYPE html>\n<h1>502 Bad Gateway</h1>\n"), "CYP201.csv .* header line"),
    "an optional file is an error page": (instead(ACTIVITIES, b"<html>\n504\n</html>\n"), "CYP202.csv .* header line"),
    "only zeros": (instead(CONTACTS, bytes(4096)), "CYP201.csv .* not text"),
    "required file missing": (lambda folder: (folder / REFERRALS).unlink(), "2025-06-10 must have a file CYP101"),
    "colons": (replaced(CONTACTS, b",", b":"), "CYP201.csv must begin with a header line"),
    "lines end as in 1984": (replaced(CONTACTS, b"\n", b"\r"), "CYP201.csv must be text"),
    "gz that is not gz": (moved(CONTACTS, "CYP201.csv.gz"), "CYP201.csv.gz must be a complete gzip file"),
    "gz cut short": (moved(CONTACTS, "CYP201.csv.gz", lambda t: gzip.compress(t)[:-30]), "CYP201.csv.gz .* cut short"),
    "Parquet cut short": (moved(CONTACTS, "CYP201.parquet", lambda t: as_parquet(t)[:-99]), "CYP201.parquet .* short"),
    "Parquet that is text": (moved(CONTACTS, "CYP201.parquet"), "CYP201.parquet must be a Parquet file"),
    "a folder": (a_folder, "must have a file CYP201"),
    "a link to nothing": (lambda folder: a_link(folder).unlink(), "must have a file CYP201"),
}

HARMLESS = {
    "in another order": on_every_file(lines(lambda rows: [rows[0], *rows[:0:-1]])),
    "every row twice, one file a copy": lambda folder: (
        [edited(path.name, lines(lambda rows: [*rows, *rows[1:]]))(folder) for path in folder.glob("CYP[1-9]*.csv")],
        shutil.copy(folder / PATIENTS, folder / "CYP001 (1).csv"),
    ),
    "other columns": on_every_file(other_columns),
    "semicolons, tabs and bars": lambda folder: [
        replaced(name, b",", separator)(folder)
        for name, separator in ((CONTACTS, b";"), (REFERRALS, b"\t"), (ACTIVITIES, b"|"))
    ],
    "as a spreadsheet writes it": on_every_file(dressed),
    "gz and Parquet in capitals, and a link": lambda folder: (
        moved(REFERRALS, "CYP101.CSV.GZ", gzip.compress)(folder),
        moved(ACTIVITIES, "CYP202.PARQUET", as_parquet)(folder),
        a_link(folder),
    ),
}

MISCOUNT, ORPHAN = "wrong number of fields", "parent not in this submission"
SPOILT = {
    "cut in the middle of a row": (edited(CONTACTS, lambda text: text[:1500]), CONTACTS, 11, {MISCOUNT: 1}),
    "ends in zeros": (edited(CONTACTS, lambda text: text[:1500] + bytes(999)), CONTACTS, 11, {MISCOUNT: 1}),
    "no contacts": (edited(CONTACTS, lines(lambda rows: rows[:1])), ACTIVITIES, 60, {ORPHAN: 55}),
    "no activities": (lambda folder: (folder / ACTIVITIES).unlink(), "CYP611.csv", 1, {ORPHAN: 1}),
    "Windows-1252": (replaced(REFERRALS, b",02,", b",\xe9\x93,", 3), REFERRALS, 28, {"not UTF-8": 3}),
    "ten megabytes in a field": (cell(5, b"AdminCategory", b"x" * 10_000_000), CONTACTS, 30, {"field too long": 1}),
    "a quote that never ends": (cell(5, b"TeamID_Local", b'"T'), CONTACTS, 30, {"quote not closed": 1}),
    "codes to run": (edited(CONTACTS, lines(hostile)), CONTACTS, 30, {}),
    "delimiters mixed": (edited(CONTACTS, lines(mixed)), CONTACTS, 30, {MISCOUNT: 5}),
    "another age": (
        replaced(CONTACTS, b",2025-06-0", b",1125-06-0"),
        CONTACTS,
        30,
        {"implausible date: occurred_at": 18},
    ),
    "from the future": (
        replaced(CONTACTS, b"2025-06-09T", b"2125-06-09T"),
        CONTACTS,
        30,
        {"recorded after receipt": 30},
    ),
}
"""Damage to some rows: (how, the file to look at, the rows in it, those rejected by reason)."""


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A tiny trust whose history load is ingested: its configuration and, by feed, the drop still to come."""
    folder = tmp_path_factory.mktemp("hostile")
    configs = Path(__file__).parents[2] / "configs"
    raw = yaml.safe_load((configs / "simulated.yaml").read_text(encoding="utf-8"))
    raw |= {"simulator": TRUST, "buckets": 2, "workspace": str(folder / "workspace")}
    raw["sources"] = {name: source for name, source in raw["sources"].items() if name in FEEDS}
    for name in ("features", "sources", "worlds"):
        (folder / name).symlink_to(configs / name)
    (folder / "service.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    config = load_config(folder / "service.yaml")
    steps.simulate(config, quiet)
    daily = config.workspace / "extracts" / "daily"
    shutil.move(daily / "csds", folder / "aside")
    (daily / "csds").mkdir()
    steps.ingest(config, RECEIVED, quiet)
    return folder / "service.yaml", config.workspace, folder / "aside"


def bench(held, folder):
    service, workspace, aside = held
    shutil.copytree(workspace, folder / "workspace")
    config = load_config(service, folder / "workspace")
    clock = (RECEIVED + timedelta(seconds=number) for number in count(1))
    return Bench(config, config.workspace / "extracts" / "daily" / "csds" / DROP, aside / DROP, clock)


def quiet(_said):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def clean(held, tmp_path_factory):
    """What is told after the undamaged drop."""
    one = bench(held, tmp_path_factory.mktemp("clean"))
    one.deliver()
    one.ingest()
    return one.told()


@pytest.fixture(scope="module")
def refusals(held, tmp_path_factory):
    """What came of delivering each refused extract in turn to one workspace, and at last the undamaged one."""
    one = bench(held, tmp_path_factory.mktemp("refused"))
    before, complaints, changed = one.told(), {}, {}
    for name, (damage, _) in REFUSED.items():
        one.deliver(damage)
        try:
            one.ingest()
        except Exception as error:
            complaints[name] = error
        changed[name] = unlike(before, one.told())
    one.deliver()
    one.ingest()
    return complaints, changed, one.told()


@pytest.fixture(scope="module")
def spoilt(held, tmp_path_factory):
    """The account of each spoilt extract, taken up in turn by one workspace, and what is told after the whole one."""
    one = bench(held, tmp_path_factory.mktemp("spoilt"))
    accounts = {}
    for name, (damage, *_) in SPOILT.items():
        one.deliver(damage)
        accounts[name] = pd.read_csv(one.ingest().report.parent / "account.csv")
    one.deliver()
    one.ingest()
    return accounts, one.told()


def unlike(one, other, but=()):
    return [name for name in one if name not in but and not one[name].equals(other[name])]


def secrets_of(folder):
    """Identifiers of people, referrals and contacts in a drop."""
    found = set()
    for path in folder.glob("*.csv"):
        frame = pd.read_csv(path, dtype=str)
        for column in {"NHSNumber", "LocalPatientID", "ServiceRequestID", "CareContactID"} & set(frame):
            found |= set(frame[column].dropna())
    return found


def read_and_told_of(account, file):
    """The rows of a file by the account, and those that were rejected by reason."""
    mine = account[account["file"] == file]
    rejected = mine[mine["outcome"] == "rejected"].groupby("reason")["rows"].sum()
    return int(mine.loc[mine["outcome"].isin(["kept", "rejected", "unused"]), "rows"].sum()), rejected.to_dict()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence_and_changes_nothing(name, refusals, held):
    complaints, changed, _ = refusals
    assert isinstance(complaints.get(name), SourceError), complaints.get(name)
    said = str(complaints[name])
    assert re.search(REFUSED[name][1], said), said
    assert "\n" not in said
    assert not [secret for secret in secrets_of(held[2] / DROP) if secret in said]
    assert changed[name] == []


def test_after_every_refusal_the_whole_extract_is_taken_up_as_if_there_had_been_none(refusals, clean):
    *_, told = refusals
    assert unlike(clean, told, but=["ledger"]) == []
    assert told["ledger"]["versions"].tolist() == clean["ledger"]["versions"].tolist()


@pytest.mark.parametrize("name", HARMLESS)
def test_the_same_rows_in_another_shape_make_the_same_history(name, held, clean, tmp_path):
    one = bench(held, tmp_path)
    one.deliver(HARMLESS[name])
    result = one.ingest()
    assert unlike(clean, one.told(), but=["ledger"]) == []
    account = pd.read_csv(result.report.parent / "account.csv")
    for path in one.folder.glob("*.csv"):
        written = sum(bool(line.strip()) for line in path.read_text("utf-8-sig").split("\n")) - 1
        assert read_and_told_of(account, path.name)[0] == written, path.name


@pytest.mark.parametrize("name", SPOILT)
def test_of_a_spoilt_extract_every_row_is_accounted_for(name, spoilt, held):
    account = spoilt[0][name]
    _, file, rows, rejected = SPOILT[name]
    assert read_and_told_of(account, file) == (rows, rejected)
    whole = {path.name: len(path.read_text().splitlines()) - 1 for path in (held[2] / DROP).glob("*.csv")}
    for other in set(account["file"]) - {file, CONTACTS}:
        assert read_and_told_of(account, other)[0] == whole[other], other


def test_what_was_spoilt_is_made_good_by_the_whole_extract(spoilt, clean):
    assert unlike(clean, spoilt[1], but=["ledger"]) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_history_that_cannot_be_written_stays_as_it_was(held, tmp_path):
    one = bench(held, tmp_path)
    one.deliver()
    before = one.told()
    inside = [path for path in one.config.workspace.glob("history/**/*") if path.is_dir()]
    for path in inside:
        path.chmod(0o500)
    try:
        with pytest.raises(Exception, match="(?i)permission denied"):
            one.ingest()
    finally:
        for path in inside:
            path.chmod(0o700)
    assert unlike(before, one.told(), but=["identities"]) == []


def test_hostile_names_reach_the_lists_as_nothing_but_names(copied, small_config):
    config = load_config(small_config, copied.workspace)
    names = ["=cmd()", "@SUM(A1)", "<script>alert(1)</script>", 'O"Neill', "two\nlines"]
    extracts = config.workspace / "extracts"
    index = pd.concat(pd.read_csv(path, dtype=str) for path in sorted(extracts.glob("*/identity/*/INDEX.csv")))
    index["FamilyName"] = [names[number % len(names)] for number in range(len(index))]
    as_of = steps.as_of_day(config, steps.simulated_last_day(config))
    index.to_csv(extracts / "daily" / "identity" / as_of.date().isoformat() / "INDEX.csv", index=False)
    folder = steps.daily(config, as_of, as_of + timedelta(minutes=1), quiet).published.folder
    sheets = "".join(path.read_text("utf-8-sig") for path in folder.glob("*/list.csv"))
    pages = "".join(path.read_text("utf-8") for path in folder.rglob("*.html")).lower()
    shown = [row["name"] for row in csv.DictReader(io.StringIO(sheets)) if row["name"] != "name"]
    assert not [name for name in shown if name[0] in "=+-@" or "\n" in name]
    for name in names:
        assert any(" ".join(name.upper().split()) in one.upper() for one in shown), name
    assert "<script>alert" not in pages
    assert "&lt;script&gt;alert(1)" in pages
