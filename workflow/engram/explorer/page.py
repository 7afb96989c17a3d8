"""The page: template, style, scripts and data in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram.explorer.blocks import MEGABYTE
from engram.io import pages
from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.io.shipped import ROOT

SOURCES = ROOT / "workflow" / "explorer"
_SHARED = ("blocks", "colors", "maps", "text", "charts", "page")


@dataclass(frozen=True)
class Page:
    """A page of the explorer: all of them have one shell, one style and the same first scripts."""

    body: str
    """File of what is between masthead and data, without `.html`."""
    subtitle: str
    """What follows the name of the study in the masthead."""
    scripts: Sequence[str]
    """In the order in which they are in the page; they share one scope."""


CLASSES = Page(
    "explorer",
    "single texts, where the model looks, and what gives their class away",
    (*_SHARED, "panels", "knockout", "main"),
)
PAIRS = Page(
    "pairs",
    "single texts, where two models look, and which of them was shown the text",
    (*_SHARED, "scorers", "pairs"),
)


def render(
    study: Mapping[str, Any],
    blocks: Mapping[str, str],
    page: Page = CLASSES,
    sources: Path = SOURCES,
) -> str:
    """Return the page.

    Args:
        study: what the page says, as JSON values; see `engram.explorer.content` and
            `engram.explorer.pairs`.
        blocks: name → base 64 of deflated maps, which the page decodes when it shows them.
        page: which of the pages.
        sources: folder of page.html, the bodies, explorer.css and the scripts.

    Raises:
        EngramError: the template lacks a place, or a number of the study is not finite.
    """
    try:
        data = pages.embedded(study)
    except ValueError as error:
        raise EngramError(
            f"explorer: a number of the study cannot be shown ({error}); look for NaN in its tables"
        ) from None
    parts = {
        "title": f"{study['study']} – Engram explorer",
        "style": (sources / "explorer.css").read_text(encoding="utf-8"),
        "subtitle": page.subtitle,
        "body": (sources / f"{page.body}.html").read_text(encoding="utf-8"),
        "scripts": pages.scripts(sources, page.scripts),
        "study": data,
        "blocks": "\n".join(pages.block(name, text) for name, text in blocks.items()),
    }
    return pages.fill(sources / "page.html", parts)


def write_page(page: str, path: Path, megabytes: float) -> None:
    """Write the page.

    Raises:
        EngramError: it is larger than `megabytes` (10⁶ bytes); a browser would open it slowly and a
            report carries it along.
    """
    data = page.encode("utf-8")
    if len(data) > megabytes * MEGABYTE:
        size = len(data) / MEGABYTE
        raise EngramError(
            f"{path}: {size:.1f} MB are more than explorer.megabytes, {megabytes:g}; lower "
            f"explorer.samples or raise the limit"
        )
    with whole(path) as temporary:
        temporary.write_bytes(data)
