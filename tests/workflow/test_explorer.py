"""The explorer of the tiny study, alone and inside the report, in Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from checkout import Checkout
from playwright.sync_api import Browser, Frame, Page, sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next(
        (
            found
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (found := shutil.which(name))
        ),
        None,
    )
    if executable is None:
        pytest.fail(
            "the tests of the explorer need Chromium; `make chromium` says how to install it"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable, args=["--headless=new", "--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


def is_complete(page: Page | Frame) -> None:
    """Sixty-four tokens, a map that is drawn, and what the CNNs say."""
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    assert page.locator("#tokens .token").count() == 64
    colored = "c => new Set(c.getContext('2d').getImageData(0, 0, 64, 64).data).size"
    assert page.locator("#attention-map canvas").evaluate(colored) > 20
    assert page.locator("#delta-map canvas").evaluate(colored) > 5
    assert page.locator("#probabilities tr.mean").count() >= 3


def test_the_explorer_opens_from_its_file(finished: Checkout, browser: Browser) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((finished.folder / "results/tiny/explorer.html").as_uri())
    is_complete(page)
    assert page.locator("#truth").inner_text() in (
        "guessed in truth",
        "recalled in truth",
        "not memorized in truth",
    )
    assert said == []


def test_the_explorer_opens_in_the_report(finished: Checkout, browser: Browser) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((finished.folder / "report.html").as_uri())
    page.locator("a", has_text="3 Localization").click()
    row = page.locator("tr", has=page.get_by_text("explorer", exact=True))
    row.locator("a, button").first.click()
    page.wait_for_selector("iframe", timeout=20_000)
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame is not None
    is_complete(frame)
    before = frame.locator("#layer-number").inner_text()
    frame.locator("#layer").press("ArrowRight")
    frame.wait_for_function(
        "before => document.getElementById('layer-number').textContent !== before", arg=before
    )
    assert errors == []
