"""The base that a drilling starts from, with the windows and the text that ship with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import read_parquet, whole
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.nursery.drilling import window_tokens
from engram.nursery.settings import TrainingSettings
from engram.nursery.training import save_trained, train, write_curve
from engram.windows.duplicates import suffix_occurrences


@dataclass(frozen=True)
class StartingPoint:
    """A base model with its files, to be drilled."""

    folder: Path
    """Of the model and the tokenizer."""
    tokenizer: PreTrainedTokenizerFast
    windows: pd.DataFrame
    """n windows that the base has not seen."""
    tokens: np.ndarray
    """Of the windows, (n, T) uint16."""
    replay: np.ndarray
    """Rows of the text that the base was trained on, (m, T) uint16."""

    @classmethod
    def read(
        cls, folder: Path, windows: str | Path, replay: str | Path, length: int
    ) -> StartingPoint:
        """Return the files of a base.

        Args:
            folder: of the model and the tokenizer.
            windows: parquet file.
            replay: parquet file.
            length: T, tokens of the study's prefix and suffix together.

        Raises:
            EngramError: the windows have another length.
        """
        table = read_parquet(windows)
        rows = np.stack(read_parquet(replay)["tokens"].tolist()).astype(np.uint16)[:, :length]
        tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(folder))
        return cls(folder, tokenizer, table, window_tokens(table, length), rows)

    def count_suffixes(self, rows: np.ndarray, prefix: int) -> np.ndarray:
        """Return how often the suffix of each window occurs in training rows (r, T), (n,)."""
        boundaries = np.arange(0, rows.size, rows.shape[1])
        return suffix_occurrences(self.tokens[:, prefix:], rows.ravel(), boundaries)

    def drill(
        self, rows: np.ndarray, settings: TrainingSettings, state: Path, model: Path, curve: Path
    ) -> None:
        """Train the base on rows, and write the drilled model and its loss curve.

        Args:
            rows: (r, T) uint16, in the order of the training.
            settings: of the training.
            state: folder from which a training that was killed resumes.
            model: folder of the drilled model.
            curve: CSV file.
        """
        trained = load_model(self.folder, dtype="float32", device=default_device())
        # Its backward is twice as fast as the fused kernel's at this length.
        trained.set_attn_implementation("eager")
        losses = train(trained, rows, settings, state, "drilling")
        save_trained(trained, self.tokenizer, model)
        with whole(curve) as path:
            write_curve(losses, path)
