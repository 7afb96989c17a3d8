"""A real headless Chromium, without network, that must not complain."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import FLAGS, show
from playwright.sync_api import Browser, Page, sync_playwright
from synthetic_pair import write_pairs
from synthetic_study import write_study

from engram.explorer.content import collect
from engram.explorer.page import PAIRS, render, write_page
from engram.explorer.pairs import collect_pairs


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, in a fresh profile. Two Playwrights cannot run at once, and
    tests/workflow has one, too.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((found for name in names if (found := shutil.which(name))), None)
    if executable is None:
        pytest.fail(
            "the tests of the explorer need Chromium; `make browser` says how to install it"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two models, one of which reads a token first, two protocols and two saliency methods."""
    folder = tmp_path_factory.mktemp("explorer")
    written = write_study(
        folder / "study",
        models=("nursery", "other"),
        protocols=("engram", "paper"),
        methods=("guided", "gradient"),
        samples=24,
        openings={"other": (0,)},
    )
    write_page(render(*collect(written)), folder / "explorer.html", written.page.megabytes)
    return folder / "explorer.html"


@pytest.fixture
def page(browser: Browser, explorer: Path) -> Iterator[Page]:
    """The explorer in a window of its own; what it complains of fails the test."""
    page, said = show(browser, explorer, "light")
    yield page
    page.context.close()
    assert said == []


@pytest.fixture(scope="session")
def pairs_explorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two pairs; the models of the second one read a token first."""
    folder = tmp_path_factory.mktemp("pairs")
    pairs = {"left": "right", "north": "south"}
    written = write_pairs(folder / "study", pairs, samples=60, openings={"north": (0,)})
    path = folder / "explorer_pairs.html"
    write_page(render(*collect_pairs(written), PAIRS), path, written.page.megabytes)
    return path


@pytest.fixture
def pairs_page(browser: Browser, pairs_explorer: Path) -> Iterator[Page]:
    """The page of pairs in a window of its own; what it complains of fails the test."""
    page, said = show(browser, pairs_explorer, "light")
    yield page
    page.context.close()
    assert said == []
