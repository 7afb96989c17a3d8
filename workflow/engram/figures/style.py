"""How every figure looks, which colour a class has, and how a figure reaches the disk: whole, and
the same bytes each time.

Figures are built on `matplotlib.figure.Figure` itself: no window system, no global state of pyplot.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ParamSpec

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from engram.figures.settings import FigureSettings
from engram.io.artifacts import whole
from engram.io.errors import EngramError

INK = "#222222"
"""Text, axes, and the series a figure is about."""
SOFT = "#767676"
"""Secondary text and the control series; readable on white (contrast 4.5)."""
FAINT = "#d9d9d9"
"""Guides that must not catch the eye."""
ACCENT = "#882255"
"""The one series that competes with the main one; far from every class colour."""

CLASS_COLORS: Mapping[str, str] = {
    "Non-Memo": "#555555",
    "Guess": "#e69f00",
    "Recall": "#0072b2",
    "Recite": "#56b4e9",
    "Recollect": "#cc79a7",
    "Reconstruct": "#d55e00",
    "Code": "#009e73",
    "Others": "#332288",
}
"""Colour of each category: the Okabe-Ito set, dark grey for what is not memorized and indigo for
the rest.
"""
_SPARE = ("#117733", "#999933", "#44aa99", "#aa4499", "#661100", "#ddcc77", "#6699cc")
"""Colours for categories that a user adds."""

# From white, so that zero is paper; lightness falls evenly and the darkest value still prints apart
# from black text.
_ENGRAM_MAP = (
    "#ffffff",
    "#e3ecf4",
    "#b5d0e6",
    "#7eb0d5",
    "#4a87ba",
    "#355f98",
    "#2b3a73",
    "#1b1b45",
)
_FAMILY = "DejaVu Sans"
"""Comes with matplotlib, so that every machine has it."""
_METADATA: Mapping[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_P = ParamSpec("_P")


class FigureStyle(FigureSettings):
    """The config's section `figures`, with what it means to matplotlib."""

    @property
    def cmap(self) -> Colormap:
        """Return the colour map; cells without a value stay white."""
        if self.colormap == "engram":
            colormap: Colormap = LinearSegmentedColormap.from_list("engram", _ENGRAM_MAP)
        else:
            colormap = matplotlib.colormaps[self.colormap]
        return colormap.with_extremes(bad="white")

    @property
    def small(self) -> float:
        """Return the size of notes (n, maxima) in points."""
        return 0.82 * self.font_size


@contextmanager
def use(style: FigureStyle) -> Iterator[None]:
    """Set matplotlib's parameters for the block: from its defaults, so that a user's
    matplotlibrc changes no figure.
    """
    size = style.font_size
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": _FAMILY,
                "font.size": size,
                "axes.titlesize": size,
                "axes.labelsize": size,
                "xtick.labelsize": size - 1,
                "ytick.labelsize": size - 1,
                "legend.fontsize": size - 1,
                "legend.frameon": False,
                "text.color": INK,
                "axes.edgecolor": INK,
                "axes.labelcolor": INK,
                "xtick.color": INK,
                "ytick.color": INK,
                "axes.linewidth": 0.6,
                "xtick.major.width": 0.6,
                "ytick.major.width": 0.6,
                "xtick.major.size": 2.5,
                "ytick.major.size": 2.5,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.axisbelow": True,
                "lines.linewidth": 1.3,
                "lines.solid_capstyle": "round",
                "grid.color": FAINT,
                "grid.linewidth": 0.5,
                # Element ids of an SVG come from this salt instead of a random one; letters as
                # outlines look alike everywhere.
                "svg.hashsalt": "engram",
                "svg.fonttype": "path",
            }
        )
        yield


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Run a figure function under the parameters of its keyword argument `style`."""

    @functools.wraps(draw)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with use(kwargs["style"]):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return wrapped


def save(figure: Figure, stem: str | Path, style: FigureStyle) -> list[Path]:
    """Write `<stem>.<format>` for every format of the style: all of them or none, and equal bytes
    for an equal figure.

    Returns:
        the files, in the order of `style.formats`.
    """
    stem = Path(stem)
    # Not `with_suffix`: a stem may hold a dot.
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in style.formats]
    with use(style), ExitStack() as files:
        for path, kind in zip(paths, style.formats, strict=True):
            temporary = files.enter_context(whole(path))
            figure.savefig(
                temporary,
                format=kind,
                dpi=style.dpi,
                bbox_inches="tight",
                pad_inches=0.08,
                metadata=_METADATA[kind],
            )
    return paths


def class_color(name: str, style: FigureStyle) -> str:
    """Return the colour of a class, `#rrggbb`, the same in every figure.

    The numbers of a class do not count (`Recite[5]` and `Recite[50]` are alike), a merged class
    (`Recite[5]-or-Guess`) takes the colour of its first member, and a category without a colour of
    its own gets one by its name.
    """
    category = name.split("-or-")[0].split("[")[0]
    color = {**CLASS_COLORS, **style.palette}.get(category)
    return to_hex(color or _SPARE[zlib.crc32(category.encode()) % len(_SPARE)])


def class_colors(names: Sequence[str], style: FigureStyle) -> list[str]:
    """Return the colours of a taxonomy's classes; of two that share one, the later is lightened."""
    colors: list[str] = []
    for name in names:
        color = class_color(name, style)
        while color in colors:
            red, green, blue = to_rgb(color)
            color = to_hex((0.6 * red + 0.4, 0.6 * green + 0.4, 0.6 * blue + 0.4))
        colors.append(color)
    return colors


def wrap_class(name: str) -> str:
    """Return a merged class's name on several lines, broken after each `-or-`."""
    return name.replace("-or-", "-or-\n")


def text_width(texts: Iterable[str], size: float, weight: str = "normal") -> float:
    """Return how many inches the longest line of some texts takes at a font size in points."""
    font = FontProperties(family=_FAMILY, size=size, weight=weight)
    lines = (line for text in texts for line in text.split("\n"))
    return (
        max(
            (text_to_path.get_text_width_height_descent(line, font, False)[0] for line in lines),
            default=0.0,
        )
        / 72
    )


def require(frame: pd.DataFrame, columns: Sequence[str], figure: str) -> None:
    """Check that a table has rows and the columns that a figure draws.

    Raises:
        EngramError: it has not; names the figure and the column.
    """
    if missing := [name for name in columns if name not in frame.columns]:
        raise EngramError(
            f"figure {figure}: column {', '.join(missing)} is missing; the table has "
            f"{', '.join(map(str, frame.columns)) or 'none'}"
        )
    if frame.empty:
        raise EngramError(
            f"figure {figure}: the table has no rows, so there is nothing to draw; check the rule "
            f"that writes it"
        )


def light_grid(axes: Axes, axis: str) -> None:
    """Faint lines to read values from, along one axis (`x` or `y`)."""
    axes.grid(visible=True, axis=axis)  # type: ignore[arg-type]
    axes.tick_params(axis=axis, length=0)  # type: ignore[arg-type]


def title_with_note(axes: Axes, title: str, note: str, style: FigureStyle) -> None:
    """A bold title above the axes and a small note (such as n) between the two."""
    axes.set_title(title, fontweight="bold", linespacing=1.25, pad=6 + 1.3 * style.small)
    axes.annotate(
        note,
        (0.5, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=SOFT,
        fontsize=style.small,
    )
