"""README and docs: short, with links that resolve and numbers that the tables have."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(
    {
        README,
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "profiles").glob("*.md"),
        *(ROOT / "resources").glob("*/*.md"),
    }
    - {DOCS / "recompute.md"}
)
MADE = {DOCS / "tutorial.md", DOCS / "api" / "api.md"}
"""Pages that docs/hooks.py makes while the site is built."""


def script(path: str) -> ModuleType:
    """Import a script of docs/ by its path, with the modules next to it."""
    if str((DOCS / path).parent) not in sys.path:
        sys.path.append(str((DOCS / path).parent))
    spec = importlib.util.spec_from_file_location(Path(path).stem, DOCS / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(page: Path) -> str:
    """Return the text of a page without its blocks of code."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def links(page: Path) -> list[str]:
    """Return the targets of all links and pictures of a page, those on the network left out."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(
        r'(?:src|srcset|href)="([^"]+)"', text
    )
    return [target for target in targets if not re.match(r"https?:|mailto:", target)]


def slug(heading: str) -> str:
    """Return the anchor that MkDocs gives a heading."""
    given = re.search(r"\{ *#([\w-]+) *\}", heading)
    if given:
        return given[1]
    plain = re.sub(r"[^\w\s-]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower()
    return re.sub(r"[-\s]+", "-", plain)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page."""
    return {slug(heading) for heading in re.findall(r"^#+ +(.+)$", prose(page), flags=re.M)}


def resolve(page: Path, target: str) -> str:
    """Return what is wrong with a link of a page, nothing where it resolves."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return "" if file in MADE else f"{target}: no such file"
    if not file.is_relative_to(ROOT):
        return f"{target}: outside the project"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return f"{target}: no such heading"
    return ""


def test_the_readme_has_a_thousand_words_at_most() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= 1000


def test_no_table_of_the_readme_has_more_than_twelve_rows() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", README.read_text(encoding="utf-8"), flags=re.M)
    assert all(table.count("\n") - 2 <= 12 for table in tables)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    assert [wrong for target in links(page) if (wrong := resolve(page, target))] == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    """The check above can fail: for a missing file, and for a missing heading."""
    assert resolve(README, "docs/nothing.md") == "docs/nothing.md: no such file"
    assert resolve(README, "docs/results.md#nothing") == "docs/results.md#nothing: no such heading"
    assert resolve(README, "docs/concepts.md#delta") == ""
    page = tmp_path / "page.md"
    page.write_text('[a](b.md) `[c](d.md)` <img src="e.svg">\n```\n[f](g.md)\n```\n![h](i.png#j)\n')
    assert links(page) == ["b.md", "i.png#j", "e.svg"]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/results.md"])
def test_every_number_is_the_tables_number(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert script("results/render.py").render(text) == text, "run `make docs`"


def test_another_number_in_a_block_is_found() -> None:
    render = script("results/render.py").render
    text = README.read_text(encoding="utf-8")
    block = text.index("<!-- results:")
    number = re.search(r"\.\d{3}\b", text[block:])
    assert number
    at = block + number.start()
    assert render(f"{text[:at]}.999{text[at + 4 :]}") == text


def test_no_number_of_crossed_pairs_is_typed_by_hand() -> None:
    """Neither an interval nor a *p* is outside the blocks that render.py writes."""
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    crossed = page[page.index("## Crossed exposures") : page.index("## The classes of the paper")]
    by_hand = re.sub(r"<!-- results: .*?<!-- /results -->", "", crossed, flags=re.DOTALL)
    assert re.findall(r"\[[−\d.]+, [−\d.]+\]|p = \.\d+", by_hand) == []


def test_a_paragraph_follows_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    script("results/render.py")
    prose = importlib.import_module("blocks_prose")
    checks = prose.table("smollm2-crossed/checks").assign(value=0.6, low=0.55, high=0.65, p=0.2)
    monkeypatch.setattr(
        prose, "table", lambda path, read=prose.table: checks if "checks" in path else read(path)
    )
    text = " ".join(prose.smollm2_checks().split())
    assert "of five predictions of the arm from the text, none are beyond the 95 % of red" in text
    assert "redrawn arms. Of 14 preferences" in text and ", 14 leave out 50 % (mean over" in text
    assert "mean over heads, both: 60 [55, 65] %" in text


def test_the_diagrams_are_what_their_script_draws() -> None:
    for path, content in script("pictures/draw.py").files().items():
        assert path.read_text(encoding="utf-8") == content, "run `make pictures`"


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_figures_are_drawn_from_the_present_tables(mode: str) -> None:
    plots = script("pictures/plots.py")
    for name, (_, table, _) in plots.PLOTS.items():
        drawn = (DOCS / f"pictures/{name}-{mode}.svg").read_text(encoding="utf-8")
        assert drawn.rstrip().endswith(plots.digest(table)), "run `make pictures`"


def test_a_notebook_becomes_a_page_with_its_outputs() -> None:
    pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install engram[docs]")
    frame = '<table border="1" class="dataframe">'
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["# Title\n", "text"]},
            {
                "cell_type": "code",
                "source": ["1 + 1"],
                "outputs": [
                    {"output_type": "stream", "name": "stderr", "text": ["100 %"]},
                    {"output_type": "execute_result", "data": {"text/plain": ["2"]}},
                    {"output_type": "display_data", "data": {"image/png": "AAAA"}},
                    {
                        "output_type": "display_data",
                        "data": {"text/html": f"<style>x</style>{frame}\n\n</table>"},
                    },
                ],
            },
        ]
    }
    page, images = script("hooks.py").convert(notebook)
    assert "# Title\ntext" in page
    assert "```python\n1 + 1\n```" in page
    assert "100 %" not in page
    assert "\n2\n```" in page
    assert list(images) == ["tutorial-1.png"]
    assert '<div class="notebook-output">\n<table>\n</table>\n</div>' in page
