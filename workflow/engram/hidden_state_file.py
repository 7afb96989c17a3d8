"""Reads hidden states of a language model, averaged over the tokens of a sequence: what the linear probe of a layer sees.

A small store of its own, `<model>/hidden_states.h5`: sequence_id (n,) and states (n, L + 1, d) float16, the embeddings and then
the output of every layer, of the same texts whose attention is studied. `engram.hidden_states` makes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from engram import SCHEMA_VERSION
from engram.errors import EngramError


class Layers(Mapping[str, np.ndarray]):
    """Hidden states of some sequences layer by layer, `layer-0` (the embeddings) to `layer-<L>`; each is read when it is asked for.

    Args:
        path: the HDF5 file.
        sequence_ids: (n,), in the order in which states are wanted.

    Raises:
        EngramError: no readable file, another schema version, or a sequence that it lacks.
    """

    def __init__(self, path: Path, sequence_ids: np.ndarray) -> None:
        self.path = path
        try:
            with h5py.File(path, "r") as file:
                version, stored = file.attrs.get("schema_version"), file["sequence_id"][()]
                self.names = [f"layer-{layer}" for layer in range(file["states"].shape[1])]
        except (OSError, KeyError) as error:
            raise EngramError(f"{path}: not a readable file of hidden states ({error}); delete it to have it made anew") from None
        if version != SCHEMA_VERSION:
            raise EngramError(f"{path}: schema version {version}, this Engram reads {SCHEMA_VERSION}; delete it to have it made anew")
        self.rows = pd.Index(stored).get_indexer(pd.Index(sequence_ids))
        if (self.rows < 0).any():
            raise EngramError(f"{path}: sequence_id {sequence_ids[self.rows < 0][0]} is not in it; delete the file to have it made anew")

    def __getitem__(self, name: str) -> np.ndarray:
        """(n, d) float32."""
        with h5py.File(self.path, "r") as file:
            return file["states"][:, self.names.index(name)][self.rows].astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
