"""The page of an audit in Chromium: the text is whole, every control works, and 1 MB opens fast."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audited import RECALLED, STRIDE, TEXTS, audited_model, long_texts, write_audit
from chromium import SCREENSHOTS, show
from playwright.sync_api import Browser, Page

from engram.auditing.page import FRAME, MEGABYTE


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two models."""
    path = tmp_path_factory.mktemp("audit") / "audit.html"
    other = {name: text for name, text in TEXTS.items() if name != "gamma.txt"}
    return write_audit(path, [audited_model("one", TEXTS), audited_model("other", other)])


@pytest.fixture
def page(browser: Browser, audit: Path) -> Iterator[Page]:
    page, said = show(browser, audit, "light")
    yield page
    page.context.close()
    assert said == []


def settled(page: Page, action: Callable[[], object]) -> None:
    """Runs an action and waits until the page has drawn what it asked for."""
    action()
    page.wait_for_timeout(120)


def chosen(page: Page) -> tuple[str, str]:
    """The open document, and what the page says of the region."""
    return page.locator("#text-title").inner_text(), page.locator("#place").inner_text()


def text_of(page: Page) -> str:
    """All text of the open document, drawn whole."""
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    return str(page.locator("#text").evaluate("host => host.textContent"))


def test_the_list_shows_every_document_and_its_share(page: Page) -> None:
    names = page.locator("#documents .name").all_inner_texts()
    assert sorted(names) == sorted(TEXTS) and names[-1] == "short.txt"
    assert page.locator("#documents button.some").count() == 2
    assert page.locator("#documents .share").last.inner_text() == "too short"
    assert "4 documents" in page.locator("#total").inner_text()


def test_the_text_is_that_of_the_document(page: Page) -> None:
    """Markup in a document is text, and characters beyond 16 bits count once."""
    for name, text in TEXTS.items():
        settled(page, page.locator("#documents button", has_text=name).click)
        assert text_of(page) == text
    assert page.locator("#text b").count() == 0


def test_a_region_is_the_passage(page: Page) -> None:
    settled(page, lambda: page.keyboard.press("n"))
    marked = page.locator("#text .region.chosen").evaluate_all("all => all.map(e => e.textContent)")
    assert "".join(marked) == RECALLED[10:]
    assert page.locator("#region-text").inner_text().strip() == RECALLED[10:].strip()
    assert RECALLED.find(page.locator("#prefix").inner_text()) in range(STRIDE)
    assert page.locator("#continuation .agreed").inner_text() == "Model's"
    facts = page.locator("#region .facts").inner_text()
    assert "25 of 30 tokens" in facts and "Others" in facts
    assert page.locator("#text .region.chosen").first.is_visible()


def test_guessed_regions_look_different(page: Page) -> None:
    settled(page, page.locator("#documents button", has_text="alpha.txt").click)
    text_of(page)
    assert page.locator("#text .region.guess").count() >= 1
    guessed = page.locator("#text .region.guess").first
    assert "tick tock" in guessed.inner_text()
    assert guessed.evaluate("e => getComputedStyle(e).borderTopStyle") == "dashed"


@pytest.mark.parametrize(("forth", "back"), [("n", "p"), ("ArrowRight", "ArrowLeft")])
def test_keys_walk_through_the_regions_of_all_documents(page: Page, forth: str, back: str) -> None:
    places = []
    for _ in range(5):
        settled(page, lambda: page.keyboard.press(forth))
        places.append(chosen(page))
    assert len(set(places)) == 4 and places[4] == places[0]
    assert {name for name, _ in places} == {"alpha.txt", "gamma.txt"}
    settled(page, lambda: page.keyboard.press(back))
    assert chosen(page) == places[3]


def test_buttons_walk_like_the_keys(page: Page) -> None:
    settled(page, page.locator("#next").click)
    first = chosen(page)
    settled(page, page.locator("#next").click)
    assert chosen(page) != first
    settled(page, page.locator("#previous").click)
    assert chosen(page) == first


def test_a_click_on_a_region_chooses_it_and_escape_leaves_it(page: Page) -> None:
    settled(page, page.locator("#documents button", has_text="alpha.txt").click)
    settled(page, page.locator("#text .region").first.click)
    assert chosen(page) == ("alpha.txt", "region 1 of 3")
    assert "Likeliest window" in page.locator("#readout").inner_text()
    settled(page, lambda: page.keyboard.press("Escape"))
    assert chosen(page) == ("alpha.txt", "3 regions")
    assert "Choose a region" in page.locator("#region").inner_text()


