"""A real headless Chromium, without network, that must not complain."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import FLAGS, show
from playwright.sync_api import Browser, Page, sync_playwright
from synthetic_study import write_study

from engram.explorer.content import collect
from engram.explorer.page import render, write_page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, in a fresh profile."""
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
