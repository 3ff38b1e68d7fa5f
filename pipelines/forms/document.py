"""A team's list as a PDF for A4 paper, tagged so that it can be read aloud."""

import json
import math
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typst

from pipelines.pages import Person, Stamp, Team, words
from pipelines.pages.lists import parted

TEMPLATE = Path(__file__).with_name("list.typ")
LAST = (
    "“About 1 in 8” means: of eight people like this, one would be expected to be admitted in an emergency within nine "
    "days. Filled blocks show the same figure, from below 1 in 50 (one block) to 1 in 5 or more (five).",
    "New: not on this team's previous list. Up or Down: since then the risk rose by a quarter or more, or fell by a "
    "fifth or more.",
    "Holds personal data; keep or destroy it as you would a patient record.",
)


def document(team: Team, people: Sequence[Person], stamp: Stamp) -> bytes:
    """The PDF's bytes, of the same fonts on every machine."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "list.json").write_text(json.dumps(_told(team, people, stamp), ensure_ascii=False), encoding="utf-8")
        main = root / "list.typ"
        main.write_bytes(TEMPLATE.read_bytes())
        made = typst.compile(
            main, root=root, format="pdf", font_paths=_fonts(), pdf_standards="ua-1", timestamp=stamp.as_of
        )
    assert isinstance(made, bytes)
    return made


@cache
def _fonts() -> typst.Fonts:
    """DejaVu Sans as matplotlib brings it, and none of the machine's own."""
    package = find_spec("matplotlib")  # to import it would take longer than setting a document
    assert package is not None, "matplotlib is a dependency"
    folder = Path(str(package.origin)).parent / "mpl-data" / "fonts" / "ttf"
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])


def _told(team: Team, people: Sequence[Person], stamp: Stamp) -> dict[str, Any]:
    return {
        "title": f"{team.name}: list for {stamp.day}",
        "trust": stamp.trust,
        "team": team.name,
        "day": stamp.day,
        "when": stamp.when,
        "until": stamp.valid_words,
        "simulated": stamp.simulated,
        "notes": list(stamp.notes),
        "purpose": words.PURPOSE,
        "not_for": " ".join(words.NOT_FOR),
        "facts": _facts(team, people, stamp),
        "footer": f"{team.name}, {stamp.as_of_words}, data to {stamp.data_words}, model {stamp.model_version}",
        "sections": [
            {"title": part.title or "Highest risk first", "people": [_row(person, stamp) for person in part.people]}
            for part in parted(people)
            if part.people
        ],
        "last": [*_left_out(team), *LAST],
    }


def _facts(team: Team, people: Sequence[Person], stamp: Stamp) -> list[str]:
    feeds = [f"{name}: {age}" for name, age in stamp.feeds]
    return [f"{team.caseload:,} on the caseload", f"{len(people):,} listed", f"data up to {stamp.data_words}", *feeds]


def _left_out(team: Team) -> list[str]:
    counts = [f"{reason.lower()} ({count})" for reason, count in team.excluded if count]
    return [f"On the caseload but not considered: {', '.join(counts)}."] if counts else []


def _row(person: Person, stamp: Stamp) -> dict[str, Any]:
    born = f"Born {person.born}" if person.born else "Date of birth not held"
    about = born + (f" ({person.age} y)" if person.age else "") + (f", {person.sex}" if person.sex else "")
    also = f"Also with {', '.join(person.also_with)}" if person.also_with else ""
    hands = f"In the hands of {words.listed(person.in_hands)}" if person.in_hands else ""
    moved = f"Since yesterday {person.moved}" if person.moved not in ("", "hardly moved") else ""
    held = person.days_on_caseload
    days = f"On caseload {words.count(math.floor(held), 'day')}" if math.isfinite(held) else ""
    change = f"{person.change_word} {person.change_detail}".strip()
    running = f"On this list {words.count(person.days_on_list, 'day')}" if person.days_on_list > 1 else ""
    seen = person.seen_words if person.last_seen else stamp.not_seen
    return {
        "rank": str(person.rank),
        "name": person.name,
        "nhs_number": person.nhs_number or "number not held",
        "about": [about, also, hands],
        "risk": person.risk_in_words.capitalize(),
        "band": person.band,
        "change": [change, running],
        "reasons": list(person.reasons),
        "moved": [moved],
        "seen": seen.capitalize(),
        "seen_about": [person.last_seen, days],
    }
