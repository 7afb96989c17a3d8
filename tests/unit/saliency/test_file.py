"""The file of saliency: bins of blocks and distances, and what is written is read alike."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from tiny_saliency import CLASSES, PREFIX, make_cnn, of_grid, pooled_maps
from tiny_samples import TOKENS, full_attention

from engram.io.errors import EngramError
from engram.io.packing import query_key
from engram.saliency.file import BLOCKS, Bins, read_saliency, write_saliency
from engram.saliency.methods import METHODS


def test_bins_hold_every_cell_once() -> None:
    bins = Bins(TOKENS, PREFIX)
    queries, keys = query_key(TOKENS)
    assert bins.cells.sum() == len(queries)
    block, distance = np.divmod(bins.place, TOKENS)
    np.testing.assert_array_equal(distance, queries - keys)
    for name, inside in {
        "first token": keys == 0,
        # The last query of the prefix predicts the first token of the suffix.
        "within the prefix": (keys > 0) & (queries < PREFIX - 1),
        "from suffix to prefix": (keys > 0) & (keys < PREFIX) & (queries >= PREFIX - 1),
        "within the suffix": keys >= PREFIX,
    }.items():
        np.testing.assert_array_equal(block == BLOCKS.index(name), inside)


def test_binned_sums_are_those_of_the_maps() -> None:
    found = of_grid([make_cnn("mean", 0), make_cnn("max", 1)], rows=30)["guided"]
    total = found.binned.sum(axis=(2, 4, 5)) / np.array(found.n)[None, :, None]  # (C, K, L)
    np.testing.assert_allclose(total, found.profile, rtol=1e-4)
    per_bin = (
        found.binned.sum(axis=2).mean(axis=0) / np.array(found.n)[:, None, None, None]
    )  # (K, L, B, T)
    for k in range(len(CLASSES)):
        np.testing.assert_allclose(
            per_bin[k], found.bins.sums(found.delta[k]), rtol=1e-4, atol=1e-7
        )
    assert found.sizes.sum(axis=1).tolist() == found.n
    _, maximum = pooled_maps(full_attention(30, seed=2))
    np.testing.assert_allclose(found.attention.sum(), maximum.sum(), rtol=1e-5)


def test_file_gives_the_saliency_back(tmp_path: Path) -> None:
    saliency = of_grid([make_cnn("mean"), make_cnn("max", 1)])
    guided = saliency["guided"]
    saliency["guided"] = replace(guided, region_delta=guided.delta[:, ::-1].copy())
    write_saliency(tmp_path / "x.h5", saliency, "Non-Memo, Guess, Others")
    for method in METHODS:
        found = read_saliency(tmp_path / "x.h5", method)
        for name, value in vars(saliency[method]).items():
            np.testing.assert_array_equal(getattr(found, name), value)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["guided"].attrs["taxonomy"].decode() == "Non-Memo, Guess, Others"


def test_method_that_a_file_lacks_is_an_error(tmp_path: Path) -> None:
    write_saliency(tmp_path / "x.h5", {"guided": of_grid([make_cnn()])["guided"]}, "A, B")
    with pytest.raises(EngramError, match="it holds guided, not gradient"):
        read_saliency(tmp_path / "x.h5", "gradient")


def test_missing_and_foreign_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    for name, message in (("none.h5", "no such file"), ("text.h5", "cannot be read")):
        with pytest.raises(EngramError, match=message):
            read_saliency(tmp_path / name, "guided")
