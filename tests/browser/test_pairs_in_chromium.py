"""The page of crossed pairs in Chromium: every control changes what it should, and what is seen is what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from chromium import SCREENSHOTS, pixels, settled, show
from playwright.sync_api import Browser, Page

from engram.explorer.pairs import outcome_names
from engram.io.artifacts import read_parquet

MAPS = ("first-map", "second-map", "difference-map", "delta-map")
FILTERS = ("stratum", "dose", "arm", "outcome", "named")
WINDOW = {"tokens", "badges", "models", "scorers", "facts", *MAPS[:3]}
"""What follows from the window."""


@pytest.fixture(scope="module")
def windows(pairs_explorer: Path) -> pd.DataFrame:
    """The windows of the first pair by id, with their outcome."""
    table = read_parquet(pairs_explorer.parent / "study/left/crossed/windows.parquet")
    return table.assign(outcome=outcome_names(table)).set_index("sequence_id")


def seen(page: Page) -> dict[str, str]:
    """What a person reads and sees, by part of the page."""
    texts = ("tokens", "badges", "models", "scorers", "facts", "list", "layer-number")
    return {name: page.locator(f"#{name}").inner_text() for name in texts} | {
        name: pixels(page, name) for name in MAPS
    }


def changed(page: Page, action: object) -> set[str]:
    """The parts of the page that an action changes."""
    before = seen(page)
    settled(page, action)  # type: ignore[arg-type]
    return {name for name, content in seen(page).items() if content != before[name]}


def shown_id(page: Page) -> int:
    """The sequence that the page shows."""
    found = re.search(r"window (\d+)", page.locator("#badges").inner_text())
    assert found
    return int(found[1])


def listed(page: Page) -> list[int]:
    """The sequences that pass the filters."""
    names = page.locator("#sample option").all_inner_texts()
    return [int(name.split(": ")[1]) for name in names]


def test_the_first_view_is_complete(pairs_page: Page, windows: pd.DataFrame) -> None:
    page = pairs_page
    assert page.locator("#tokens .token").count() == 64
    assert page.locator("#tokens .token.suffix").count() == 32
    assert page.locator("#strip button").count() == 3
    assert page.locator("#list tbody tr").count() == page.locator("#sample option").count() == 30
    colors = "c => new Set(c.getContext('2d').getImageData(0, 0, 64, 64).data).size"
    for name in MAPS:
        assert page.locator(f"#{name} canvas").evaluate(colors) > 20, name
    row = windows.loc[shown_id(page)]
    cells = page.locator("#models tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))"
    )
    yes = {True: "yes", False: "no"}
    assert cells[0] == ["0", str(row["exposures_1"]), str(row["exposures_2"])]
    assert cells[1] == [
        yes[row[f"{name}extracted{end}"]] for name, end in (("base_", ""), ("", "_1"), ("", "_2"))
    ]
    for number in (1, 2):
        nats = float(cells[2][number].replace("−", "-"))
        assert nats == pytest.approx(row[f"suffix_log_prob_{number}"], rel=0.01)


def test_scores_go_to_the_side_of_the_model_they_name(
    pairs_page: Page, pairs_explorer: Path
) -> None:
    page = pairs_page
    settled(page, lambda: page.locator("#arm").select_option("second"))
    folder = pairs_explorer.parent / "study/left/crossed"
    decisions = read_parquet(folder / "decisions.parquet")
    score = decisions[decisions["sequence_id"] == shown_id(page)]["score"].tolist()
    rows = page.locator("#scorers tbody tr")
    assert rows.count() == len(score) > 2
    for number, value in enumerate(score):
        row = rows.nth(number)
        said = float(row.locator(".number").inner_text().replace("−", "-"))
        assert said == pytest.approx(value, rel=0.01)
        bar, track = row.locator(".bar").bounding_box(), row.locator(".track").bounding_box()
        assert bar and track
        middle = track["x"] + track["width"] / 2
        if value < 0:
            assert bar["x"] + bar["width"] == pytest.approx(middle, abs=1)
        else:
            assert bar["x"] == pytest.approx(middle, abs=1)
        # It was shown to model 2.
        assert row.locator(".verdict").inner_text() == ("right" if value < 0 else "wrong")
        assert f"model {2 if value < 0 else 1}" in row.locator(".says").inner_text()


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_leaves_the_windows_that_it_counts(
    pairs_page: Page, windows: pd.DataFrame, name: str
) -> None:
    page = pairs_page
    options = page.locator(f"#{name} option")
    assert options.count() >= 3
    everything = listed(page)
    gathered: list[int] = []
    for value in options.evaluate_all("all => all.slice(1).map(option => option.value)"):
        label = page.locator(f"#{name} option[value='{value}']").inner_text()
        settled(page, lambda value=value: page.locator(f"#{name}").select_option(value))
        left = listed(page)
        assert len(left) == int(label.rsplit("(", 1)[1].rstrip(")")) > 0
        assert page.locator("#list tbody tr").count() == len(left)
        column = {"arm": "class"}.get(name, name)
        if name != "named":
            assert set(windows.loc[left, column].astype(str)) == {value}
        gathered += left
        settled(page, lambda: page.locator("#reset").click())
    assert set(gathered) == set(everything) and listed(page) == everything
    if name != "named":
        assert len(gathered) == len(everything)


def test_the_filter_of_a_scorer_goes_by_its_decision(
    pairs_page: Page, windows: pd.DataFrame, pairs_explorer: Path
) -> None:
    page = pairs_page
    folder = pairs_explorer.parent / "study/left/crossed"
    decisions = read_parquet(folder / "decisions.parquet").query(
        "input == 'attention_mean' and trained_on == 'all'"
    )
    score = decisions.set_index("sequence_id")["score"]
    for mark, sign in (("right", 1), ("wrong", -1)):
        settled(
            page,
            lambda mark=mark: page.locator("#named").select_option(f"{mark}: attention (mean)"),
        )
        ids = listed(page)
        model = windows.loc[ids, "arm"].map({1: 1, 2: -1})
        assert ((score.loc[ids] * model * sign) > 0).all() and len(ids) > 2
        assert set(page.locator("#list .verdict").all_inner_texts()) == {mark}
    settled(page, lambda: page.locator("#named").select_option("not asked"))
    assert set(windows.loc[listed(page), "class"]) == {"placebo", "both"}
    assert "no scorer is asked" in page.locator("#scorers").inner_text()


def test_filters_combine_and_count_what_the_others_leave(
    pairs_page: Page, windows: pd.DataFrame
) -> None:
    page = pairs_page
    settled(page, lambda: page.locator("#stratum").select_option("low"))
    settled(page, lambda: page.locator("#arm").select_option("first"))
    some = windows.loc[listed(page)]
    assert set(some["stratum"]) == {"low"} and set(some["class"]) == {"first"}
    counts = page.locator("#outcome option").all_inner_texts()[1:]
    assert dict(text.rsplit(" (", 1) for text in counts) == {
        name: f"{number})" for name, number in some["outcome"].value_counts().items()
    }
    assert page.locator("#arm option:checked").inner_text() == f"model 1 ({len(some)})"


def test_filters_without_a_window_say_so(pairs_page: Page) -> None:
    page = pairs_page
    page.goto(page.url.split("#")[0] + "#arm=placebo&outcome=drift")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert "passes all filters" in page.locator("#tokens").inner_text()
    assert page.locator("#sample").is_disabled() and page.locator("#next").is_disabled()
    assert page.locator("#facts").inner_text() == page.locator("#badges").inner_text() == ""
    settled(page, lambda: page.locator("#reset").click())
    assert page.locator("#tokens .token").count() == 64 and page.locator("#reset").is_disabled()


@pytest.mark.parametrize(
    ("select", "index", "parts", "kept"),
    [
        ("pair", 1, {*WINDOW, "delta-map", "list"}, set()),
        ("sample", 1, WINDOW, {"delta-map"}),
        ("pooling", 1, set(MAPS[:3]), {"delta-map", "tokens", "scorers"}),
        ("scale", 1, set(MAPS), {"tokens", "scorers"}),
    ],
)
def test_every_choice_changes_what_it_should(
    pairs_page: Page, select: str, index: int, parts: set[str], kept: set[str]
) -> None:
    page = pairs_page
    changes = changed(page, lambda: page.locator(f"#{select}").select_option(index=index))
    assert parts <= changes and not kept & changes


def test_the_second_pair_has_a_row_for_the_token_read_first(pairs_page: Page) -> None:
    page = pairs_page
    settled(page, lambda: page.locator("#pair").select_option(index=1))
    assert page.locator("#tokens .token.special").count() == 1
    for name in MAPS:
        assert page.locator(f"#{name} canvas").evaluate("c => c.width") == 65
    assert "(north)" in page.locator("#first-note").inner_text()
    assert page.locator("#scorers tr.mean").count() == 1


def test_maps_have_the_signs_and_scales_that_their_legends_say(pairs_page: Page) -> None:
    """Both models share a scale; the difference is blue where model 1 attends more, orange where model 2 does."""
    page = pairs_page
    ends = {
        name: page.locator(f"#{name}-legend .ends").inner_text().split()
        for name in ("first", "second", "difference", "delta")
    }
    assert ends["first"] == ends["second"] and ends["first"][0] == "0"
    for name in ("difference", "delta"):
        low, middle, high = page.locator(f"#{name}-legend .ends span").all_inner_texts()
        assert (low[0], middle, high[0]) == ("−", "0", "+") and low[1:] == high[1:]
    canvas = page.locator("#difference-map canvas")
    box = canvas.bounding_box()
    assert box
    side, signs = box["width"] / 64, set()
    row = canvas.evaluate("c => [...c.getContext('2d').getImageData(0, 50, 64, 1).data]")
    for key in range(0, 40, 2):
        canvas.hover(position={"x": (key + 0.5) * side, "y": 50.5 * side})
        values = re.search(
            r"model 1 ([\d.]+), model 2 ([\d.]+), difference ([+−])([\d.]+),",
            page.locator("#cell").inner_text(),
        )
        if not values or float(values[4]) < 0.005:
            continue
        first, second, difference = float(values[1]), float(values[2]), float(values[4])
        assert abs(abs(first - second) - difference) < 0.005
        assert (first > second) == (values[3] == "+")
        red, _, blue = row[4 * key : 4 * key + 3]
        assert (blue > red) == (first > second), values[0]
        signs.add(first > second)
    assert signs == {True, False}


def test_the_text_is_coloured_by_what_is_chosen(pairs_page: Page) -> None:
    page = pairs_page
    colors = "tokens => tokens.map(token => token.style.getPropertyValue('--lit'))"
    images = []
    for value, words in (
        ("first", "model 1 looks"),
        ("second", "model 2 looks"),
        ("difference", "model 1 − model 2 in layer 1"),
    ):
        settled(page, lambda value=value: page.locator("#lit").select_option(value))
        page.locator("#tokens .token").nth(40).hover()
        assert page.locator("#tokens .token.lit").count() == 41
        assert words in page.locator("#readout").inner_text()
        images.append(str(page.locator("#tokens .token").evaluate_all(colors)))
    assert len(set(images)) == 3
    for name in MAPS:
        assert page.locator(f"#{name} .row").get_attribute("y") == "40"
    assert "blue" in page.locator("#lit-note").inner_text()


def test_a_line_of_the_list_shows_its_window(pairs_page: Page, windows: pd.DataFrame) -> None:
    page = pairs_page
    settled(page, lambda: page.locator("#list tbody tr").nth(4).click())
    assert page.locator("#sample").input_value() == "4"
    assert (
        page.locator("#list tr[aria-current] td").nth(3).inner_text()
        == windows.loc[shown_id(page), "outcome"]
    )
    settled(page, lambda: page.locator("#list tbody tr").nth(6).locator("button").click())
    assert shown_id(page) == listed(page)[6]


def test_steppers_and_keys_walk(pairs_page: Page) -> None:
    page = pairs_page
    assert page.locator("#previous").is_disabled()
    settled(page, lambda: page.locator("#next").click())
    settled(page, lambda: page.keyboard.press("ArrowRight"))
    assert shown_id(page) == listed(page)[2]
    settled(page, lambda: page.locator("#previous").click())
    settled(page, lambda: page.keyboard.press("ArrowDown"))
    assert (
        page.locator("#layer-number").inner_text() == "2 of 3" and shown_id(page) == listed(page)[1]
    )
    settled(page, lambda: page.locator("#strip button").nth(2).click())
    assert page.locator("#layer-number").inner_text() == "3 of 3"
    settled(page, lambda: page.locator("#profile .hit").nth(0).click())
    assert page.locator("#layer-number").inner_text() == "1 of 3"
    assert set(MAPS[:3]) <= changed(page, lambda: page.keyboard.press("m"))
    assert page.locator("#pooling").input_value() == "max"
    settled(page, lambda: page.keyboard.press("d"))
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_layer_slider_and_cells_take_arrow_keys(pairs_page: Page) -> None:
    page = pairs_page
    page.locator("#layer").focus()
    assert set(MAPS) <= changed(page, lambda: page.keyboard.press("ArrowRight"))
    page.locator("#delta-map canvas").focus()
    for key in ("ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    words = page.locator("#cell").inner_text()
    assert "Query 63" in words and "key 62" in words and "Δ " in words
    page.keyboard.press("Escape")
    assert page.locator("#cell").inner_text().startswith("Move over a map")


def test_the_address_keeps_the_view(pairs_page: Page) -> None:
    page = pairs_page
    settled(page, lambda: page.locator("#arm").select_option("second"))
    settled(page, lambda: page.locator("#lit").select_option("difference"))
    settled(page, lambda: page.locator("#sample").select_option(index=2))
    before = seen(page)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert seen(page) == before and page.locator("#lit").input_value() == "difference"


def test_every_control_is_reached_by_tab_and_has_a_name(pairs_page: Page) -> None:
    page = pairs_page
    usable = "button:visible:not(:disabled):not([tabindex='-1']), select:visible:not(:disabled), input:visible, canvas[tabindex]"
    name = "e => e.id || e.getAttribute('aria-label')"
    controls = page.locator(usable)
    wanted = {controls.nth(i).evaluate(name) for i in range(controls.count())}
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''"
            )
        )
    assert wanted <= reached and {"pair", *FILTERS, "lit", "reset"} - {"reset"} <= wanted
    unnamed = page.locator("button, select, input, canvas[tabindex]").evaluate_all(
        "all => all.filter(e => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).map(e => e.id)"
    )
    assert unnamed == []


def test_an_edition_says_where_the_rest_is(pairs_page: Page) -> None:
    """The report's edition names the whole page; the whole page has nothing to say."""
    page = pairs_page
    assert not page.locator("#edition").is_visible()
    page.set_content(page.content().replace('"whole":0', '"whole":77'))
    page.wait_for_selector("html[data-ready]")
    assert (
        page.locator("#edition")
        .inner_text()
        .endswith("explorer_pairs.html in the study’s folder has 77.")
    )


def test_a_printed_page_leaves_the_list_out(pairs_page: Page) -> None:
    pairs_page.emulate_media(media="print")
    assert (
        not pairs_page.locator("#list-card").is_visible()
        and not pairs_page.locator("#theme").is_visible()
    )
    assert (
        pairs_page.locator("#tokens").is_visible()
        and pairs_page.locator("#difference-map").is_visible()
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 480])
def test_screenshots(browser: Browser, pairs_explorer: Path, scheme: str, width: int) -> None:
    """Kept to be looked at; nothing may stick out at the side."""
    page, said = show(browser, pairs_explorer, scheme, width)
    settled(page, lambda: page.locator("#lit").select_option("difference"))
    page.locator("#tokens .token").nth(44).focus()
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"explorer_pairs-{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inside = "cards => cards.every(card => card.scrollWidth <= card.clientWidth + 1)"
    assert page.locator(".card").evaluate_all(inside)
    page.context.close()
    assert said == []
