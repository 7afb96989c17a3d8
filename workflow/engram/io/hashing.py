"""Hashes: permanent random numbers, shards, digests of values."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np


def splitmix64(state: np.ndarray) -> np.ndarray:
    """Return one step of splitmix64 (Steele, Lea and Flood, 2014) on uint64 values, wrapping."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniform(keys: np.ndarray, seed: int, stream: str) -> np.ndarray:
    """Return one permanent number in [0, 1) per key: a hash (splitmix64) of the key, the study's
    seed and the stream's name.

    Args:
        keys: int64 (n,).
        seed: the study's seed.
        stream: numbers of different streams are independent.
    """
    with np.errstate(over="ignore"):
        salt = splitmix64(np.array([seed], dtype=np.int64).astype(np.uint64))
        for byte in stream.encode():
            salt = splitmix64(salt + np.uint64(byte))
        mixed = splitmix64(splitmix64(keys.astype(np.int64).view(np.uint64) ^ salt))
    return (mixed >> np.uint64(11)).astype(np.float64) / 2**53


def value_digest(*values: Any) -> str:
    """Return twelve hexadecimal digits over plain config values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]


def content_digest(*values: str | bytes | np.ndarray) -> str:
    """Return 32 hexadecimal digits over text, bytes, and arrays with their types and shapes."""
    sha = hashlib.blake2b(digest_size=16)
    for value in values:
        if isinstance(value, np.ndarray):
            sha.update(f"array {value.dtype} {value.shape} ".encode())
            sha.update(np.ascontiguousarray(value).data)
        else:
            content = value.encode() if isinstance(value, str) else value
            sha.update(f"{type(value).__name__} {len(content)} ".encode() + content)
    return sha.hexdigest()
