"""Blockwise maps: attention pooled over squares of tokens, so that long windows have small maps.

A row, and a column, of a blockwise map is a *span* of neighbouring tokens. The special tokens that
a model reads first keep a span each; the prefix is cut into spans of b tokens from its first token
on, and the suffix likewise from its own, so that no span has tokens of both. The last span of
either is shorter where b does not divide its length. A cell of the map pools the values of all
pairs (query, key) of its two spans with the key no later than the query: their mean, or the largest
of them. Cells on the diagonal pool a triangle, cells above it do not exist, so a blockwise map is
packed (`engram.io.packing`) like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from engram.io.packing import Array, pack, packed_length, query_key, unpack

if TYPE_CHECKING:
    import torch

Pooling = Literal["mean", "max", "sum"]


@dataclass(frozen=True)
class Spans:
    """The tokens that every row and column of a map has; rows of single tokens where `block` is
    1.
    """

    opening: int
    """Special tokens in front of the window."""
    prefix: int
    """Tokens of the prefix."""
    suffix: int
    """Tokens of the suffix."""
    block: int = 1
    """b, tokens of a span."""

    @property
    def tokens(self) -> int:
        """T', what the model reads: opening, prefix and suffix."""
        return self.opening + self.prefix + self.suffix

    @property
    def before_suffix(self) -> int:
        """Rows of a map before the suffix."""
        return self.opening + blocks_of(self.prefix, self.block)

    @property
    def rows(self) -> int:
        """Rows of a map."""
        return self.before_suffix + blocks_of(self.suffix, self.block)

    @property
    def packed(self) -> int:
        """P, the values of a packed map."""
        return packed_length(self.rows)

    @cached_property
    def edges(self) -> np.ndarray:
        """The first token of every span, and behind the last one T': (rows + 1,), increasing."""
        suffix = self.opening + self.prefix
        return np.concatenate(
            [
                np.arange(self.opening),
                np.arange(self.opening, suffix, self.block),
                np.arange(suffix, self.tokens, self.block),
                [self.tokens],
            ]
        )

    @cached_property
    def row_of_token(self) -> np.ndarray:
        """The row of every token, (T',)."""
        return np.repeat(np.arange(self.rows), np.diff(self.edges))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Pairs of query and key that every packed cell pools, (P,)."""
        lengths = np.diff(self.edges)
        queries, keys = query_key(self.rows)
        squares = lengths[queries] * lengths[keys]
        return np.where(queries == keys, lengths[queries] * (lengths[queries] + 1) // 2, squares)

    def pool(self, packed: Array, how: Pooling) -> Array:
        """Return blockwise maps of maps of single tokens, (…, P of T') → (…, P).

        Raises:
            ValueError: the maps do not have T' rows.
        """
        if packed.shape[-1] != packed_length(self.tokens):
            raise ValueError(
                f"maps of {packed.shape[-1]} cells, {self.tokens} tokens have "
                f"{packed_length(self.tokens)}"
            )
        if self.block == 1:
            return packed
        square = unpack(packed)  # (…, T', T')
        first = self.edges[:-1]
        if isinstance(square, np.ndarray):
            reduce = np.maximum.reduceat if how == "max" else np.add.reduceat
            pooled = pack(reduce(reduce(square, first, axis=-1), first, axis=-2))
            return pooled / self.sizes.astype(pooled.dtype) if how == "mean" else pooled
        pooled = pack(pool_rows(square, self, 0, how))
        return pooled / self.sizes_on(pooled) if how == "mean" else pooled

    def expand(self, packed: Array) -> Array:
        """Return maps in which every pair of tokens has the value of its cell, (…, P) → (…, P of
        T').
        """
        if self.block == 1:
            return packed
        if isinstance(packed, np.ndarray):
            return packed[..., _cell_of_pair(self)]
        return packed.index_select(-1, _cell_of_pair_on(self, packed.device))

    def sizes_on(self, like: torch.Tensor) -> torch.Tensor:
        """Return `sizes` in the precision and on the device of a tensor."""
        return _sizes(self, like.dtype, like.device)

    def row_groups(self, tokens: int) -> list[tuple[int, int]]:
        """Return runs of whole spans of at most `tokens` tokens each, or of one span: first token,
        and the token behind the last.
        """
        groups: list[tuple[int, int]] = []
        for begin, end in zip(self.edges[:-1].tolist(), self.edges[1:].tolist(), strict=True):
            if groups and end - groups[-1][0] <= tokens:
                groups[-1] = (groups[-1][0], end)
            else:
                groups.append((begin, end))
        return groups


def pool_rows(weights: torch.Tensor, spans: Spans, begin: int, how: Pooling) -> torch.Tensor:
    """Return sums, or largest values, of the cells of whole rows of blockwise maps.

    Args:
        weights: (…, R, K), queries `begin` … begin + R - 1, which are whole spans, and keys 0 …
            K - 1, at least up to the last of them; 0 above the diagonal.
        spans: of the map.
        begin: the first query.
        how: `max`, or sums for all others.

    Returns:
        (…, rows, columns), rows and columns of the blockwise map up to the last query's.
    """
    first, last = np.searchsorted(spans.edges, [begin, begin + weights.shape[-2]]).tolist()
    columns = _reduce(weights[..., : begin + weights.shape[-2]], spans, 0, last, how)
    return _reduce(columns.transpose(-1, -2), spans, first, last, how).transpose(-1, -2)


def blocks_of(tokens: int, block: int) -> int:
    """Return how many blocks of a size hold so many tokens."""
    return -(-tokens // block)


@lru_cache(maxsize=2)
def _cell_of_pair(spans: Spans) -> np.ndarray:
    """Return the packed cell of every pair of tokens, (P of T',)."""
    queries, keys = query_key(spans.tokens)
    rows, columns = spans.row_of_token[queries], spans.row_of_token[keys]
    return rows * (rows + 1) // 2 + columns


@lru_cache(maxsize=2)
def _cell_of_pair_on(spans: Spans, device: torch.device) -> torch.Tensor:
    import torch

    return torch.from_numpy(_cell_of_pair(spans)).to(device)


@lru_cache(maxsize=64)
def _sizes(spans: Spans, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    import torch

    return torch.from_numpy(spans.sizes).to(device, dtype)


@lru_cache(maxsize=1024)
def _places(spans: Spans, begin: int, end: int, device: torch.device) -> tuple[torch.Tensor, int]:
    """Return where the tokens of rows `begin` to `end` - 1 lie on an axis that has these rows
    alone, flattened (rows · longest,), and how many tokens the longest of them has. Shorter spans
    are filled up with the place behind the last token.

    Kept on the device: a copy from the host would make a GPU wait in every layer.
    """
    import torch

    first, last = spans.edges[begin:end, None], spans.edges[begin + 1 : end + 1, None]
    longest = int((last - first).max())
    places = first + np.arange(longest)  # (rows, longest)
    places = np.where(places < last, places, spans.edges[end]) - spans.edges[begin]
    return torch.from_numpy(places.ravel()).to(device), longest


def _reduce(values: torch.Tensor, spans: Spans, begin: int, end: int, how: Pooling) -> torch.Tensor:
    """Reduce the last axis, the tokens of rows `begin` to `end` - 1, to these rows."""
    import torch

    index, longest = _places(spans, begin, end, values.device)
    if longest == 1:
        return values
    filled = torch.nn.functional.pad(values, (0, 1))  # with 0: values are not negative
    cells = filled.index_select(-1, index).unflatten(-1, (-1, longest))
    return cells.amax(-1) if how == "max" else cells.sum(-1)
