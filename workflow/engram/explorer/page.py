"""The page: template, style, scripts and data in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engram.io import pages
from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.io.shipped import ROOT

SOURCES = ROOT / "workflow" / "explorer"
SCRIPTS = ("blocks", "colors", "maps", "text", "charts", "panels", "knockout", "main")
"""The page's scripts in the order in which they stand in it; they share one scope."""
MEGABYTE = 1_000_000


def render(study: Mapping[str, Any], blocks: Mapping[str, str], sources: Path = SOURCES) -> str:
    """Return the page.

    Args:
        study: what the page says, as JSON values; see `engram.explorer.content`.
        blocks: name → base 64 of deflated maps, which the page decodes when it shows them.
        sources: folder of explorer.html, explorer.css and the scripts.

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
        "scripts": pages.scripts(sources, SCRIPTS),
        "study": data,
        "blocks": "\n".join(pages.block(name, text) for name, text in blocks.items()),
    }
    return pages.fill(sources / "explorer.html", parts)


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
