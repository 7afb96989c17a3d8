"""Writes `<model>/hidden_states.h5` and `<model>/crossed/feed_forward.h5`: hidden states of a
language model, or what its feed-forward blocks put out, averaged over the tokens of a sequence.

`engram.store.hidden_states` reads it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.hdf5 import new_hdf5, write_group
from engram.lm.feed_forward import pooled_feed_forward
from engram.lm.hidden_states import pooled_states
from engram.lm.models import check_tokens, in_batches
from engram.store.hidden_states import CHECKSUMS, IDS, STATES

_LARGEST = float(np.finfo(np.float16).max)


def write_hidden_states(
    model: PreTrainedModel, sequences: pd.DataFrame, output: Path, batch_tokens: int
) -> None:
    """Send every sequence through the model once and write its averaged hidden states.

    Args:
        sequences: sequence_id and tokens (T of them).
        output: the HDF5 file.
        batch_tokens: tokens per forward.

    Raises:
        EngramError: tokens that the model cannot read, or states that contain NaN or inf or are too
            large for float16.
    """
    remedy = "leave the baseline hidden_states out"
    _write(model, sequences, output, batch_tokens, pooled_states, "hidden states", remedy)


def write_feed_forward(
    model: PreTrainedModel, sequences: pd.DataFrame, output: Path, batch_tokens: int
) -> None:
    """Send every sequence through the model once and write what its feed-forward blocks put out,
    averaged; arguments as of `write_hidden_states`.

    Raises:
        EngramError: as `write_hidden_states`, or an architecture without such blocks.
    """
    name, remedy = "feed-forward activations", "leave feed_forward out of crossed.inputs"
    _write(model, sequences, output, batch_tokens, pooled_feed_forward, name, remedy)


def _write(
    model: PreTrainedModel,
    sequences: pd.DataFrame,
    output: Path,
    batch_tokens: int,
    pooled: Callable[[PreTrainedModel, torch.Tensor], torch.Tensor],
    name: str,
    remedy: str,
) -> None:
    tokens = np.stack(sequences["tokens"].tolist()).astype(np.int64)  # (n, T)
    check_tokens(model, tokens, f"sequences of {output}")

    def run(part: slice) -> np.ndarray:
        return pooled(model, torch.from_numpy(tokens[part]).to(model.device)).cpu().numpy()

    with new_hdf5(output) as file:
        states: h5py.Dataset | None = None
        checksums = np.zeros(0, np.uint32)
        for part, values in in_batches(
            run, len(tokens), max(1, batch_tokens // tokens.shape[1]), name, model.device
        ):
            fits = (np.abs(values) <= _LARGEST).all(axis=(1, 2))  # NaN does not
            if not fits.all():
                sequence = sequences["sequence_id"].iloc[part.start + int(np.argmin(fits))]
                raise EngramError(
                    f"{output}: {name} of sequence_id {sequence} do not fit float16; {remedy}"
                )
            if states is None:
                states = file.create_dataset(
                    STATES,
                    (len(tokens), *values.shape[1:]),
                    np.float16,
                    chunks=(min(64, len(tokens)), 1, values.shape[2]),
                )
                checksums = np.zeros(values.shape[1], np.uint32)
            rounded = values.astype(np.float16)  # (b, layers, d)
            states[part] = rounded
            for layer, checksum in enumerate(checksums):
                of_layer = np.ascontiguousarray(rounded[:, layer])
                checksums[layer] = zlib.crc32(of_layer.data, int(checksum))
        ids = sequences["sequence_id"].to_numpy(np.int64)
        write_group(file, {IDS: ids, CHECKSUMS: checksums}, {})
