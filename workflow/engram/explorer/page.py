"""The page: template, style, scripts and data in one self-contained HTML file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    template = (sources / "explorer.html").read_text(encoding="utf-8")
    scripts = "\n".join((sources / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    try:
        data = json.dumps(study, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise EngramError(
            f"explorer: a number of the study cannot be shown ({error}); look for NaN in its tables"
        ) from None
    parts = {
        "title": f"{study['study']} – Engram explorer",
        "style": (sources / "explorer.css").read_text(encoding="utf-8"),
        "scripts": f'(function () {{\n"use strict";\n{scripts}\n}})();',
        # No text of a sample may end the element that it stands in, or open a comment.
        "study": data.replace("<", "\\u003c"),
        "blocks": "\n".join(
            f'<script type="application/octet-stream" id="{name}">{text}</script>'
            for name, text in blocks.items()
        ),
    }
    found = re.findall(r"\{\{(\w+)\}\}", template)
    if sorted(found) != sorted(parts):
        raise EngramError(
            f"{sources / 'explorer.html'}: it has the places {', '.join(found)}, the page needs "
            f"{', '.join(parts)}"
        )
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


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
