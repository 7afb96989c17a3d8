"""The one hash behind permanent random numbers and shards."""

from __future__ import annotations

import numpy as np


def splitmix64(state: np.ndarray) -> np.ndarray:
    """One step of splitmix64 (Steele, Lea and Flood, 2014) on uint64 values, wrapping."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
