"""Entropy of representations in the course of a training: does it fall and rise in cycles?

(P) Memorization-Compression Cycles (Yu, arXiv 2505.08727) reports that the entropy of a model's
states oscillates while it is trained. (U) Here it is measured while a model is drilled, on windows
that it is shown and on windows that it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.io.parts import Parts, Piece
from engram.mechanisms.entropy import representation_entropy


def course_windows(windows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return at most `count` windows that the model is shown, and as many that it is not, those of
    the lowest permanent random numbers: sequence_id, tokens, exposures.

    Args:
        windows: sequence_id, tokens, exposures.
        count: most of either kind.
        seed: of the draw.
    """
    number = uniform(windows["sequence_id"].to_numpy(np.int64), seed, "entropy course")
    drawn = windows.iloc[number.argsort(kind="stable")]
    chosen = drawn.groupby(drawn["exposures"] > 0).head(count)
    columns = ["sequence_id", "tokens", "exposures"]
    return chosen.sort_values("sequence_id", ignore_index=True)[columns]


@dataclass(frozen=True)
class EntropyCourse:
    """Measures the entropy of windows whenever it is called with a model and the steps that it has
    made, and keeps the values."""

    windows: pd.DataFrame
    """As `course_windows` returns them."""
    prefix: int
    """Tokens of the prompt."""
    patch: int
    """Tokens of a patch."""
    folder: Path
    """Of the values, a piece per step; best that of the training's states."""
    batch_tokens: int = 8192
    """Tokens per forward."""

    def __call__(self, model: PreTrainedModel, step: int) -> None:
        """Measure and keep.

        Raises:
            EngramError: as `representation_entropy`, or the values cannot be written.
        """
        tokens = np.stack(self.windows["tokens"].tolist()).astype(np.int64)
        entropies = representation_entropy(
            model, tokens, self.prefix, self.patch, self.batch_tokens
        )
        Parts(self.folder).write(f"{step:09d}", Piece(entropies.values(), {"step": step}))

    def table(self, last: int | None = None) -> pd.DataFrame:
        """Return what was measured: step, depth, sequence_id, exposures, entropy and suffix_entropy
        in nats.

        Args:
            last: step after which nothing counts; None for all.

        Raises:
            EngramError: nothing was.
        """
        parts, tables = Parts(self.folder), []
        for key in parts.present():
            piece = parts.read(key)
            if piece and (last is None or piece.metadata["step"] <= last):
                values = piece.arrays
                n, depths = values["entropy"].shape
                own = self.windows.loc[np.repeat(np.arange(n), depths)].reset_index(drop=True)
                own = own[["sequence_id", "exposures"]]
                own.insert(0, "depth", np.tile(np.arange(depths), n))
                own.insert(0, "step", piece.metadata["step"])
                tables.append(own.assign(**{name: x.reshape(-1) for name, x in values.items()}))
        if not tables:
            raise EngramError(f"{self.folder}: no entropy was measured; drill the model again")
        return pd.concat(tables, ignore_index=True)


def course_of(
    windows: pd.DataFrame,
    settings: Mapping[str, int] | None,
    prefix: int,
    folder: Path,
    seed: int,
) -> EntropyCourse | None:
    """Return what watches a drilling, or None where nothing is asked for.

    Args:
        windows: sequence_id, tokens, exposures.
        settings: patch and course_windows of `mechanisms.entropy`; None without a course.
        prefix: tokens of the prompt.
        folder: of the values.
        seed: of the draw of windows.
    """
    if settings is None:
        return None
    chosen = course_windows(windows, settings["course_windows"], seed)
    return EntropyCourse(chosen, prefix, settings["patch"], folder)
