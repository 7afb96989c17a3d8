"""Blockwise maps: rows of several tokens, and what their cells pool."""

import numpy as np
import pytest
import torch

from engram.io.packing import pack, packed_length, unpack
from engram.io.spans import Spans, pool_rows

SHAPES = [Spans(0, 8, 4, 4), Spans(1, 7, 6, 2), Spans(2, 13, 10, 7), Spans(0, 3, 5, 1)]


def causal_maps(tokens: int, rows: int = 3) -> np.ndarray:
    maps = np.random.default_rng(tokens).random((rows, 2, tokens, tokens), np.float32)
    return pack(maps)


def pooled_cell_by_cell(packed: np.ndarray, spans: Spans, how: str) -> np.ndarray:
    """The definition: every cell from the pairs of its tokens with the key no later."""
    square, edges = unpack(packed), spans.edges
    cells = []
    for row in range(spans.rows):
        for column in range(row + 1):
            values = [
                square[..., query, key]
                for query in range(edges[row], edges[row + 1])
                for key in range(edges[column], min(edges[column + 1], query + 1))
            ]
            reduce = {"mean": np.mean, "max": np.max, "sum": np.sum}[how]
            cells.append(reduce(values, axis=0))
    return np.stack(cells, axis=-1)


def test_spans_begin_at_the_prefix_and_the_suffix_and_leave_special_tokens_alone() -> None:
    spans = Spans(opening=2, prefix=7, suffix=5, block=4)
    assert spans.edges.tolist() == [0, 1, 2, 6, 9, 13, 14]
    assert (spans.tokens, spans.before_suffix, spans.rows) == (14, 4, 6)
    assert spans.row_of_token.tolist() == [0, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5]
    assert spans.packed == packed_length(6)


@pytest.mark.parametrize("spans", SHAPES, ids=str)
@pytest.mark.parametrize("how", ["mean", "max", "sum"])
def test_cells_pool_their_pairs_of_tokens(spans: Spans, how: str) -> None:
    maps = causal_maps(spans.tokens)
    expected = pooled_cell_by_cell(maps, spans, how)
    np.testing.assert_allclose(spans.pool(maps, how), expected, rtol=1e-6)
    np.testing.assert_allclose(spans.pool(torch.from_numpy(maps), how), expected, rtol=1e-6)


@pytest.mark.parametrize("spans", SHAPES, ids=str)
def test_groups_of_rows_pool_as_whole_maps_do(spans: Spans) -> None:
    maps = torch.from_numpy(unpack(causal_maps(spans.tokens)))
    whole = pool_rows(maps, spans, 0, "sum")
    first = 0
    for begin, end in spans.row_groups(8):
        rows = pool_rows(maps[..., begin:end, :end], spans, begin, "sum")
        torch.testing.assert_close(
            rows, whole[..., first : first + rows.shape[-2], : rows.shape[-1]]
        )
        first += rows.shape[-2]
    assert first == spans.rows


def test_groups_of_rows_are_whole_spans() -> None:
    assert Spans(1, 7, 6, 4).row_groups(5) == [(0, 5), (5, 8), (8, 12), (12, 14)]
    assert Spans(0, 8, 0, 4).row_groups(2) == [(0, 4), (4, 8)]
    assert Spans(0, 5, 0).row_groups(2) == [(0, 2), (2, 4), (4, 5)]


@pytest.mark.parametrize("spans", SHAPES, ids=str)
def test_expanded_cells_are_all_their_pairs(spans: Spans) -> None:
    numbers = np.arange(spans.packed)
    expanded = spans.expand(numbers)
    np.testing.assert_array_equal(np.bincount(expanded, minlength=spans.packed), spans.sizes)
    np.testing.assert_array_equal(spans.pool(expanded.astype(np.float64), "mean"), numbers)
    np.testing.assert_array_equal(spans.expand(torch.from_numpy(numbers)).numpy(), expanded)


def test_maps_of_other_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="maps of 6 cells, 12 tokens have 78"):
        Spans(0, 8, 4, 4).pool(np.zeros(6), "mean")
