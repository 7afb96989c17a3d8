"""Maps in a page: bytes with a scale for each map, deflated, in base 64."""

from __future__ import annotations

import base64
import zlib

import numpy as np

LEVELS = 255
"""Steps of a quantised value."""
ZERO = 128
"""Level of 0 in a signed map."""
SIGNED_LEVELS = 127
"""Steps of a signed value, on either side of 0."""


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
    maxima = _short(values.max(axis=-1))  # (…,)
    relative = values / np.where(maxima > 0, maxima, 1)[..., None]
    return np.rint(LEVELS * np.sqrt(relative.clip(0, 1))).astype(np.uint8), maxima


def quantize_signed(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return maps of either sign as bytes on a square-root scale on both sides of 0, each with the
    largest of its absolute values.

    The error at the value x of a map whose largest absolute value is m is at most √(|x| m) / 127
    and a little more at 0.

    Args:
        maps: (…, P), finite.

    Returns:
        levels uint8 (…, P), 1 to 255, and largest absolute values float32 (…); a value is
        largest · s · |s| with s = (level − 128) / 127.

    Raises:
        ValueError: a value is not finite.
    """
    values = np.asarray(maps, np.float32)
    if not np.isfinite(values).all():
        raise ValueError("maps to be quantised are finite")
    largest = _short(np.abs(values).max(axis=-1))  # (…,)
    relative = np.abs(values) / np.where(largest > 0, largest, 1)[..., None]
    steps = np.rint(SIGNED_LEVELS * np.sqrt(relative.clip(0, 1)))
    return (ZERO + np.sign(values) * steps).astype(np.uint8), largest


def encode(levels: np.ndarray) -> str:
    """Return the bytes as the page holds them: zlib's format, which browsers know as `deflate`, in
    base 64.
    """
    return base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode("ascii")


def _short(values: np.ndarray) -> np.ndarray:
    """Return values with six significant digits, a digit more than the steps need; this keeps the
    page's numbers short.
    """
    rounded = [float(f"{value:.6g}") for value in values.ravel()]
    return np.array(rounded, np.float32).reshape(values.shape)
