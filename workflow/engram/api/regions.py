"""Regions of attention that Δ chose, which remember the texts that they were chosen by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from engram.api.display import html_table, map_text
from engram.io.errors import EngramError
from engram.io.packing import unpack, window_length
from engram.io.spans import Spans
from engram.knockout.regions import random_region


@dataclass(frozen=True, repr=False, eq=False)
class Region:
    """Cells (query, key) in layers, to be knocked out."""

    cells: np.ndarray
    """bool (L, P), packed."""
    name: str
    """What `engram.knock_out` calls it in its table."""
    prefix: int
    """Tokens of the prefix."""
    chosen_by: frozenset[str]
    """Content hashes of the texts that chose the cells; see `engram.api.content.halves`."""
    texts: int
    """How many texts these are."""
    opening: int = 0
    """Special tokens in front of every text, the first rows and columns of its map."""
    block: int = 1
    """Tokens of every other row and column; a cell is all its pairs of query and key."""

    @property
    def share(self) -> float:
        """Share of all cells of all layers."""
        return float(self.cells.mean())

    @property
    def layers(self) -> pd.DataFrame:
        """Cells of the region per layer: layer (from 1), cells, share (of the layer's cells)."""
        counts = self.cells.sum(axis=1)
        return pd.DataFrame(
            {
                "layer": np.arange(1, len(counts) + 1),
                "cells": counts,
                "share": counts / self.cells.shape[1],
            }
        )

    @property
    def mask(self) -> np.ndarray:
        """The cells unpacked, bool (L, T', T'): [l, query, key], rows of blocks where there are
        blocks.
        """
        return unpack(self.cells)

    def control(self, draw: int = 1) -> Region:
        """Return random cells to compare the region with: as many in every layer and block.

        A block is the part of the text that a cell links: within the prefix, from the suffix to
        the prefix, or within the suffix; special tokens in front count as prefix. Cells of the
        region itself are drawn only where a block runs out of others.

        Args:
            draw: number of the draw; every number gives other cells, the same each time.
        """
        generator = np.random.default_rng([draw, int(self.cells.sum())])
        before = Spans(self.opening, self.prefix, 0, self.block).before_suffix
        cells = random_region(self.cells, before, generator)
        return replace(self, cells=cells, name=f"{self.name}, control {draw}")

    def _facts(self) -> dict[str, str]:
        rows = window_length(self.cells.shape[1])
        held = [f"{row.layer}" for row in self.layers.itertuples() if row.cells]
        return {
            "cells": f"{int(self.cells.sum()):,} of {self.cells.size:,} ({self.share:.2%})",
            "layers": f"{', '.join(held) or 'none'} of {len(self.cells)}",
            "tokens": map_text(self.opening, self.prefix, rows, self.block),
            "chosen by": f"{self.texts:,} texts",
        }

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"Region {self.name}: {facts}"

    def _repr_html_(self) -> str:
        return html_table(f"Region {self.name}", self._facts())


def check_share(share: float) -> None:
    """Refuse a share of cells that is not in (0, 1].

    Raises:
        EngramError: it is outside.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise EngramError(f"share: {share!r}; give the fraction of all cells, e.g. 0.003")
