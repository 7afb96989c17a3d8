"""What the explorer shows for the bytes of a map: what `workflow/explorer/blocks.js` does."""

from __future__ import annotations

import numpy as np

from engram.explorer.maps import LEVELS, SIGNED_LEVELS, ZERO


def dequantize(levels: np.ndarray, maxima: np.ndarray) -> np.ndarray:
    """Values of the bytes of `quantize`, float32 (…, P)."""
    return maxima[..., None] * np.square(levels.astype(np.float32) / LEVELS)


def dequantize_signed(levels: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Values of the bytes of `quantize_signed`, float32 (…, P)."""
    steps = (levels.astype(np.float32) - ZERO) / SIGNED_LEVELS
    return largest[..., None] * np.sign(steps) * np.square(steps)
