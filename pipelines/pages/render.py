"""One look for every page: one file each, styles inlined, no script, nothing fetched."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.pages import words
from pipelines.pages.strip import bars, mornings, strip_words

NOTES_FROM, NOTES_TO = "<!--notes-->", "<!--/notes-->"
FORMS_FROM, FORMS_TO = "<!--forms-->", "<!--/forms-->"
TEMPLATES = Path(__file__).parent / "templates"


def css_string(text: str) -> str:
    """Any text as a CSS string: all but plain letters and digits become code points, so that it cannot end early."""
    return '"' + "".join(_css_character(character) for character in text) + '"'


def _css_character(character: str) -> str:
    plain = character.isascii() and character.isalnum()
    return character if plain else f"\\{ord(character):x} "


def style(footer: str, banner: str) -> str:
    """The stylesheet, with what the margins of every printed page say: `footer` and, if any, `banner` at the top."""
    top = f"@top-center {{ content: {css_string(banner)}; font-weight: bold; }}" if banner else ""
    foot = f"@bottom-left {{ content: {css_string(footer)}; }}"
    return _sheet() + f"@page {{ {top} {foot} }}\n"


@cache
def _sheet() -> str:
    return (TEMPLATES / "style.css").read_text("utf-8")


def render(template: str, *, footer: str, simulated: bool, sends: bool = False, **values: Any) -> str:
    """A whole page. The policy allows this page's own style by its hash and images held in the page, nothing else; and
    where it `sends` forms, those to where it came from."""
    sheet, policy = _dressed(footer, simulated, sends)
    page = _environment().get_template(template)
    return page.render(style=sheet, policy=policy, simulated=simulated, **values)


@lru_cache(64)
def _dressed(footer: str, simulated: bool, sends: bool) -> tuple[Markup, str]:
    """A page's style and policy, which the pages of a list share."""
    sheet = style(footer, "SIMULATED PEOPLE" if simulated else "")
    if sends:
        sheet += (TEMPLATES / "board.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
    return Markup(sheet), policy + f"form-action '{'self' if sends else 'none'}'"


def part(template: str, **values: Any) -> Markup:
    """A piece of a page, as markup to put into one."""
    return Markup(_environment().get_template(template).render(**values))


def with_notes(page: str, notes: Sequence[str]) -> str:
    """A rendered list or index with `notes` in the place of the notes it had."""
    macros: Any = _environment().get_template("parts.html").module
    return _instead(page, NOTES_FROM, NOTES_TO, str(macros.notes(notes)).strip())


def without_forms(page: str) -> str:
    """A rendered list that no longer leads to its other forms; any other page as it is."""
    return _instead(page, FORMS_FROM, FORMS_TO, "") if FORMS_FROM in page else page


def _instead(page: str, begin: str, end: str, other: str) -> str:
    before, rest = page.split(begin, 1)
    return before + other + rest.split(end, 1)[1]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = words.count
    environment.filters["label"] = words.label
    environment.filters["listed"] = words.listed
    environment.filters["bars"] = bars
    environment.filters["strip_words"] = strip_words
    environment.filters["mornings"] = mornings
    return environment