def test_documents_are_walked_by_keyboard_and_ordered(page: Page) -> None:
    first = page.locator("#text-title").inner_text()
    settled(page, lambda: page.keyboard.press("j"))
    assert page.locator("#text-title").inner_text() != first
    settled(page, lambda: page.keyboard.press("k"))
    assert page.locator("#text-title").inner_text() == first
    for order, expected in (("name", "alpha.txt"), ("tokens", "alpha.txt"), ("share", "alpha.txt")):
        settled(page, lambda order=order: page.locator("#order").select_option(order))
        assert page.locator("#documents .name").first.inner_text() == expected


def test_colours_follow_the_choice(page: Page) -> None:
    looks = {}
    for color in ("window", "token", "none"):
        settled(page, lambda color=color: page.locator("#color").select_option(color))
        looks[color] = page.locator("#text").inner_html(), page.locator("#legend").inner_text()
    assert len({html for html, _ in looks.values()}) == 3
    assert len({legend for _, legend in looks.values()}) == 3
    settled(page, lambda: page.locator("#text").focus())
    settled(page, lambda: page.keyboard.press("c"))
    assert page.locator("#color").input_value() == "window"


def test_a_likely_token_is_darker_than_an_unlikely_one(page: Page) -> None:
    settled(page, lambda: page.keyboard.press("n"))
    brightness = (
        "e => getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3)"
        ".reduce((sum, part) => sum + Number(part), 0)"
    )
    likely = page.locator("#text .region.chosen span").nth(2).evaluate(brightness)
    assert likely < 300
    assert page.locator("#text span[data-t].l5").count() > 0


def test_a_click_on_the_track_goes_there(page: Page) -> None:
    settled(page, page.locator("#documents button", has_text="gamma.txt").click)
    before = page.locator("#text").evaluate("host => host.scrollTop")
    box = page.locator("#track").bounding_box()
    assert box is not None
    place = {"x": box["width"] * 0.95, "y": 10}
    settled(page, lambda: page.locator("#track").click(position=place))
    assert page.locator("#text").evaluate("host => host.scrollTop") > before + 200


def test_the_other_model_has_its_own_documents(page: Page) -> None:
    settled(page, lambda: page.locator("#model").select_option("1"))
    assert page.locator("#documents .name").count() == 3
    assert page.locator("#text-title").inner_text() == "alpha.txt"


@pytest.mark.parametrize(
    ("button", "rows", "columns"),
    [
        ("documents", 4, {"document", "share_in_regions", "tokens_Guess"}),
        ("regions", 4, {"document", "start", "end", "log_p_z", "n_0.5", "text"}),
        ("windows", None, {"document", "offset", "log_p_z", "extracted"}),
    ],
)
def test_tables_are_downloaded(
    page: Page, button: str, rows: int | None, columns: set[str]
) -> None:
    if button != "windows":  # the sum over both models is not what a reader sees
        assert page.locator("#model").input_value() == "0"
    with page.expect_download() as download:
        page.locator(f"#csv-{button}").click()
    assert download.value.suggested_filename == f"{button}.csv"
    content = Path(download.value.path()).read_text(encoding="utf-8")
    table = list(csv.DictReader(io.StringIO(content)))
    assert columns <= set(table[0])
    assert {"block", "strip", "found"}.isdisjoint(table[0])
    assert len(table) == rows if rows else len(table) > 100
    if button == "regions":
        assert RECALLED[10:] in {row["text"] for row in table}


def test_the_theme_follows_the_system_and_the_button(browser: Browser, audit: Path) -> None:
    page, said = show(browser, audit, "dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark, strip = page.evaluate(ground), page.locator("#track").evaluate("c => c.toDataURL()")
    settled(page, page.locator("#theme").click)
    assert page.evaluate(ground) != dark
    assert page.locator("#track").evaluate("c => c.toDataURL()") != strip
    settled(page, lambda: page.keyboard.press("d"))
    assert page.evaluate(ground) == dark
    page.context.close()
    assert said == []


def test_the_address_keeps_the_view(page: Page) -> None:
    for key in ("c", "n", "n"):
        settled(page, lambda key=key: page.keyboard.press(key))
    before = chosen(page), page.locator("#color").input_value()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert (chosen(page), page.locator("#color").input_value()) == before


def test_every_control_is_reached_by_tab_and_has_a_name(page: Page) -> None:
    usable = "button:visible:not(:disabled), select:visible, canvas[tabindex], #text"
    name = "e => e.id || e.getAttribute('aria-label')"
    controls = page.locator(usable)
    wanted = {controls.nth(i).evaluate(name) for i in range(controls.count())}
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"({name})(document.activeElement)"))
    assert wanted <= reached
    unnamed = page.locator("button, select, canvas[tabindex]").evaluate_all(
        "all => all.filter(e => !(e.labels?.length || e.getAttribute('aria-label') || "
        "e.textContent.trim())).map(e => e.id)"
    )
    assert unnamed == []


