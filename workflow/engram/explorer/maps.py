"""Maps in a page: bytes with a scale for each map, deflated, in base 64."""

from __future__ import annotations

import base64
import zlib

import numpy as np

LEVELS = 255
"""Steps of a quantised value."""


def quantize(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return non-negative maps as bytes on a square-root scale, each with its own maximum.

    Attention spans orders of magnitude and every map's maximum is 1 (the first token attends to
    itself), so that equal steps would leave nothing of most cells. On the square root a step at the
    value x of a map with the maximum m is 2 √(x m) / 255: the error is at most √(x m) / 255 and a
    little more at 0, below m / 65,025 for x = 0.

    Args:
        maps: (…, P), finite and not negative.

    Returns:
        levels uint8 (…, P) and maxima float32 (…); a value is maximum · (level / 255)².

    Raises:
        ValueError: a value is negative or not finite.
    """
    values = np.asarray(maps, np.float32)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("maps to be quantised are finite and not negative")
    maxima = values.max(axis=-1)  # (…,)
    # A digit more than the steps need keeps the page's numbers short.
    maxima = np.array([float(f"{value:.6g}") for value in maxima.ravel()], np.float32).reshape(
        maxima.shape
    )
    relative = values / np.where(maxima > 0, maxima, 1)[..., None]
    return np.rint(LEVELS * np.sqrt(relative.clip(0, 1))).astype(np.uint8), maxima


def dequantize(levels: np.ndarray, maxima: np.ndarray) -> np.ndarray:
    """Return what the page shows for `quantize`'s bytes, float32 (…, P); the page's own code does
    the same.
    """
    return maxima[..., None] * np.square(levels.astype(np.float32) / LEVELS)


def encode(levels: np.ndarray) -> str:
    """Return the bytes as the page holds them: zlib's format, which browsers know as `deflate`, in
    base 64.
    """
    return base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode("ascii")
