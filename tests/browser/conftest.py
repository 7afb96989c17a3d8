"""A real headless Chromium, without network, that must not complain."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from synthetic_study import write_study

from engram.explorer.content import collect
from engram.explorer.page import render, write_page

SCREENSHOTS = Path(__file__).parent / "screenshots"
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


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
    """A page of two models, two protocols and two saliency methods."""
    folder = tmp_path_factory.mktemp("explorer")
    written = write_study(
        folder / "study",
        models=("nursery", "other"),
        protocols=("engram", "paper"),
        methods=("guided", "gradient"),
        samples=24,
    )
    write_page(render(*collect(written)), folder / "explorer.html", written.page.megabytes)
    return folder / "explorer.html"


def watch(page: Page) -> list[str]:
    """Gathers everything that a page says on the console, fails at, or asks the network for."""
    found: list[str] = []
    page.on("console", lambda message: found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "data:", "blob:"))
            else found.append(request.url)
        ),
    )
    return found


def show(browser: Browser, path: Path, scheme: str, width: int = 1400) -> tuple[Page, list[str]]:
    """Opens a page from its file and waits for its maps."""
    page = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}
    ).new_page()
    said = watch(page)
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    return page, said


@pytest.fixture
def page(browser: Browser, explorer: Path) -> Iterator[Page]:
    """The explorer in a window of its own; what it complains of fails the test."""
    page, said = show(browser, explorer, "light")
    yield page
    page.context.close()
    assert said == []
