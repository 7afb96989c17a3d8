"""Parts of an audit's page that are there on request: reconstructions, and further tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from audited import (
    TEXTS,
    audited_model,
    further_tables,
    places,
    reconstruction,
    with_cnns,
    write_audit,
)
from chromium import SCREENSHOTS, show
from playwright.sync_api import Browser, Page

from engram.auditing.redaction import redacted, token_scores, without_text


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two models, one of which has reconstructed two documents and has classes."""
    path = tmp_path_factory.mktemp("audit") / "audit.html"
    one = replace(audited_model("one", TEXTS), reconstruction=reconstruction(), places=places())
    one = replace(one, regions=one.regions.assign(in_documents=1, in_reference=40))
    models = [with_cnns(one), audited_model("other", {"beta.txt": TEXTS["beta.txt"]})]
    return write_audit(path, models, tables=further_tables())


@pytest.fixture
def page(browser: Browser, audit: Path) -> Iterator[Page]:
    page, said = show(browser, audit, "light")
    yield page
    page.context.close()
    assert said == []


def opened(page: Page, name: str) -> None:
    """Opens a document from the list."""
    page.locator("#documents button", has_text=name).click()
    page.wait_for_timeout(120)


def test_a_reconstruction_shows_its_numbers_and_where_it_leaves_the_text(page: Page) -> None:
    opened(page, "alpha.txt")
    assert page.locator("#book-title").inner_text() == "Reconstruction of alpha.txt"
    cells = page.locator("#book-facts tr", has_text="before the first error").locator("td")
    assert cells.all_inner_texts() == ["360", "90"]
    assert page.locator("#book-written").inner_text() == "It was a <b>dark</b>"
    assert page.locator("#book-written .agreed").inner_text() == "It was "
    assert page.locator("#book-true").inner_text() == "the best"
    opened(page, "beta.txt")
    assert "to its last token" in page.locator("#book-text").inner_text()
    opened(page, "gamma.txt")
    assert page.locator("#book-card").is_hidden()


def test_the_curve_follows_the_measure_and_falls_where_the_text_is_lost(page: Page) -> None:
    opened(page, "alpha.txt")
    heights = "e => e.getAttribute('points').trim().split(/\\s+/).map(p => Number(p.split(',')[1]))"
    own = page.locator("#book-chart .own").evaluate(heights)
    true = page.locator("#book-chart .true").evaluate(heights)
    assert own[0] == true[0] and own[-1] > own[0] + 90 and len(set(true)) == 1
    page.locator("#book-measure").select_option("longest_common_run")
    run = page.locator("#book-chart .true").evaluate(heights)
    assert run[0] > true[0] + 90  # a run of one token of thirty
    assert "longest common run" in str(page.locator("#book-chart svg").get_attribute("aria-label"))


def test_classes_by_cnns_are_colours_numbers_and_columns(page: Page) -> None:
    opened(page, "alpha.txt")
    page.locator("#color").select_option("class")
    page.wait_for_timeout(120)
    assert page.locator("#legend-classes .kind").all_inner_texts() == ["Guess", "Others"]
    colors = {}
    for region, name, said in (("guess", "Guess", "0.8"), ("starts:not(.guess)", "Others", "0.9")):
        token = page.locator(f"#text .region.{region} [class^=k]").first
        colors[name] = token.evaluate("e => getComputedStyle(e).backgroundColor")
        token.click()
        page.wait_for_timeout(120)
        assert f"By CNNs {name}, probability {said}" in page.locator("#readout").inner_text()
        facts = page.locator("#region .facts").inner_text().split()
        assert facts[facts.index(name, facts.index("CNNs:")) + 1] == said
    assert colors["Guess"] != colors["Others"]
    with page.expect_download() as download:
        page.locator("#csv-windows").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert {row["cnn_class"] for row in rows} == {"", "Guess", "Others"}
    assert all((row["cnn_probability"] == "") == (row["extracted"] == "False") for row in rows)
    with page.expect_download() as download:
        page.locator("#csv-documents").click()
    assert "tokens_cnn_Guess" in Path(download.value.path()).read_text()
    page.locator("#model").select_option(label="other")
    page.wait_for_timeout(120)
    assert page.locator("#color").input_value() == "window"  # the other model has no classes
    assert page.locator("#color option[value=class]").is_disabled()
    assert page.locator("#about-classes").is_hidden()


