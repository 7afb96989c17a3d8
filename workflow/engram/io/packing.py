"""Packed attention maps: the causal half of a square map, row by row, in one vector.

A causal map is zero where the key lies after the query, so T(T+1)/2 of its T² values say
everything.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")


def packed_length(window: int) -> int:
    """Return P = T(T+1)/2, the values of a packed map over a window of T tokens."""
    return window * (window + 1) // 2


def window_length(packed: int) -> int:
    """Return T, the tokens of the window whose packed map has P values.

    Raises:
        ValueError: P is not T(T+1)/2 for any T.
    """
    window = (isqrt(8 * packed + 1) - 1) // 2
    if packed_length(window) != packed:
        raise ValueError(
            f"{packed} values are no packed map: T(T+1)/2 is {packed_length(window)} for T = "
            f"{window}, then {packed_length(window + 1)}"
        )
    return window


def query_key(window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return query (row) and key (column) position of each packed value, two arrays (P,); key <=
    query.
    """
    return np.tril_indices(window)


def pack(maps: Array) -> Array:
    """Return the lower triangle of each map, row-major: (…, T, T) -> (…, P). Values above the
    diagonal are dropped.

    Raises:
        ValueError: the last two axes differ.
    """
    window: int = maps.shape[-1]
    if maps.shape[-2:] != (window, window):
        raise ValueError(f"attention maps are square, (…, T, T); these are {tuple(maps.shape)}")
    flat = maps.reshape(*maps.shape[:-2], window * window)  # (…, T²)
    if isinstance(flat, np.ndarray):
        return flat[..., np.ravel_multi_index(query_key(window), (window, window))]
    queries, keys = _query_key_on(flat.device, window)
    return flat.index_select(-1, queries * window + keys)


def unpack(packed: Array, fill: float = 0) -> Array:
    """Return the square maps again: (…, P) -> (…, T, T), `fill` above the diagonal.

    Raises:
        ValueError: the last axis is not T(T+1)/2 for any T.
    """
    window: int = window_length(packed.shape[-1])
    shape = (*packed.shape[:-1], window, window)
    if isinstance(packed, np.ndarray):
        array = np.full(shape, fill, dtype=packed.dtype)
        array[(..., *query_key(window))] = packed
        return array
    tensor = packed.new_full(shape, fill)
    queries, keys = _query_key_on(packed.device, window)
    tensor[..., queries, keys] = packed
    return tensor


def _query_key_on(device: torch.device, window: int) -> torch.Tensor:
    """Return `query_key` in one tensor (2, P), made on the device: a copy from the host would make
    a GPU wait in every layer of an extraction.
    """
    # Not at the head of the file: figures and tables pack arrays alone, and importing torch takes
    # longer than drawing them.
    import torch

    return torch.tril_indices(window, window, device=device)
