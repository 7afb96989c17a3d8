"""Packing: the lower triangle row by row, and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engram.io.packing import pack, packed_length, query_key, unpack, window_length


def test_pack_is_row_major_lower_triangle() -> None:
    maps = np.arange(2 * 16).reshape(2, 4, 4)
    plain = [
        [maps[n, query, key] for query in range(4) for key in range(query + 1)] for n in range(2)
    ]
    np.testing.assert_array_equal(pack(maps), plain)


def test_query_key_names_each_packed_value() -> None:
    maps = np.random.default_rng(0).random((5, 5))
    queries, keys = query_key(5)
    np.testing.assert_array_equal(pack(maps), maps[queries, keys])


@given(st.integers(1, 300))
def test_window_length_inverts_packed_length(window: int) -> None:
    assert window_length(packed_length(window)) == window


@given(
    st.integers(1, 40_000).filter(
        lambda packed: packed not in {packed_length(window) for window in range(300)}
    )
)
def test_other_lengths_are_refused(packed: int) -> None:
    with pytest.raises(ValueError, match="no packed map"):
        window_length(packed)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_unpack_restores_causal_maps_and_type(dtype: type) -> None:
    maps = np.tril(np.random.default_rng(0).integers(1, 100, (3, 2, 6, 6))).astype(dtype)
    restored = unpack(pack(maps))
    np.testing.assert_array_equal(restored, maps)
    assert restored.dtype == dtype


def test_unpack_fills_above_the_diagonal_only() -> None:
    filled = unpack(np.ones(packed_length(4)), fill=np.nan)
    np.testing.assert_array_equal(np.isnan(filled), np.triu(np.ones((4, 4)), 1) == 1)


def test_torch_agrees_with_numpy() -> None:
    maps = np.random.default_rng(0).random((2, 3, 7, 7))
    packed = pack(torch.from_numpy(maps))
    np.testing.assert_array_equal(packed, pack(maps))
    np.testing.assert_array_equal(unpack(packed, fill=-1), unpack(pack(maps), fill=-1))


def test_unpack_is_differentiable() -> None:
    packed = torch.randn(2, packed_length(4), requires_grad=True)
    unpack(packed).square().sum().backward()
    torch.testing.assert_close(packed.grad, 2 * packed.detach())


def test_maps_must_be_square() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4, 5\)"):
        pack(np.zeros((2, 4, 5)))
