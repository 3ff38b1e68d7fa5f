"""The three import names are this project's alone, and the generated pages are up to date."""

from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from features.catalogue import load_catalogue
from pipelines.dictionary import data_dictionary, features_page

DOCS = Path(__file__).parents[2] / "docs"
COMMUNITY = DOCS.parent / "configs" / "features" / "community.yaml"


@pytest.mark.parametrize("name", ["features", "models", "pipelines"])
def test_only_this_project_provides_the_import_name(name):
    assert set(packages_distributions().get(name, ["minus-nine"])) == {"minus-nine"}


def test_the_data_dictionary_is_what_the_schema_says():
    assert (DOCS / "data-dictionary.md").read_text(encoding="utf-8") == data_dictionary()


def test_the_list_of_features_is_what_the_catalogue_says():
    catalogue = load_catalogue(COMMUNITY.read_text(encoding="utf-8"), "community.yaml")
    assert (DOCS / "features.md").read_text(encoding="utf-8") == features_page(catalogue)


def test_three_more_lines_in_a_catalogue_are_three_more_features_in_words():
    more = COMMUNITY.read_text(encoding="utf-8").replace(
        "      - {person: season_cos}\n",
        "      - {person: season_cos}\n      - {distinct_days: visit, days: 30}\n"
        "      - {longest_gap: visit, days: 90}\n      - {decayed: pain, half_life: 16}\n",
    )
    page = features_page(load_catalogue(more, "more.yaml"))
    rows = [line for line in page.splitlines() if line.startswith(("| `distinct", "| `longest", "| `decayed_pain"))]
    assert rows == [
        "| `distinct_days_visit_30d` | number of calendar days that have planned visits held | 30 days | not claimed "
        "| 0 | `{distinct_days_visit_30d}` |",
        "| `longest_gap_visit_90d` | longest time between two of planned visits held in succession, in days | 90 days "
        "| not claimed | unknown | `{longest_gap_visit_90d}` |",
        "| `decayed_pain_16d` | pain scores, each counting 1 when it occurs and half as much every 16 days "
        "| half-life 16 days | not claimed | 0 | `{decayed_pain_16d}` |",
    ]
