"""Shards of a tiny model, which counts what goes through it."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tiny_models import gpt_neox, random_tokens

from engram.store.index import AttentionStore, write_index
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource

WINDOW, PREFIX = 12, 6
SETTINGS = ExtractionSettings(prefix=PREFIX, batch_tokens=4 * WINDOW)


class Counted:
    """A model source that counts loads and the sequences that pass through the model."""

    def __init__(self, fingerprint: str = "f00d") -> None:
        self.loads, self.sequences = 0, 0
        self.source = ModelSource("tiny@main", fingerprint, self._load)

    def _load(self) -> torch.nn.Module:
        self.loads += 1
        model = gpt_neox()
        model.gpt_neox.embed_in.register_forward_pre_hook(self._count)
        return model

    def _count(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.sequences += len(inputs[0])


def sequences(ids: range | list[int]) -> pd.DataFrame:
    """Sequences whose tokens depend on their id alone."""
    return pd.DataFrame(
        {
            "sequence_id": list(ids),
            "tokens": [random_tokens(1, WINDOW, seed)[0].astype(np.int32) for seed in ids],
        }
    )


def opened(folder: Path, *names: str) -> AttentionStore:
    """The store over some shards."""
    paths = [folder / name for name in names]
    index = paths[0].with_name("index.parquet")
    write_index(paths, index)
    return AttentionStore(index)
