"""Square maps over (query, key) in rows and columns: what the figures of attention and of Δ share.

All maps of a figure are one image in one axes, in units of tokens: a hundred panels cost no more
than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from engram.figures.style import INK, SOFT, FigureStyle, wrap_class
from engram.io.errors import EngramError
from engram.io.packing import window_length
from engram.io.spans import Spans

_GAP = 0.12
"""White between two maps, in widths of a map."""


@dataclass(frozen=True)
class Parts:
    """What the rows and columns of a map are: special tokens, prefix, suffix; single tokens, or
    blocks of them (`engram.io.spans`).
    """

    prefix: int
    """Tokens of the prefix."""
    opening: int = 0
    """Special tokens in front of it."""
    block: int = 1
    """Tokens of every other row."""

    @property
    def before_suffix(self) -> int:
        """Rows before the suffix."""
        return Spans(self.opening, self.prefix, 0, self.block).before_suffix

    @property
    def unit(self) -> str:
        """What rows are, behind the name of an axis: nothing for tokens."""
        return "" if self.block == 1 else f" block ({self.block} tokens)"

    @property
    def borders(self) -> list[int]:
        """The rows that begin a new part."""
        return [row for row in (self.opening, self.before_suffix) if row]

    def ticks(self, tokens: int) -> list[tuple[str, float]]:
        """Return the labels of a map of `tokens` rows, each with the middle of what it names; rows
        are counted without the special tokens.
        """
        last = (f"{tokens - self.opening}", tokens - 0.5)
        prefix = (f"{self.before_suffix - self.opening}", self.before_suffix - 0.5)
        if not self.opening:
            return [("1", 0.5), prefix, last]
        name = "bos" if self.opening == 1 else f"{self.opening} special"
        return [(name, self.opening / 2), prefix, last]


@dataclass(frozen=True)
class Mosaic:
    """The position of each map."""

    rows: int
    columns: int
    """Maps side by side within a block."""
    blocks: int
    """Blocks side by side; the rows go on at the top of the next block."""
    tokens: int
    """T, the side of a map in tokens."""
    side: float
    """The side of a map in inches."""
    label: float
    """Room for row labels at the left of each block, in inches."""

    def origin(self, row: int, column: int) -> tuple[int, int]:
        """Return the left and upper edge, in tokens, of the map of a row 0 … and a column 0 … of
        its block.
        """
        pitch = self.tokens + round(_GAP * self.tokens)
        block, line = divmod(row, self.lines)
        room = round(self.label / self.side * self.tokens)
        return room + block * (self.columns * pitch + room) + column * pitch, line * pitch

    @property
    def lines(self) -> int:
        """Rows of a full block."""
        return -(-self.rows // self.blocks)

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height of the image in tokens."""
        left, _ = self.origin(self.lines * self.blocks - 1, self.columns - 1)
        return left + self.tokens, self.origin(self.lines - 1, 0)[1] + self.tokens

    def draw(
        self,
        maps: np.ndarray,
        parts: Parts,
        norm: Normalize,
        style: FigureStyle,
        above: float,
        below: float,
    ) -> tuple[Figure, Axes, AxesImage]:
        """Draw a figure with all maps, their outlines, and the borders of their parts.

        Args:
            maps: (rows, columns, T, T); NaN, as above the diagonal, is not drawn.
            parts: of every map.
            norm: from values to the colour map.
            above, below: room in inches.
        """
        width, height = self.extent
        image = np.full((height, width), np.nan)
        lines: list[list[tuple[float, float]]] = []
        borders: list[list[tuple[float, float]]] = []
        for row, column in np.ndindex(self.rows, self.columns):
            x, y = self.origin(row, column)
            image[y : y + self.tokens, x : x + self.tokens] = maps[row, column]
            lines.append([(x, y), (x, y + self.tokens), (x + self.tokens, y + self.tokens), (x, y)])
            # Suffix queries stand below the level line; suffix keys right of the upright one.
            borders += [
                [(x, y + row), (x + row, y + row), (x + row, y + self.tokens)]
                for row in parts.borders
            ]
        inch = self.tokens / self.side
        total = height / inch + above + below
        figure = Figure(figsize=(width / inch + 0.1, total))
        axes = figure.add_axes(
            (0, below / total, width / inch / (width / inch + 0.1), height / inch / total)
        )
        drawn = axes.imshow(
            image,
            cmap=style.cmap,
            norm=norm,
            extent=(0, width, height, 0),
            interpolation="none",
            aspect="auto",
        )
        axes.add_collection(LineCollection(lines, colors=SOFT, linewidths=0.5, joinstyle="miter"))
        axes.add_collection(
            LineCollection(borders, colors=INK, linewidths=0.5, linestyles=[(0, (3, 2))])
        )
        axes.set_xlim(-0.5, width + 0.5)
        axes.set_ylim(height + 0.5, -0.5)
        axes.set_axis_off()
        return figure, axes, drawn

    def head(
        self,
        axes: Axes,
        classes: Sequence[str],
        colors: Sequence[str],
        notes: Sequence[str],
        style: FigureStyle,
    ) -> None:
        """Class names over every block, underlined in the class's colour, with a note (or none)
        beneath each name.
        """
        for block in range(self.blocks):
            for column, (name, color, note) in enumerate(zip(classes, colors, notes, strict=True)):
                x, y = self.origin(block * self.lines, column)
                axes.annotate(
                    wrap_class(name),
                    (x, y),
                    (0, 16 if note else 7),
                    textcoords="offset points",
                    va="bottom",
                    fontweight="bold",
                    annotation_clip=False,
                )
                axes.annotate(
                    note,
                    (x, y),
                    (0, 7),
                    textcoords="offset points",
                    va="bottom",
                    color=SOFT,
                    fontsize=style.small,
                    annotation_clip=False,
                )
                axes.plot(
                    [x, x + self.tokens],
                    [y - 0.05 * self.tokens] * 2,
                    color=color,
                    linewidth=2.2,
                    clip_on=False,
                    solid_capstyle="butt",
                )

    def number(self, axes: Axes, row: int, title: str, note: str, style: FigureStyle) -> None:
        """A row's title and note at its left."""
        x, y = self.origin(row, 0)
        middle = y + self.tokens / 2
        axes.annotate(
            title,
            (x, middle),
            (-14, 1),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontweight="bold",
        )
        axes.annotate(
            note,
            (x, middle),
            (-14, -1),
            textcoords="offset points",
            ha="right",
            va="top",
            color=SOFT,
            fontsize=style.small,
        )

    def ruler(self, axes: Axes, parts: Parts, style: FigureStyle) -> None:
        """Draw the numbers of tokens or blocks: of the queries next to the first map, of the keys
        below the last map of the first column. They count from the window's first token; what the
        model reads in front of it has a name instead.
        """
        kwargs: dict[str, Any] = {
            "textcoords": "offset points",
            "color": SOFT,
            "fontsize": style.small - 1,
            "annotation_clip": False,
        }
        x, y = self.origin(0, 0)
        below = self.origin(self.lines - 1, 0)[1] + self.tokens
        for label, place in parts.ticks(self.tokens):
            axes.annotate(label, (x, y + place), (-2, 0), ha="right", va="center", **kwargs)
            axes.annotate(label, (x + place, below), (0, -2), ha="center", va="top", **kwargs)
        middle = (self.tokens + parts.before_suffix) / 2
        axes.annotate(
            f"key{parts.unit}",
            (x + middle, below),
            (0, -2),
            ha="center",
            va="top",
            **kwargs,
        )
        axes.annotate(
            f"query{parts.unit}",
            (x, y + middle),
            (-2, 0),
            ha="right",
            va="center",
            rotation=90 if parts.unit else 0,
            **kwargs,
        )


