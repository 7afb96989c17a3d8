"""Reads hidden states of a language model, averaged over the tokens of a sequence: what the linear
probe of a layer sees.

`<model>/hidden_states.h5` holds `sequence_id` (n,) and `states` (n, L + 1, d) float16, the
embeddings and then the output of every layer, of the same texts whose attention is studied.
`<model>/crossed/feed_forward.h5` is of the same form, with what the feed-forward block of every
layer puts out, (n, L, d). `engram.store.hidden_state_writer` makes them. Layers are read one at a
time, so each has a checksum: the CRC-32 of its values in the order of the rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.checksums import DAMAGED
from engram.io.errors import EngramError
from engram.io.hdf5 import open_hdf5, read_group

STATES, IDS, CHECKSUMS = "states", "sequence_id", "layer_crc32"


class Layers(Mapping[str, np.ndarray]):
    """Hidden states of some sequences layer by layer, `layer-0` (the embeddings) to `layer-<L>`;
    each is read when it is asked for.

    Args:
        path: the HDF5 file.
        sequence_ids: (n,), in the order in which states are wanted.
        first: number of the first layer in the file; 1 for feed-forward blocks.

    Raises:
        EngramError: no readable file, a damaged one (as to its values, when they are read), another
            schema version, or a sequence it lacks.
    """

    def __init__(self, path: Path, sequence_ids: np.ndarray, first: int = 0) -> None:
        self.path = path
        with open_hdf5(path) as file:
            arrays, _ = read_group(file, apart=(STATES,))
            stored, self.checksums = arrays[IDS], arrays[CHECKSUMS]
        self.names = [f"layer-{first + layer}" for layer in range(len(self.checksums))]
        self.rows = pd.Index(stored).get_indexer(pd.Index(sequence_ids))
        if (self.rows < 0).any():
            raise EngramError(
                f"{path}: sequence_id {sequence_ids[self.rows < 0][0]} is not in it; delete the "
                f"file and run again"
            )

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the states of a layer, (n, d) float32."""
        layer = self.names.index(name)
        with open_hdf5(self.path) as file:
            values = file[STATES][:, layer]
        if zlib.crc32(values.data) != self.checksums[layer]:
            raise EngramError(f"{self.path}: {name}: {DAMAGED}")
        return values[self.rows].astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
