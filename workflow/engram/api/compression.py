"""Compression: how much of its context a text needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel
from engram.api.measured import BATCH_TOKENS, ClassMeans, MeasuredTexts, measured_texts
from engram.mechanisms.compression import Compression
from engram.mechanisms.compression import compress as run_search


@dataclass(frozen=True, repr=False, eq=False)
class Compressed(ClassMeans):
    """How much of its context each text needs: what `compress` returns. `by_class` has extracted (a
    rate over all texts), bisected, fewest, compressibility and monotone (a rate), means over the
    texts that are extracted.
    """

    texts: MeasuredTexts
    """The texts."""
    keep: str
    """Which tokens of the context are kept."""
    scan: bool
    """Whether every length was tried."""
    lengths: Compression
    """Lengths as arrays."""

    @property
    def table(self) -> pd.DataFrame:
        """A row per text: row, class (where texts have one), extracted (the whole context gives the
        suffix); bisected and fewest (tokens), compressibility (fewest / context length, a
        fraction), monotone (1 or 0) and tried (lengths); definitions:
        `engram.mechanisms.compression.Compression`.
        """
        return self.texts.table({}, self.lengths.values() | {"tried": self.lengths.tried})

    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return {}, self.lengths.values()

    def __repr__(self) -> str:
        how = "scan" if self.scan else "bisection"
        extracted = int((self.lengths.gives[:, -1] == 1).sum())
        return (
            f"Compressed: {len(self.texts.tokens):,} texts, {extracted:,} extracted, keeps the "
            f"{self.keep} tokens, {how}"
        )


def compress(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    keep: str = "last",
    scan: bool = False,
    probes: int = 4,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> Compressed:
    """Find the fewest tokens of its context from which the model writes each whole suffix.

    (P) Fewest tokens over context length (Chen, Han and Miyao, arXiv 2603.21658). (U) The choice of
    the tokens that are kept, the check that longer contexts do not hurt, the scan, intervals:
    `engram.mechanisms.compression`.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids, see `engram.api.texts.read_windows`; a frame may have a column
            `class`. Texts that the model does not extract have no result.
        prefix: tokens of the context.
        suffix: tokens to reproduce.
        keep: `last` keeps the tokens next to the suffix; `first` the first ones, which the suffix
            follows directly; `onset` the first ones, after which the model has to write the rest of
            the context and then the suffix.
        scan: try every length, for the exact minimum.
        probes: without a scan, lengths to try besides those of the bisection.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, or another `keep`.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    lengths = run_search(
        lm.model,
        measured.tokens,
        prefix,
        keep,
        scan=scan,
        probes=probes,
        batch_tokens=batch_tokens,
    )
    return Compressed(measured, keep, scan or keep == "onset", lengths)
