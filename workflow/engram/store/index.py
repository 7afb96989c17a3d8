"""The attention store: each sequence of a model's pool once, in shards, read by sequence with
checks.

`engram.store.shards` builds the shards. This module needs no model, and what reads attention does
not wait for one to be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.store.attention_file import COLUMNS, POOLINGS, AttentionFile, Header
from engram.store.parts import Place, read_places


def write_index(shards: Sequence[Path], output: Path) -> pd.DataFrame:
    """Write where each sequence is: sequence_id int64, shard int32 (position in `shards`), row
    int32; and return it.

    Raises:
        EngramError: a broken shard, shards of different models or settings, or a sequence that two
            shards hold.
    """
    frames, first = [], None
    for number, path in enumerate(shards):
        file = AttentionFile(path)
        frames.append(
            pd.DataFrame(
                {
                    "sequence_id": file.columns["sequence_id"],
                    "shard": np.int32(number),
                    "row": np.arange(len(file), dtype=np.int32),
                }
            )
        )
        if len(file) == 0:
            continue
        first = first or file
        for name, value in vars(first.header).items():
            if (other := getattr(file.header, name)) != value:
                raise EngramError(
                    f"{path}: {name} is {other}, in {first.path} it is {value}; delete the "
                    f"outdated shard and run again"
                )
    index = pd.concat(frames, ignore_index=True)
    if (twice := index["sequence_id"].duplicated()).any():
        raise EngramError(
            f"{output}: sequence_id {index['sequence_id'][twice].iloc[0]} is in two shards; delete "
            f"the shards and run again"
        )
    write_parquet(index, output, first.header.attributes() if first else None)
    return index


def read_verification(shards: Sequence[Path]) -> pd.DataFrame:
    """Return what was measured while the sequences of the shards were extracted: sequence_id,
    extracted, matched_fraction, suffix_log_prob, as `engram.lm.attention.Extraction` defines them.
    """
    files = [AttentionFile(path) for path in shards]
    return pd.DataFrame(
        {name: np.concatenate([file.columns[name] for file in files]) for name in COLUMNS}
    )


class AttentionStore:
    """Reads pooled attention by sequence.

    Args:
        index: `index.parquet`; the shards, `shard-<i>.h5`, are in the same folder.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        frame = read_parquet(index, ["sequence_id", "shard", "row"])
        self._sequences = pd.Index(frame["sequence_id"])
        self._shard, self._row = frame["shard"].to_numpy(), frame["row"].to_numpy()
        self._fingerprint = read_metadata(index).get("fingerprint")
        self._files: dict[int, AttentionFile] = {}

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def sequence_ids(self) -> np.ndarray:
        """The sequences that it holds, int64 (n,), in the order of the index."""
        return self._sequences.to_numpy()

    @property
    def header(self) -> Header:
        """Model, window, layers and heads of the store.

        Raises:
            EngramError: the store is empty.
        """
        if len(self) == 0:
            raise EngramError(f"{self.index}: no sequence was extracted")
        return self._file(int(self._shard[0])).header

    def read(self, sequence_ids: np.ndarray | pd.Series, pooling: str) -> np.ndarray:
        """Return packed attention of sequences in the order asked for, each row checked against its
        checksum.

        Args:
            sequence_ids: (n,), with or without repetitions.
            pooling: `max` (float16) or `mean` (float32 or float16, as the store was made).

        Returns:
            (n, L, P).

        Raises:
            EngramError: a sequence that the index lacks, a shard that is cut off or of another
                schema version, a row that does not match its checksum or is not the sequence that
                the index says.
        """
        if pooling not in POOLINGS:
            raise EngramError(f"head pooling {pooling!r}: choose {' or '.join(POOLINGS)}")
        wanted = np.asarray(sequence_ids, dtype=np.int64)
        positions = self._sequences.get_indexer(pd.Index(wanted))
        if (absent := positions < 0).any():
            raise EngramError(
                f"{self.index}: {absent.sum()} of {len(wanted)} sequences are not in it, the first "
                f"is sequence_id {wanted[absent][0]}"
            )
        if len(wanted) == 0:
            return np.empty(
                (0, self.header.layers, self.header.packed),
                np.float16 if pooling == "max" else self.header.mean_dtype,
            )
        places = [
            Place(self._file(int(shard)), int(row))
            for shard, row in zip(self._shard[positions], self._row[positions], strict=True)
        ]
        for sequence, place in zip(wanted, places, strict=True):
            if (
                place.row >= len(place.file)
                or place.file.columns["sequence_id"][place.row] != sequence
            ):
                raise EngramError(
                    f"{place.file.path}: row {place.row} is not sequence_id {sequence} as "
                    f"{self.index} says; run again to index it again"
                )
        return read_places(places, pooling)

    def _file(self, shard: int) -> AttentionFile:
        if shard not in self._files:
            file = AttentionFile(self.index.with_name(f"shard-{shard}.h5"))
            if file.header.fingerprint != self._fingerprint:
                other = f"{file.header.model} ({file.header.fingerprint})"
                raise EngramError(
                    f"{file.path}: it is of model {other}, {self.index} of {self._fingerprint}; "
                    f"run again to index it again"
                )
            self._files[shard] = file
        return self._files[shard]
