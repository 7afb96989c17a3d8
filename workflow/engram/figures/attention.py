"""Attention maps of one example per class (paper, Figure 3), with its text beneath."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from engram.figures.maps import Mosaic, Parts, check_maps, color_bar
from engram.figures.style import INK, FigureStyle, class_colors, styled, text_width, wrap_class
from engram.io.errors import EngramError
from engram.io.packing import unpack

_LAYERS = 6
"""Most layers that are drawn; of more, these many are chosen at even distances, the first and the
last among them.
"""
_FLOOR = 2e-3
"""Least attention that has its own colour: an eighth of what each of 64 tokens gets from an
indifferent head.
"""
_LINES = 9
"""Most lines of text under a column."""
_FONT = "DejaVu Sans Mono"
_MARKS = {"\n": "↵", "\t": "⇥"}


@styled
def attention_examples(
    attention: np.ndarray,
    classes: Sequence[str],
    texts: Sequence[str],
    prefix: int,
    *,
    opening: int = 0,
    block: int = 1,
    style: FigureStyle,
) -> Figure:
    """Draw attention, mean over heads, of one sample per class (columns) in up to six layers
    (rows); one logarithmic colour scale.

    The scale is the same for all maps: the first token attends only to itself, so every map's
    maximum is 1.

    Args:
        attention: (K, L, P), packed lower triangles, one sample per class.
        classes: the K class names.
        texts: the K samples' texts.
        prefix: tokens of the prefix.
        opening: special tokens in front of it.
        block: tokens of a row of the maps.

    Raises:
        EngramError: the shapes do not fit or there is nothing to draw.
    """
    parts = Parts(prefix, opening, block)
    tokens = check_maps(attention.shape, classes, parts, "attention_examples")
    if len(texts) != len(classes):
        raise EngramError(
            f"figure attention_examples: {len(texts)} texts for {len(classes)} classes"
        )
    layers = spread_layers(attention.shape[1])
    maps = unpack(attention[:, layers].clip(_FLOOR, 1), fill=np.nan)  # (K, chosen, T, T)
    side = max(
        1.6, text_width([wrap_class(name) for name in classes], style.font_size, "bold") / 1.1
    )
    mosaic = Mosaic(len(layers), len(classes), 1, tokens, side, label=0.8)
    size = style.small - 0.5
    # DejaVu Sans Mono is 0.602 of its size wide; lines stand 1.2 apart.
    lines = [shorten(text, int(1.02 * side / (0.602 * size / 72))) for text in texts]
    room = 1.2 * size / 72 * max(map(len, lines))  # inches
    figure, axes, drawn = mosaic.draw(
        maps.swapaxes(0, 1), parts, LogNorm(_FLOOR, 1), style, above=0.6, below=room + 1.0
    )
    mosaic.head(axes, classes, class_colors(classes, style), [""] * len(classes), style)
    for row, layer in enumerate(layers):
        mosaic.number(axes, row, f"layer {layer + 1}", f"of {attention.shape[1]}", style)
    mosaic.ruler(axes, parts, style)
    for column, text in enumerate(lines):
        x, y = mosaic.origin(len(layers) - 1, column)
        axes.annotate(
            "\n".join(text),
            (x, y + tokens),
            (0, -15),
            textcoords="offset points",
            va="top",
            family=_FONT,
            fontsize=size,
            annotation_clip=False,
            parse_math=False,
            linespacing=1.2,
        )
    color_bar(
        figure,
        axes,
        drawn,
        mosaic,
        "attention, mean over heads (log scale)",
        (0.002, 0.01, 0.05, 0.2, 1),
    )
    return figure


@styled
def attention_heads(
    attention: np.ndarray, title: str, prefix: int, *, opening: int = 0, style: FigureStyle
) -> Figure:
    """Draw attention of single heads (columns, up to six) in up to six layers (rows) of one
    sequence; one logarithmic colour scale.

    Args:
        attention: (L, H, P), packed lower triangles.
        title: what the sequence is.
        prefix: tokens of the prefix.
        opening: special tokens in front of it.
    """
    layers, heads = spread_layers(attention.shape[0]), spread_layers(attention.shape[1])
    names = [f"head {head + 1}" for head in heads]
    chosen = attention[np.ix_(layers, heads)].clip(_FLOOR, 1)  # (rows, columns, P)
    parts = Parts(prefix, opening)
    tokens = check_maps(chosen.swapaxes(0, 1).shape, names, parts, "attention_heads")
    mosaic = Mosaic(len(layers), len(heads), 1, tokens, 1.3, label=0.8)
    figure, axes, drawn = mosaic.draw(
        unpack(chosen, fill=np.nan), parts, LogNorm(_FLOOR, 1), style, above=0.8, below=1.0
    )
    mosaic.head(axes, names, [INK] * len(names), [""] * len(names), style)
    for row, layer in enumerate(layers):
        mosaic.number(axes, row, f"layer {layer + 1}", f"of {attention.shape[0]}", style)
    mosaic.ruler(axes, parts, style)
    figure.suptitle(title, fontsize=style.font_size)
    color_bar(
        figure,
        axes,
        drawn,
        mosaic,
        "attention of one head (log scale)",
        (0.002, 0.01, 0.05, 0.2, 1),
    )
    return figure


def spread_layers(layers: int) -> list[int]:
    """Return at most six layers, 0-based, at even distances, the first and the last among them."""
    return sorted(
        {round(position) for position in np.linspace(0, layers - 1, min(layers, _LAYERS))}
    )


def shorten(text: str, width: int) -> list[str]:
    """Return a text in lines of `width` characters that can be drawn: line breaks and tabs as
    marks, what the font lacks as escapes.
    """
    font = get_font(findfont(FontProperties(family=_FONT)))
    shown = "".join(
        _MARKS.get(c) or (c if c.isprintable() and font.get_char_index(ord(c)) else ascii(c)[1:-1])
        for c in text
    )
    if len(shown) > width * _LINES:
        shown = shown[: width * _LINES - 1] + "…"
    return [shown[start : start + width] for start in range(0, len(shown), width)]
