"""What differs between the two models of a pair on the same windows, read from their stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engram.store.hidden_states import Layers
from engram.store.index import AttentionStore


class Differences(Mapping[str, np.ndarray]):
    """Differences model 1 − model 2, (n, F) float32 by input; each is read when it is asked for.

    Args:
        inputs: their names (`crossed.inputs` of the config).
        windows: sequence_id, suffix_log_prob_1 and suffix_log_prob_2, n rows.
        attention: index of the attention store of either model.
        hidden_states: hidden states of either model; none where they are not asked for.
        feed_forward: what the feed-forward blocks of either model put out; likewise.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        windows: pd.DataFrame,
        attention: Sequence[str | Path],
        hidden_states: Sequence[str | Path] = (),
        feed_forward: Sequence[str | Path] = (),
    ) -> None:
        self.inputs, self.windows = list(inputs), windows
        self.attention = list(attention)
        self.layers = {"hidden_states": hidden_states, "feed_forward": feed_forward}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the differences of an input.

        Raises:
            EngramError: a store is damaged or lacks a window.
            KeyError: another input.
        """
        if name not in self.inputs:
            raise KeyError(name)
        n, ids = len(self.windows), self.windows["sequence_id"].to_numpy()
        if name == "suffix_log_prob":
            values = self.windows["suffix_log_prob_1"] - self.windows["suffix_log_prob_2"]
            return values.to_numpy(np.float32)[:, None]
        if name in self.layers:
            one, two = (Layers(Path(path), ids) for path in self.layers[name])
            return np.concatenate([one[layer] - two[layer] for layer in one], axis=1)
        return attention_difference(self.attention, ids, name.removeprefix("attention_")).reshape(
            n, -1
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.inputs)

    def __len__(self) -> int:
        return len(self.inputs)


def attention_difference(
    indexes: Sequence[str | Path], sequence_ids: np.ndarray, pooling: str
) -> np.ndarray:
    """Return the pooled attention of model 1 − that of model 2 on the same windows, float32
    (n, L, P).

    Raises:
        EngramError: a store is damaged or lacks a window.
    """
    one, two = pair_maps(indexes, sequence_ids, pooling)
    return np.subtract(one, two, out=one)


def pair_maps(
    indexes: Sequence[str | Path], sequence_ids: np.ndarray, pooling: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pooled attention of model 1 and of model 2 on the same windows, float32
    (n, L, P) each.

    Raises:
        EngramError: a store is damaged or lacks a window.
    """
    one, two = (
        AttentionStore(Path(index)).read(sequence_ids, pooling).astype(np.float32)
        for index in indexes
    )
    return one, two
