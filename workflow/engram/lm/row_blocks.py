"""Attention of long windows in blocks of queries: not even one layer's weights of all heads, (b, H,
T, T), are in memory at once.

A softmax is taken over the keys of one query, so an architecture's eager attention gives a block of
queries the same weights whether it sees the others or not. It is called once per block, with the
block's rows of the mask and with the keys up to the block's last query: later ones are masked in a
causal model. Sinks, capped scores, sliding windows and grouped queries stay the model's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

ROWS = 64
"""Queries of a block."""
WHOLE = 160
"""Longest window, opening included, whose weights are computed in one piece: small enough that
blocks would save nothing."""


def rows_of_block(positions: int) -> int:
    """Return how many queries of a window of so many positions are computed at a time."""
    return positions if positions <= WHOLE else ROWS


@dataclass(frozen=True)
class RowBlock:
    """What an eager attention function is called with for some queries of a window."""

    begin: int
    """First query."""
    arguments: tuple[Any, ...]
    """Query, key, value and mask of the block: (b, H, R, d), (b, G, begin + R, d) twice and
    (b, 1, R, begin + R)."""
    later: torch.Tensor
    """Whether the mask lets any query of the block see a key behind it, a bool; False in a causal
    model."""


def can_be_cut(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Return whether the arguments of an eager attention function can be cut into blocks.

    They can where query, keys and a float mask cover one window and nothing else depends on the
    query, a bias for instance.

    Args:
        arguments: those after the module.
        options: the keyword arguments.
    """
    if len(arguments) != 4 or not all(isinstance(tensor, torch.Tensor) for tensor in arguments):
        return False
    query, key, value, mask = arguments
    if not query.ndim == key.ndim == value.ndim == mask.ndim == 4 or not mask.is_floating_point():
        return False
    window = query.shape[2]
    biased = any(
        isinstance(option, torch.Tensor) and option.ndim > 2 for option in options.values()
    )
    return (key.shape[2], value.shape[2], *mask.shape[2:]) == (window,) * 4 and not biased


def row_blocks(arguments: tuple[Any, ...], cuts: Iterable[tuple[int, int]]) -> Iterator[RowBlock]:
    """Yield the blocks of an attention function's arguments, first queries first.

    Args:
        arguments: query (b, H, T, d), key and value (b, G, T, d), mask (b or 1, 1 or H, T, T), for
            which `can_be_cut` is true.
        cuts: first query of every block, and the query behind its last.
    """
    query, key, value, mask = arguments
    hidden = torch.finfo(mask.dtype).min / 2
    for begin, end in cuts:
        queries = slice(begin, end)
        yield RowBlock(
            begin,
            (
                query[:, :, queries],
                key[:, :, :end],
                value[:, :, :end],
                mask[:, :, queries, :end],
            ),
            (mask[:, :, queries, end:] > hidden).any(),
        )