def check_maps(shape: tuple[int, ...], classes: Sequence[str], parts: Parts, figure: str) -> int:
    """Return T, the rows of packed maps (K, L, P), of which prefix and opening must be a part.

    Raises:
        EngramError: the shape is another; names the figure.
    """
    if len(shape) != 3 or 0 in shape or shape[0] != len(classes):
        raise EngramError(
            f"figure {figure}: maps of shape {shape} for {len(classes)} classes; expected "
            f"(classes, layers, packed values)"
        )
    try:
        tokens = window_length(shape[2])
    except ValueError as error:
        raise EngramError(f"figure {figure}: {error}") from None
    if parts.prefix <= 0 or not 0 <= parts.opening < parts.before_suffix < tokens:
        raise EngramError(
            f"figure {figure}: a prefix of {parts.prefix} of {tokens} tokens; it must leave a "
            f"suffix"
        )
    return tokens


def color_bar(
    figure: Figure,
    axes: Axes,
    drawn: AxesImage,
    mosaic: Mosaic,
    label: str,
    ticks: Sequence[float],
    bottom: float = 0.42,
) -> None:
    """A level bar at the right, below the maps, `bottom` inches above the figure's lower edge."""
    box, height = axes.get_position(), figure.get_figheight()
    width = min(2.2, 0.9 * mosaic.columns * mosaic.side) / figure.get_figwidth()
    bar = figure.colorbar(
        drawn,
        cax=figure.add_axes((box.x1 - width, bottom / height, width, 0.09 / height)),
        orientation="horizontal",
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2)
    bar.ax.minorticks_off()
    bar.set_ticks(list(ticks), labels=[f"{tick:g}" for tick in ticks])
    bar.set_label(label)
