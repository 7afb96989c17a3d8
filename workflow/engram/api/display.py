"""How results of the front door look in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

from engram.figures.style import FigureStyle
from engram.io.errors import printable
from engram.io.spans import Spans

STYLE = FigureStyle()
"""The default look of the figures."""


def shown(figure: Figure) -> Figure:
    """Have Jupyter draw a figure, without `%matplotlib inline`, and return it."""

    def png() -> bytes:
        image = BytesIO()
        figure.savefig(image, format="png", dpi=110, bbox_inches="tight")
        return image.getvalue()

    vars(figure)["_repr_png_"] = png
    return figure


def parts_text(opening: int, prefix: int, suffix: int) -> str:
    """Return the tokens of a window's parts, and of the special ones in front of it, as text."""
    special = f"{opening} special + " if opening else ""
    return f"{special}{prefix} + {suffix}"


def html_table(title: str, facts: Mapping[str, Any]) -> str:
    """Return a title and a table of facts as HTML, half characters as escapes."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(printable(str(name)))}</th>"
        f"<td style='text-align:left'>{escape(printable(str(value)))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<div><strong>{escape(printable(title))}</strong><table>{rows}</table></div>"


def map_text(opening: int, prefix: int, rows: int, block: int) -> str:
    """Return the rows of the parts of a map as text, and what they are where they are not single
    tokens.

    Args:
        opening: special tokens.
        prefix: tokens of the prefix.
        rows: of the whole map.
        block: tokens of a row.
    """
    before = Spans(opening, prefix, 0, block).before_suffix
    unit = f" blocks of {block}" * (block > 1)
    return parts_text(opening, before - opening, rows - before) + unit
