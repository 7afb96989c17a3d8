"""Quantised maps: how far they are from what they stand for, and what the page decodes."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from page_maps import dequantize, dequantize_signed

from engram.explorer.maps import LEVELS, SIGNED_LEVELS, encode, quantize, quantize_signed


@given(arrays(np.float32, (3, 21), elements=st.floats(0, 1, width=32)))
def test_the_error_is_within_a_step_of_the_square_root(maps: np.ndarray) -> None:
    levels, maxima = quantize(maps)
    largest = maps.max(axis=-1, keepdims=True)
    bound = np.sqrt(maps * largest) / LEVELS + largest / (4 * LEVELS**2)
    assert (np.abs(dequantize(levels, maxima) - maps) <= bound + 2e-6 * largest).all()


def test_zero_and_the_maximum_are_exact() -> None:
    levels, maxima = quantize(np.array([[0, 0.5, 0.25], [0, 0, 0]]))
    assert dequantize(levels, maxima)[:, :2].tolist() == [[0, 0.5], [0, 0]]


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_maps_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        quantize(np.array([0.1, wrong]))


@given(arrays(np.float32, (3, 21), elements=st.floats(-1, 1, width=32)))
def test_signed_values_keep_their_sign_within_a_step_of_the_square_root(maps: np.ndarray) -> None:
    levels, largest = quantize_signed(maps)
    shown, most = dequantize_signed(levels, largest), np.abs(maps).max(axis=-1, keepdims=True)
    bound = np.sqrt(np.abs(maps) * most) / SIGNED_LEVELS + most / (4 * SIGNED_LEVELS**2)
    assert (np.abs(shown - maps) <= bound + 2e-6 * most).all()
    assert (shown * maps >= 0).all()


def test_zero_and_both_ends_of_a_signed_map_are_exact() -> None:
    levels, largest = quantize_signed(np.array([[0, -0.5, 0.5], [0, 0, 0]]))
    assert dequantize_signed(levels, largest).tolist() == [[0, -0.5, 0.5], [0, 0, 0]]


@pytest.mark.parametrize("wrong", [np.nan, -np.inf])
def test_signed_maps_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="are finite"):
        quantize_signed(np.array([0.1, wrong]))


def test_a_block_is_base_64_of_deflated_bytes() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(2, 128)
    assert zlib.decompress(base64.b64decode(encode(levels))) == bytes(range(256))
