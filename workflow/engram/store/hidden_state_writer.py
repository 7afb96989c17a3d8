"""Makes `<model>/hidden_states.h5`: hidden states of a language model, averaged over the tokens of
a sequence.

`engram.store.hidden_states` reads it.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.lm.hidden_states import pooled_states
from engram.lm.models import check_tokens, in_batches
from engram.store.hidden_states import seal

_LARGEST = float(np.finfo(np.float16).max)


def write_hidden_states(
    model: PreTrainedModel, sequences: pd.DataFrame, output: Path, batch_tokens: int
) -> None:
    """Sends every sequence through the model once and writes its averaged hidden states.

    Args:
        sequences: sequence_id and tokens (T of them).
        output: the HDF5 file.
        batch_tokens: tokens per forward.

    Raises:
        EngramError: tokens that the model cannot read, or states that are no numbers or too large
            for float16.
    """
    tokens = np.stack(sequences["tokens"].tolist()).astype(np.int64)  # (n, T)
    check_tokens(model, tokens, f"sequences of {output}")

    def run(part: slice) -> np.ndarray:
        return pooled_states(model, torch.from_numpy(tokens[part]).to(model.device)).cpu().numpy()

    with whole(output) as temporary:
        with h5py.File(temporary, "w") as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            file["sequence_id"] = sequences["sequence_id"].to_numpy(np.int64)
            states: h5py.Dataset | None = None
            for part, values in in_batches(
                run, len(tokens), max(1, batch_tokens // tokens.shape[1]), "hidden states"
            ):
                if not (np.abs(values) <= _LARGEST).all():  # NaN fails too
                    row = int(np.argmin((np.abs(values) <= _LARGEST).all(axis=(1, 2))))
                    sequence = sequences["sequence_id"].iloc[part.start + row]
                    raise EngramError(
                        f"{output}: hidden states of sequence_id {sequence} do not fit float16; "
                        f"leave the baseline hidden_states out"
                    )
                if states is None:
                    states = file.create_dataset(
                        "states",
                        (len(tokens), *values.shape[1:]),
                        np.float16,
                        chunks=(min(64, len(tokens)), 1, values.shape[2]),
                    )
                states[part] = values.astype(np.float16)
        if len(tokens):
            seal(temporary)
