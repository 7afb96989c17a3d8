"""Δ on disk, and the bins that its sums are kept in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engram.io.errors import EngramError
from engram.io.hdf5 import new_hdf5, open_hdf5, read_group, write_group
from engram.io.packing import query_key
from engram.io.spans import Spans

BLOCKS = ("first token", "within the prefix", "from suffix to prefix", "within the suffix")
"""Where a cell lies: key is the first token that the model read (its beginning-of-sequence token,
where it reads one); else query and key in the prefix; query in
the suffix and key in the prefix (the suffix looks back at the prompt: information flows from prefix
to suffix); both in the suffix. The last query of the prefix counts as one of the suffix, whose
first token it predicts; in blockwise maps (`engram.io.spans`), whose last row of the prefix has
more tokens than that, it does not. There, and where the model reads no special token first, the
first token is the first block. A causal model has no cells of prefix queries and suffix keys."""

_ARRAYS = ("delta", "spread", "profile", "binned", "attention", "sizes")
_OF_REGIONS = "region_delta"
_ATTRIBUTES = ("classes", "cnns", "n", "without_evidence", "dead", "prefix", "opening", "block")
_PLAIN = {"opening": 0, "block": 1}
"""Attributes that are left out where they have these values."""


@dataclass(frozen=True)
class Bins:
    """Cells of a map by block and by distance from query to key."""

    tokens: int
    """T, rows of a map."""
    prefix: int
    """Rows before the suffix: tokens of the opening and the prefix, or spans of them."""
    block: int = 1
    """Tokens of a row."""

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks and distances 0 … T − 1: (B, T)."""
        return len(BLOCKS), self.tokens

    @cached_property
    def place(self) -> np.ndarray:
        """The bin of every packed cell, flattened over (B, T): (P,)."""
        queries, keys = query_key(self.tokens)
        # The last query of the prefix predicts the first token of the suffix.
        before = queries < (self.prefix - 1 if self.block == 1 else self.prefix)
        block = np.select([keys == 0, before, keys < self.prefix], [0, 1, 2], 3)
        return block * self.tokens + queries - keys

    @cached_property
    def cells(self) -> np.ndarray:
        """Number of cells in each bin, (B, T)."""
        return np.bincount(self.place, minlength=self.shape[0] * self.tokens).reshape(self.shape)

    def sums(self, maps: np.ndarray) -> np.ndarray:
        """Return sums over the cells of each bin, (L, P) → (L, B, T)."""
        flat = np.zeros((len(maps), self.shape[0] * self.tokens), maps.dtype)
        for layer, values in enumerate(maps):
            flat[layer] = np.bincount(self.place, values, flat.shape[1])
        return flat.reshape(len(maps), *self.shape)


@dataclass(frozen=True)
class Saliency:
    """Δ of a set of CNNs by one method; K classes, C CNNs, L layers, P packed cells, G groups of
    samples, B blocks, T distances.
    """

    delta: np.ndarray
    """Mean over CNNs of Δ, float32 (K, L, P): attention weighted by evidence, in [0, 1]."""
    spread: np.ndarray
    """Standard deviation over CNNs of Δ, float32 (K, L, P); 0 for one CNN."""
    profile: np.ndarray
    """Sum of Δ over the cells of a layer, per CNN, float32 (C, K, L)."""
    classes: list[str]
    """Class names."""
    cnns: list[str]
    """Names of the CNNs."""
    n: list[int]
    """Samples per class, (K,)."""
    dead: int
    """CNNs whose evidence is zero everywhere, for every sample of every class; their Δ of 0 is part
    of the mean.
    """
    without_evidence: list[int]
    """Per class, pairs of CNN and sample where no C is positive and D therefore 0, (K,); those of
    dead CNNs included.
    """
    prefix: int
    """Tokens of the prefix."""
    binned: np.ndarray
    """Sums of D · A over the samples of a group and the cells of a bin, float32 (C, K, G, L, B, T);
    see `Bins`.
    """
    attention: np.ndarray
    """Sums of the largest head's attention likewise, float32 (K, G, L, B, T)."""
    sizes: np.ndarray
    """Samples in each group, (K, G); groups of 0 where a class has fewer samples than groups."""
    opening: int = 0
    """Special tokens in front of every window, the first rows and columns of its map."""
    block: int = 1
    """Tokens of every other row and column; L maps of P cells are of blocks, and distances T count
    blocks."""
    region_delta: np.ndarray | None = None
    """Δ over other samples than the test samples, by which knock-outs choose their regions, float32
    (K, L, P): validation samples, training samples where there is no validation split. None: not
    computed."""

    @property
    def bins(self) -> Bins:
        """The bins of `binned` and `attention`."""
        before = Spans(self.opening, self.prefix, 0, self.block).before_suffix
        return Bins(self.binned.shape[-1], before, self.block)

    @property
    def parts(self) -> list[str]:
        """What the four `BLOCKS` are called: a first block is named as such."""
        first_block = self.block > 1 and not self.opening
        return [f"first {self.block} tokens" if first_block else BLOCKS[0], *BLOCKS[1:]]


def write_saliency(path: Path, saliency: Mapping[str, Saliency], taxonomy: str) -> None:
    """Write one HDF5 group per method: its arrays as data sets, and what else `Saliency` says as
    attributes.
    """
    with new_hdf5(path) as file:
        for method, result in saliency.items():
            chosen = {} if result.region_delta is None else {_OF_REGIONS: result.region_delta}
            write_group(
                file.create_group(method),
                {name: getattr(result, name) for name in _ARRAYS} | chosen,
                _attributes(result) | {"taxonomy": taxonomy},
                compression="gzip",
                shuffle=True,
            )


def _attributes(result: Saliency) -> dict[str, Any]:
    """Return what a group has as attributes; those of `_PLAIN` are left out."""
    values = {name: getattr(result, name) for name in _ATTRIBUTES}
    return {k: value for k, value in values.items() if k not in _PLAIN or value != _PLAIN[k]}


def read_saliency(path: str | Path, method: str) -> Saliency:
    """Return the saliency of one method from a file that `write_saliency` wrote.

    Raises:
        EngramError: no such file, a damaged one, another schema version, or a method that it does
            not hold.
    """
    with open_hdf5(path) as file:
        if method not in file:
            raise EngramError(
                f"{path}: it holds {', '.join(file)}, not {method}; add {method} to "
                f"saliency.methods"
            )
        arrays, attributes = read_group(file[method])
    del attributes["taxonomy"]
    return Saliency(**arrays, **attributes)
