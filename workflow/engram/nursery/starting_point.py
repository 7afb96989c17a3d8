"""The base that a drilling starts from, with its windows and the text that is replayed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import read_parquet, whole
from engram.lm.inputs import RECORD
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.nursery.architectures import random_model
from engram.nursery.drilling import as_rows, window_tokens
from engram.nursery.settings import DrillingSettings, ShapeSettings
from engram.nursery.training import Watch, save_trained, train, write_curve
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
    """Of the windows, (n, T), as `engram.nursery.drilling.as_rows`."""
    replay: np.ndarray
    """Rows of text that is replayed, (m, T), likewise."""

    @classmethod
    def read(
        cls, folder: Path, windows: str | Path, replay: str | Path, length: int
    ) -> StartingPoint:
        """Return the files of a base.

        Args:
            folder: of the model and the tokenizer.
            windows: parquet file with sequence_id and tokens.
            replay: parquet file with tokens.
            length: T, tokens of the study's prefix and suffix together.

        Raises:
            EngramError: the windows have another length.
        """
        table = read_parquet(windows)
        rows = as_rows(read_parquet(replay)["tokens"])[:, :length]
        tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(folder))
        return cls(folder, tokenizer, table, window_tokens(table, length), rows)

    def count_suffixes(self, rows: np.ndarray, prefix: int) -> np.ndarray:
        """Return how often the suffix of each window occurs in training rows (r, T), (n,)."""
        boundaries = np.arange(0, rows.size, rows.shape[1])
        return suffix_occurrences(self.tokens[:, prefix:], rows.ravel(), boundaries)

    def drill(
        self,
        rows: np.ndarray,
        settings: DrillingSettings,
        state: Path,
        model: Path,
        curve: Path,
        *,
        shape: ShapeSettings | None = None,
        seed: int = 0,
        watch: Watch | None = None,
        stop: int | None = None,
    ) -> None:
        """Train the base, or a model of another shape, on rows; write the trained model and its
        loss curve.

        Args:
            rows: (r, T), in the order of the training.
            settings: of the drilling.
            state: folder from which a training that was killed resumes.
            model: folder of the drilled model.
            curve: CSV file.
            shape: of a model that is trained from random weights; the base's weights unless given.
            seed: of random weights.
            watch: see `engram.nursery.training.train`.
            stop: likewise.
        """
        device = default_device()
        if shape is None or shape.architecture == "base":
            trained = load_model(self.folder, dtype="float32", device=device)
        else:
            # Twice the rows' length leaves room for special tokens and longer prompts.
            size = (len(self.tokenizer), 2 * rows.shape[1])
            trained = random_model(shape, *size, seed)
            trained.to(device)  # type: ignore[arg-type]  # its decorator hides the signature
        # Its backward is twice as fast as the fused kernel's at this length.
        trained.set_attn_implementation("eager")
        losses = train(trained, rows, settings.training, state, "drilling", watch, stop)
        trained.to(getattr(torch, settings.stored_dtype))
        if (opening := self.folder / RECORD).is_file():
            model.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(opening, model / RECORD)
        save_trained(trained, self.tokenizer, model)
        with whole(curve) as path:
            write_curve(losses, path)
