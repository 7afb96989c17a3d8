"""How tests open a page in Chromium: from its file, without a network, noting every complaint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[1] / "browser/screenshots"
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


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


def settled(page: Page, action: Callable[[], object]) -> None:
    """Runs an action and waits until the page has drawn what it asked for."""
    before = page.evaluate("document.documentElement.dataset.ready")
    action()
    page.wait_for_function(
        "before => document.documentElement.dataset.ready !== before", arg=before
    )


def pixels(page: Page, name: str) -> str:
    """A map's image."""
    return page.locator(f"#{name} canvas").evaluate("canvas => canvas.toDataURL()")
