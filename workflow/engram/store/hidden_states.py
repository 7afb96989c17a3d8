"""Reads hidden states of a language model, averaged over the tokens of a sequence: what the linear
probe of a layer sees.

A small store of its own, `<model>/hidden_states.h5`: sequence_id (n,) and states (n, L + 1, d)
float16, the embeddings and then the output of every layer, of the same texts whose attention is
studied. `engram.lm.hidden_states` makes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from engram.io.checksums import BROKEN, DAMAGED, check_file, named_crc, seal_file
from engram.io.errors import EngramError, reason
from engram.io.schema import SCHEMA_VERSION


def seal(path: Path) -> None:
    """Seals a file of hidden states. Layers are read one at a time, so each has a checksum of its
    own.
    """
    with h5py.File(path, "r+") as file:
        states = file["states"]
        file["layer_crc32"] = np.array(
            [named_crc([("states", states[:, layer])]) for layer in range(states.shape[1])],
            np.uint32,
        )
        chunks = [states.id.get_chunk_info(number) for number in range(states.id.get_num_chunks())]
        ranges = [(chunk.byte_offset, chunk.size) for chunk in chunks]
    seal_file(path, ranges)


class Layers(Mapping[str, np.ndarray]):
    """Hidden states of some sequences layer by layer, `layer-0` (the embeddings) to `layer-<L>`;
    each is read when it is asked for.

    Args:
        path: the HDF5 file.
        sequence_ids: (n,), in the order in which states are wanted.

    Raises:
        EngramError: no readable file, a damaged one (as to its values, when they are read), another
            schema version, or a sequence it lacks.
    """

    def __init__(self, path: Path, sequence_ids: np.ndarray) -> None:
        self.path = path
        try:
            check_file(path)
            with h5py.File(path, "r") as file:
                if (version := file.attrs.get("schema_version")) != SCHEMA_VERSION:
                    raise EngramError(
                        f"{path}: schema version {version}, this Engram reads {SCHEMA_VERSION}; "
                        f"delete it to have it made anew"
                    )
                stored, self.checksums = file["sequence_id"][()], file["layer_crc32"][()]
                self.names = [f"layer-{layer}" for layer in range(len(self.checksums))]
        except BROKEN as error:
            raise EngramError(
                f"{path}: not a readable file of hidden states ({reason(error)}); delete it to "
                f"have it made anew"
            ) from None
        self.rows = pd.Index(stored).get_indexer(pd.Index(sequence_ids))
        if (self.rows < 0).any():
            raise EngramError(
                f"{path}: sequence_id {sequence_ids[self.rows < 0][0]} is not in it; delete the "
                f"file to have it made anew"
            )

    def __getitem__(self, name: str) -> np.ndarray:
        """(n, d) float32."""
        layer = self.names.index(name)
        try:
            check_file(self.path)
            with h5py.File(self.path, "r") as file:
                values = file["states"][:, layer]
        except BROKEN as error:
            raise EngramError(
                f"{self.path}: {name} cannot be read ({reason(error)}); delete it to have it made "
                f"anew"
            ) from None
        if named_crc([("states", values)]) != self.checksums[layer]:
            raise EngramError(f"{self.path}: {name}: {DAMAGED}")
        return values[self.rows].astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
