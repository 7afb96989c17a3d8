"""The page: template, style, scripts and data in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engram.explorer.blocks import MEGABYTE
from engram.io import pages
from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.io.shipped import ROOT

SOURCES = ROOT / "workflow" / "explorer"
_SHARED = ("blocks", "colors", "maps", "text", "charts", "page")


def _page(body: str, subtitle: str, noun: str, scripts: Sequence[str]) -> pages.Page:
    """Return a page of the explorer: all of them have one style and the same first scripts."""
    return pages.Page(
        "Engram explorer",
        subtitle,
        SOURCES,
        body,
        "explorer",
        (*_SHARED, *scripts),
        words={"noun": noun},
    )


CLASSES = _page(
    "explorer",
    "single texts, where the model looks, and what gives their class away",
    "sample",
    ("panels", "knockout", "main"),
)
PAIRS = _page(
    "pairs",
    "single texts, where two models look, and which of them was shown the text",
    "window",
    ("scorers", "pairs"),
)


def render(study: Mapping[str, Any], blocks: Mapping[str, str], page: pages.Page = CLASSES) -> str:
    """Return the page.

    Args:
        study: what the page says, as JSON values; see `engram.explorer.content` and
            `engram.explorer.pairs`.
        blocks: name → base 64 of deflated maps, which the page decodes when it shows them.
        page: which of the pages.

    Raises:
        EngramError: a number of the study is not finite.
    """
    try:
        data = pages.embedded(study)
    except ValueError as error:
        raise EngramError(
            f"explorer: a number of the study cannot be shown ({error}); look for NaN in its tables"
        ) from None
    return page.render(
        study["study"], data, (pages.block(name, text) for name, text in blocks.items())
    )


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
