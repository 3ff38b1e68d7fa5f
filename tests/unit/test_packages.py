"""The three import names are this project's alone, and the generated pages are up to date."""

from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from pipelines.dictionary import data_dictionary

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["features", "models", "pipelines"])
def test_only_this_project_provides_the_import_name(name):
    assert set(packages_distributions().get(name, ["minus-nine"])) == {"minus-nine"}


def test_the_data_dictionary_is_what_the_schema_says():
    assert (DOCS / "data-dictionary.md").read_text(encoding="utf-8") == data_dictionary()
