"""The other forms of a team's list: workbook, printable document, FHIR. Pure functions from people to bytes.

Every form is made from the same `Person` rows as the page, and is the same bytes for the same list.
"""

from collections.abc import Callable, Sequence
from importlib import import_module

from pipelines.pages import Person, Stamp, Team

Form = Callable[[Team, Sequence[Person], Stamp], bytes]
FILES = {"xlsx": "list.xlsx", "pdf": "list.pdf", "fhir": "list.fhir.json"}
"""The file of each form in a team's folder."""
MAKERS = {"xlsx": ("workbook", "workbook"), "pdf": ("document", "document"), "fhir": ("fhir", "bundle")}
"""The module here, and its function, that make each."""
MODULES = tuple(f"{__name__}.{module}" for module, _ in MAKERS.values())


def forms(wanted: Sequence[str]) -> dict[str, Form]:
    """What makes each wanted form, by its file. A library is imported only for a form that is wanted."""
    return {FILES[name]: _form(name) for name in wanted}


def _form(name: str) -> Form:
    module, maker = MAKERS[name]
    made: Form = getattr(import_module(f"{__name__}.{module}"), maker)
    return made
