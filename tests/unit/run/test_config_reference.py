"""What is generated is up to date."""

from pathlib import Path

from engram.run.config import load_schema
from engram.run.config_reference import insert, reference

ROOT = Path(__file__).parents[3]


def test_the_docs_have_the_config_reference_of_the_schema() -> None:
    page = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    assert insert(page, reference(load_schema())) == page, "run `make docs`"


def test_the_reference_names_nested_keys() -> None:
    rows = reference(load_schema()).splitlines()
    assert any(
        row.startswith("| `models[].drilling.schedule[].exposures` | integer") for row in rows
    )
