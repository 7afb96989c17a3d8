"""Attention as the paper's code stores it, `attention_patterns.h5py`: a data set per sequence, with
every head.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from engram.io.checksums import BROKEN
from engram.io.errors import EngramError, reason
from engram.io.packing import pack
from engram.store.attention_file import Header, new_attention_file
from engram.store.parts import key_matrix, row_keys

ROUNDING = 0.01
"""By how much the weights of a query may miss 1: far more than float16 does."""


@dataclass(frozen=True)
class Imported:
    """What a file held of the sequences that were asked for."""

    sequence_ids: np.ndarray
    """Those that it holds, int64 (m,), in the order asked for."""
    others: int
    """Sequences of the file that nobody asked for."""


def import_attention(
    path: Path, sequence_ids: np.ndarray, tokens: np.ndarray, prefix: int, output: Path, model: str
) -> Imported:
    """Write the attention file of the sequences whose attention a file of the paper's code holds.

    Heads are pooled as an extraction pools them. What an extraction measures next to the maps is
    unknown: such sequences count as extracted, as the paper's code takes for granted, and
    `matched_fraction` and `suffix_log_prob` are NaN.

    Args:
        path: its file.
        sequence_ids: of n samples.
        tokens: theirs, (n, T).
        prefix: tokens of the prompt.
        output: the attention file.
        model: name of the model, for the header.

    Raises:
        EngramError: the file cannot be read, holds none of the sequences, or a data set is not the
            attention of T tokens: of another shape than the first, not finite, looking ahead, or
            with weights that do not add up to 1.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            held = np.array([str(sequence) in file for sequence in sequence_ids], dtype=bool)
            chosen, of_chosen = sequence_ids[held], tokens[held]
            if not len(chosen):
                raise EngramError(
                    f"{path}: it holds {len(file)} sequences and none of the samples; give the "
                    f"file of the same configuration"
                )
            shape = np.shape(file[str(chosen[0])])
            _write(file, shape, chosen, of_chosen, prefix, output, model)
            return Imported(chosen, len(file) - len(chosen))
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except BROKEN as error:
        raise EngramError(f"{path}: cannot be read ({reason(error)}); copy it again") from None


def _write(
    file: h5py.File,
    shape: tuple[int, ...],
    sequence_ids: np.ndarray,
    tokens: np.ndarray,
    prefix: int,
    output: Path,
    model: str,
) -> None:
    """Write the rows of sequences that the file holds."""
    window = tokens.shape[1]
    if len(shape) != 4 or shape[2:] != (window, window):
        raise EngramError(
            f"{file.filename}: attention of sequence_id {sequence_ids[0]} has shape {shape}; "
            f"expected (layers, heads, {window}, {window})"
        )
    header = Header(
        model=model,
        fingerprint=f"imported: {model}",
        dtype="float16",
        prefix=prefix,
        suffix=window - prefix,
        layers=shape[0],
        heads=shape[1],
        mean_dtype="float32",
    )
    keys = row_keys(tokens, prefix, header.mean_dtype)
    with new_attention_file(output, len(sequence_ids), header) as writer:
        every = tqdm(sequence_ids, desc="attention", unit="sequence", mininterval=2, delay=2)
        for row, sequence in enumerate(every):
            weights = _checked(file, int(sequence), shape)  # (L, H, T, T)
            maps = {
                "mean": pack(weights.mean(axis=1))[None],
                "max": pack(weights.max(axis=1))[None],
            }  # (1, L, P) each
            unknown = np.array([np.nan], np.float32)
            columns = {
                "sequence_id": np.array([sequence]),
                "key": key_matrix([keys[row]]),
                "extracted": np.array([True]),
                "matched_fraction": unknown,
                "suffix_log_prob": unknown,
            }
            writer.write([row], maps, columns)


def _checked(file: h5py.File, sequence: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the attention of a sequence, float32 (L, H, T, T)."""
    where = f"{file.filename}: attention of sequence_id {sequence}"
    data = file[str(sequence)]
    if not isinstance(data, h5py.Dataset) or data.shape != shape:
        raise EngramError(f"{where} has shape {np.shape(data)}, that of the first {shape}")
    weights = np.asarray(data[()], np.float32)
    if not np.isfinite(weights).all():
        raise EngramError(f"{where} is not finite; it was extracted in too low a precision")
    if np.triu(weights, 1).any():
        raise EngramError(f"{where} looks at later tokens; it is not that of a causal model")
    off = np.abs(weights.sum(axis=-1) - 1).max()
    if off > ROUNDING or weights.min() < 0:
        raise EngramError(f"{where}: weights of a query miss 1 by {off:.2g}; they are no softmax")
    return weights