def test_a_table_is_chosen_read_and_downloaded(page: Page) -> None:
    names = page.locator("#table option").all_inner_texts()
    assert names == ["Reconstructed documents", "Correlation with popularity"]
    assert page.locator("#table-rows tbody tr").count() == 4
    page.locator("#table").select_option(label="Correlation with popularity")
    assert page.locator("#table-rows td").all_inner_texts() == ["share_in_regions", "0.5"]
    with page.expect_download() as download:
        page.locator("#csv-table").click()
    assert download.value.suggested_filename == "audit_popularity.csv"
    content = Path(download.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert rows == [{"measure": "share_in_regions", "spearman": "0.5"}]
    page.locator("#model").select_option("1")
    page.wait_for_timeout(120)
    assert page.locator("#table-rows td").all_inner_texts() == ["share_in_regions", "–"]
    assert page.locator("#book-card").is_hidden()


def test_other_places_of_a_region_are_listed_and_lead_there(page: Page) -> None:
    opened(page, "alpha.txt")
    page.keyboard.press("n")
    page.wait_for_timeout(120)
    assert page.locator("#elsewhere li").all_inner_texts() == [
        "gamma.txt, tokens 2,900 to 2,974",
        "<b>pile</b>.txt, tokens 12 to 41",
    ]
    assert "1 in the documents, 40 in the reference" in page.locator("#region").inner_text()
    page.locator("#elsewhere button").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(250)
    assert page.locator("#text-title").inner_text() == "gamma.txt"
    assert page.locator("#text").evaluate("host => host.scrollTop") > 200
    with page.expect_download() as download:
        page.locator("#csv-regions").click()
    header = Path(download.value.path()).read_text().splitlines()[0].split(",")
    assert "in_reference" in header and "elsewhere" not in header


def test_a_document_in_a_table_opens_by_keyboard(page: Page) -> None:
    opened(page, "gamma.txt")
    page.locator("#table-rows button", has_text="beta.txt").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(120)
    assert page.locator("#text-title").inner_text() == "beta.txt"


def test_new_controls_are_reached_by_tab_and_have_names(page: Page) -> None:
    opened(page, "alpha.txt")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"book-measure", "table", "csv-table"} <= reached
    unnamed = page.locator("#book-card select, #tables-card select, #tables-card button")
    assert all(unnamed.evaluate_all("all => all.map(e => !!(e.labels?.length || e.textContent))"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_parts_fit_in_print_and_on_a_narrow_screen(
    browser: Browser, audit: Path, scheme: str
) -> None:
    page, said = show(browser, audit, scheme, 480)
    opened(page, "alpha.txt")
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
    SCREENSHOTS.mkdir(exist_ok=True)
    page.locator("#book-card").screenshot(path=SCREENSHOTS / f"audit-book-{scheme}-480.png")
    page.set_viewport_size({"width": 1400, "height": 900})
    page.screenshot(path=SCREENSHOTS / f"audit-parts-{scheme}.png", full_page=True)
    page.emulate_media(media="print")
    assert page.locator("#book-card").is_visible() and page.locator("#book-measure").is_hidden()
    page.context.close()
    assert said == []


def test_a_redacted_page_has_numbers_and_no_text(browser: Browser, tmp_path: Path) -> None:
    model = audited_model("one", TEXTS)
    documents, scored = without_text(token_scores(model.documents, model.scored))
    bare = replace(model, documents=documents, scored=scored, regions=redacted(model.regions))
    path = write_audit(tmp_path / "audit.html", [bare], redact=True)
    page, said = show(browser, path, "light")
    assert "Texts are left out" in page.locator("#text").inner_text()
    page.locator("#next").click()
    page.wait_for_timeout(120)
    assert "25 of 30 tokens" in page.locator("#region .facts").inner_text()
    assert page.locator("#region pre").count() == 0
    with page.expect_download() as download:
        page.locator("#csv-windows").click()
    assert Path(download.value.path()).read_text().count("\n") > 100
    page.locator("#track").click(position={"x": 300, "y": 10})
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert "Ishmael" not in page.content()
    page.context.close()
    assert said == []