def test_the_print_holds_the_whole_text(page: Page) -> None:
    settled(page, page.locator("#documents button", has_text="alpha.txt").click)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#list-card").is_hidden()
    sizes = page.locator("#text").evaluate("e => [e.scrollHeight, e.clientHeight]")
    assert abs(sizes[0] - sizes[1]) <= 2
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")


def test_a_page_that_would_be_too_large_leaves_texts_out(browser: Browser, tmp_path: Path) -> None:
    """The most reproduced one stays, and a short one for which there is room."""
    models = [audited_model("one", TEXTS)]
    whole = write_audit(tmp_path / "whole.html", models).read_text(encoding="utf-8")
    (tables,) = re.findall(r'id="study">(.*?)</script>', whole, re.DOTALL)
    limit = (18_000 + len(tables.encode()) + FRAME) / MEGABYTE
    path = write_audit(tmp_path / "audit.html", models, limit=limit)
    page, said = show(browser, path, "light")
    left_out = []
    for name in TEXTS:
        settled(page, page.locator("#documents button", has_text=name).click)
        if "not in the page" in page.locator("#text").inner_text():
            left_out.append(name)
            assert page.locator("#csv-windows").is_disabled()
            assert "windows reproduced" in page.locator("#summary").inner_text()
    assert left_out == ["gamma.txt"]
    settled(page, lambda: page.keyboard.press("n"))
    page.context.close()
    assert said == []


def test_an_audit_that_finds_nothing_says_so(browser: Browser, tmp_path: Path) -> None:
    model = audited_model("one", {"beta.txt": TEXTS["beta.txt"]})
    page, said = show(browser, write_audit(tmp_path / "audit.html", [model]), "light")
    assert "reproduces no window" in page.locator("#region").inner_text()
    assert "No region; the likeliest window has log p_z" in page.locator("#summary").inner_text()
    assert page.locator("#next").is_disabled() and page.locator("#previous").is_disabled()
    settled(page, lambda: page.keyboard.press("n"))
    page.locator("#csv-regions").click()
    page.context.close()
    assert said == []


def test_a_megabyte_opens_and_scrolls(browser: Browser, tmp_path: Path) -> None:
    path = write_audit(
        tmp_path / "audit.html", [audited_model("one", long_texts(1_000_000), stride=20)]
    )
    started = time.monotonic()
    page, said = show(browser, path, "light")
    assert time.monotonic() - started < 10  # 2 s on an idle machine
    drawn = page.locator("#text span[data-t]").count()
    assert 20 < drawn < 5000
    took = page.evaluate(
        """async () => {
          const host = document.getElementById("text"), times = [];
          for (let i = 0; i < 30; i++) {
            const start = performance.now();
            host.scrollTop = (i / 29) * host.scrollHeight;
            await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b)[15];
        }"""
    )
    assert took < 400
    assert page.locator("#text span[data-t]").count() < 8000  # what is far is not drawn
    settled(page, lambda: page.keyboard.press("n"))
    for _ in range(3):
        settled(page, lambda: page.keyboard.press("p"))
    mark = page.locator("#text .region.chosen").first
    mark.wait_for(state="visible")
    page.wait_for_timeout(300)
    box, host = mark.bounding_box(), page.locator("#text").bounding_box()
    assert box is not None and host is not None
    assert host["y"] <= box["y"] <= host["y"] + host["height"]
    page.context.close()
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 480])
def test_screenshots(browser: Browser, audit: Path, scheme: str, width: int) -> None:
    """Kept to be looked at; nothing may stick out at the side."""
    page, said = show(browser, audit, scheme, width)
    settled(page, lambda: page.keyboard.press("n"))
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"audit-{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()
    assert said == []
