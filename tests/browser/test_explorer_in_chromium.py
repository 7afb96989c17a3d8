"""The explorer in Chromium: every control changes what it should, by mouse and by keyboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chromium import SCREENSHOTS, pixels, settled, show
from playwright.sync_api import Browser, Page
from synthetic_study import write_study

from engram.explorer.content import collect
from engram.explorer.page import render, write_page
from engram.io.artifacts import read_parquet

MAPS = ("attention-map", "delta-map")


def seen(page: Page) -> dict[str, str]:
    """What a person reads and sees, by part of the page."""
    texts = (
        "tokens",
        "badges",
        "probabilities",
        "facts",
        "layer-number",
        "attention-note",
        "delta-note",
        "knockout",
    )
    maps = {name: pixels(page, name) for name in MAPS}
    return (
        {name: page.locator(f"#{name}").inner_text() for name in texts}
        | maps
        | {"profile": page.locator("#profile").inner_html()}
    )


def changed(page: Page, action: object) -> set[str]:
    """The parts of the page that an action changes."""
    before = seen(page)
    settled(page, action)
    return {name for name, content in seen(page).items() if content != before[name]}


def test_the_first_view_is_complete(page: Page) -> None:
    assert page.locator("#tokens .token").count() == 64
    assert page.locator("#strip button").count() == 4
    assert page.locator("#probabilities tr.one").count() == 3
    assert page.locator("#probabilities .true", has_text="true class").count() == 1
    blank = page.evaluate(
        "() => { const c = document.createElement('canvas'); c.width = c.height = 64; return "
        "c.toDataURL(); }"
    )
    assert all(pixels(page, name) != blank for name in MAPS)


def test_a_token_that_the_model_reads_first_has_a_row_and_a_name(page: Page) -> None:
    assert page.locator("#attention-map .tick", has_text="bos").count() == 0
    settled(page, lambda: page.locator("#model").select_option(index=1))
    assert page.locator("#tokens .token").count() == 65
    assert page.locator("#tokens .token.special").count() == 1
    assert page.locator("#tokens .token.prefix").count() == 32
    assert page.locator("#attention-map .tick", has_text="bos").count() == 2
    assert page.locator("#attention-map .tick.query", has_text="64").count() == 1
    size = page.locator("#attention-map canvas").evaluate("c => [c.width, c.height]")
    assert size == [65, 65]
    page.locator("#tokens .token").nth(1).hover()
    assert page.locator("#readout").inner_text().startswith("Token 1 ")
    assert " bos: " in page.locator("#readout").inner_text()
    settled(page, lambda: page.locator("#model").select_option(index=0))
    assert page.locator("#tokens .token").count() == 64
    assert page.locator("#attention-map .tick", has_text="bos").count() == 0


def test_rows_of_blocks_are_ranges_of_tokens(browser: Browser, tmp_path: Path) -> None:
    written = write_study(tmp_path / "study", samples=6, openings={"nursery": (0,)}, block=5)
    write_page(render(*collect(written)), tmp_path / "page.html", written.page.megabytes)
    page, said = show(browser, tmp_path / "page.html", "light")
    canvas = page.locator("#attention-map canvas")
    assert canvas.evaluate("c => [c.width, c.height]") == [15, 15]
    assert page.locator("#attention-map .tick.query").all_inner_texts() == [
        *("bos", "31–32", "63–64", "query")
    ]
    tokens = page.locator("#tokens .token")
    assert tokens.count() == 65
    tokens.nth(7).hover()
    assert page.locator("#readout").inner_text().startswith("Tokens 6–10 ")
    assert page.locator("#tokens .token.source").count() == 5
    assert page.locator("#tokens .token.lit").count() == 11  # bos and two blocks
    canvas.focus()
    page.keyboard.press("ArrowUp")
    assert "distance 0 blocks" in page.locator("#cell").inner_text()
    assert page.locator("#cell").inner_text().startswith("Query 58–62 ")
    page.context.close()
    assert said == []


def test_the_id_shown_is_that_of_the_study(page: Page, explorer: Path) -> None:
    labels = read_parquet(explorer.parent / "study" / "nursery" / "labels.parquet")
    shown = page.locator("#badges", has_text="sequence").inner_text()
    found = re.search(r"sequence (\d+)", shown)
    assert found and int(found[1]) > 2**53
    assert int(found[1]) in labels["sequence_id"].tolist()


def test_the_first_pixel_rows_are_those_of_the_data(page: Page) -> None:
    """The first query can only attend to itself: darkest at the diagonal, transparent beside it."""
    first = page.locator("#attention-map canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, 2, 1).data]"
    )
    assert first == [27, 27, 69, 255, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("select", "index", "parts"),
    [
        ("model", 1, {"tokens", "facts", "probabilities", "attention-map", "delta-map"}),
        ("protocol", 1, {"probabilities", "delta-map", "profile"}),
        ("taxonomy", 1, {"probabilities", "delta-map", "profile"}),
        (
            "class",
            1,
            {
                "tokens",
                "badges",
                "facts",
                "probabilities",
                "attention-map",
                "delta-map",
                "delta-note",
            },
        ),
        ("sample", 1, {"tokens", "badges", "facts", "probabilities", "attention-map"}),
        ("pooling", 1, {"attention-map", "attention-note"}),
        ("delta-class", 1, {"delta-map", "delta-note"}),
        ("method", 1, {"delta-map", "delta-note"}),
        ("scale", 1, {"attention-map", "delta-map"}),
    ],
)
def test_every_choice_changes_what_it_should(
    page: Page, select: str, index: int, parts: set[str]
) -> None:
    assert parts <= changed(page, lambda: page.locator(f"#{select}").select_option(index=index))


def test_delta_does_not_depend_on_the_sample_nor_attention_on_the_class_of_delta(
    page: Page,
) -> None:
    assert "delta-map" not in changed(page, lambda: page.locator("#sample").select_option(index=1))
    assert "attention-map" not in changed(
        page, lambda: page.locator("#delta-class").select_option(index=2)
    )


def test_the_layer_slider_moves_by_arrow_keys(page: Page) -> None:
    page.locator("#layer").focus()
    assert {"attention-map", "delta-map", "layer-number"} <= changed(
        page, lambda: page.keyboard.press("ArrowRight")
    )
    assert page.locator("#layer-number").inner_text() == "2 of 4"
    assert page.locator("#strip button[aria-pressed=true]").inner_text() == "2"


def test_a_layer_of_the_strip_or_of_the_curve_can_be_clicked(page: Page) -> None:
    settled(page, lambda: page.locator("#strip button").nth(2).click())
    assert page.locator("#layer-number").inner_text() == "3 of 4"
    settled(page, lambda: page.locator("#profile .hit").nth(3).click())
    assert page.locator("#layer-number").inner_text() == "4 of 4"


def test_the_steppers_walk_through_the_samples(page: Page) -> None:
    assert page.locator("#previous").is_disabled()
    texts = [page.locator("#tokens").inner_text()]
    while page.locator("#next").is_enabled():
        settled(page, lambda: page.locator("#next").click())
        texts.append(page.locator("#tokens").inner_text())
    assert len(set(texts)) == len(texts) == page.locator("#sample option").count() > 1


def test_arrow_keys_choose_sample_and_layer(page: Page) -> None:
    assert "tokens" in changed(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.locator("#sample").input_value() == "1"
    settled(page, lambda: page.keyboard.press("ArrowDown"))
    assert page.locator("#layer-number").inner_text() == "2 of 4"
    settled(page, lambda: page.keyboard.press("ArrowUp"))
    settled(page, lambda: page.keyboard.press("ArrowLeft"))
    assert (page.locator("#layer-number").inner_text(), page.locator("#sample").input_value()) == (
        "1 of 4",
        "0",
    )


def test_a_hovered_token_shows_where_it_attends(page: Page) -> None:
    page.locator("#tokens .token").nth(40).hover()
    assert page.locator("#tokens .token.lit").count() == 41
    assert page.locator("#readout").inner_text().startswith("Token 41")
    assert page.locator("#attention-map .row").get_attribute("y") == "40"
    colors = "tokens => tokens.map(token => token.style.getPropertyValue('--lit'))"
    first = page.locator("#tokens .token").evaluate_all(colors)
    settled(page, lambda: page.locator("#pooling").select_option("max"))
    page.locator("#tokens .token").nth(40).hover()
    assert page.locator("#tokens .token").evaluate_all(colors) != first
    page.mouse.move(2, 2)
    assert page.locator("#tokens .token.lit").count() == 0


def test_tokens_are_walked_by_keyboard(page: Page) -> None:
    page.locator("#next").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "token 1, prefix"
    )
    for _ in range(34):
        page.keyboard.press("ArrowRight")
    assert page.locator("#readout").inner_text().startswith("Token 35")
    assert page.locator("#tokens .token.lit").count() == 35
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Escape")
    assert page.locator("#tokens .token.lit").count() == 0


def test_a_cell_of_a_map_tells_its_value_and_lights_its_tokens(page: Page) -> None:
    box = page.locator("#delta-map canvas").bounding_box()
    assert box is not None
    side = box["width"] / 64
    page.locator("#delta-map canvas").hover(position={"x": 10.5 * side, "y": 50.5 * side})
    assert "distance 40" in page.locator("#cell").inner_text()
    assert page.locator("#tokens .token.source").count() == 2
    page.locator("#delta-map canvas").hover(position={"x": 50.5 * side, "y": 10.5 * side})
    assert page.locator("#tokens .token.source").count() == 0


def test_cells_are_walked_by_keyboard(page: Page) -> None:
    page.locator("#attention-map canvas").focus()
    for key in ("ArrowUp", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    assert (
        "Query 63" in page.locator("#cell").inner_text()
        and "key 61" in page.locator("#cell").inner_text()
    )
    assert page.locator("#layer-number").inner_text() == "1 of 4"


def test_cells_are_whole_pixels(page: Page) -> None:
    for name in MAPS:
        box = page.locator(f"#{name} canvas").bounding_box()
        assert box is not None and box["width"] == box["height"] and box["width"] % 64 == 0
        assert (
            page.locator(f"#{name} canvas").evaluate(
                "canvas => getComputedStyle(canvas).imageRendering"
            )
            == "pixelated"
        )


def test_every_control_is_reached_by_tab_and_has_a_name(page: Page) -> None:
    usable = (
        "button:visible:not(:disabled):not([tabindex='-1']), select:visible:not(:disabled), "
        "input:visible, canvas[tabindex]"
    )
    controls = page.locator(usable)
    wanted = {
        controls.nth(i).evaluate("e => e.id || e.getAttribute('aria-label')")
        for i in range(controls.count())
    }
    reached: set[str] = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('aria-label') || "
                "''"
            )
        )
    assert wanted <= reached
    names = page.locator("button, select, input, canvas[tabindex]").evaluate_all(
        "all => all.filter(e => !(e.labels?.length || e.getAttribute('aria-label') || "
        "e.textContent.trim())).map(e => e.id)"
    )
    assert names == []


def test_the_theme_follows_the_system_and_the_button(browser: Browser, explorer: Path) -> None:
    page, said = show(browser, explorer, "dark")
    dark, ground = (
        pixels(page, "attention-map"),
        page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor"),
    )
    settled(page, lambda: page.locator("#theme").click())
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert pixels(page, "attention-map") != dark
    assert page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor") != ground
    page.context.close()
    assert said == []


def test_the_address_keeps_the_view(page: Page) -> None:
    settled(page, lambda: page.locator("#class").select_option(index=2))
    settled(page, lambda: page.keyboard.press("m"))
    before = seen(page)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert seen(page) == before


def test_the_knock_out_shows_classes_the_sample_heads_and_regions(page: Page) -> None:
    assert page.locator("#knockout .line").count() == 4
    assert page.locator("#knockout .head-map").count() == 3
    assert page.locator("#knockout .regions tr.mean").count() == 3
    assert page.locator("#knockout .regions tr.control").count() == 6
    before = page.locator("#knockout").inner_html()
    page.locator("#measure").select_option("extracted")
    assert page.locator("#knockout").inner_html() != before
    assert page.evaluate("document.activeElement.id") == "measure"
    settled(page, lambda: page.locator("#taxonomy").select_option(index=1))
    assert "No knock-out was computed" in page.locator("#knockout").inner_text()


def test_a_class_without_samples_says_so(page: Page) -> None:
    page.evaluate(
        """() => { const data = document.getElementById("study"); const study = JSON.parse(data.textContent);
        for (const model of study.models) model.samples.length = 1; window.name = JSON.stringify(study); }"""
    )
    html = page.content()
    study = page.evaluate("window.name")
    start = html.index('<script type="application/json" id="study">') + len(
        '<script type="application/json" id="study">'
    )
    page.set_content(
        html[:start] + study.replace("<", "\\u003c") + html[html.index("</script>", start) :]
    )
    page.wait_for_selector("html[data-ready]")
    settled(page, lambda: page.locator("#class").select_option(index=2))
    assert "raise explorer.samples" in page.locator("#tokens").inner_text()
    assert page.locator("#attention-map canvas").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 480])
def test_screenshots(browser: Browser, explorer: Path, scheme: str, width: int) -> None:
    """Kept to be looked at; nothing may stick out at the side."""
    page, said = show(browser, explorer, scheme, width)
    settled(page, lambda: page.locator("#class").select_option(index=1))
    page.locator("#tokens .token").nth(44).focus()
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"explorer-{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()
    assert said == []
