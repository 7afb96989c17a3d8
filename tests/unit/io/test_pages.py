"""Templates of pages, and the shell that all pages have."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.auditing.page import PAGE
from engram.explorer.page import CLASSES, PAIRS
from engram.io.errors import EngramError
from engram.io.pages import Page, fill


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "outer.html").write_text("<b>{{noun}}</b>\n{{inner.html}}\n{{noun}}\n")
    (tmp_path / "inner.html").write_text("<i>{{noun}}</i>\n")
    return tmp_path / "outer.html"


def test_places_are_filled_also_in_files_of_the_folder(template: Path) -> None:
    assert fill(template, {"noun": "x"}) == "<b>x</b>\n<i>x</i>\nx\n"


def test_what_fills_a_place_is_no_template(template: Path) -> None:
    text = "{{noun}}{{inner.html}}"
    assert fill(template, {"noun": text}).count(text) == 3


@pytest.mark.parametrize("parts", [{}, {"noun": "x", "verb": "y"}, {"verb": "y"}])
def test_a_place_too_many_or_too_few_is_an_error(template: Path, parts: dict[str, str]) -> None:
    with pytest.raises(EngramError, match=r"outer\.html: it has the places noun, the page needs"):
        fill(template, parts)


@pytest.mark.parametrize("page", [CLASSES, PAIRS, PAGE], ids=lambda page: page.body)
def test_every_page_has_the_shell_and_its_own_files(page: Page) -> None:
    text = page.render("mine", "{}", ["<b>block</b>"])
    assert f"<title>mine – {page.name}</title>" in text
    for part in (page.subtitle, page.choices, "<b>block</b>", "{}"):
        assert part in text
    for part in ("<!DOCTYPE html>", "function setTheme(", ".notice {", 'id="theme"', "</html>"):
        assert text.count(part) == 1, part
    for file in (*(f"{name}.js" for name in page.scripts), f"{page.style}.css"):
        assert (page.folder / file).read_text() in text, file
    assert "{{" not in text
