"""The data of the CNNs: inputs, and mistakes that are found before training."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_samples import LAYERS, tiny_dataset

from engram.cnn.network import token_identity
from engram.io.errors import EngramError


def test_maps_of_each_input() -> None:
    data = tiny_dataset(30)
    assert data.maps("attention", "mean") is data.mean
    assert data.maps("attention", "max") is data.max
    np.testing.assert_array_equal(
        data.maps("token_identity", "none")[:, 0], token_identity(data.tokens)
    )
    assert (data.layers("attention"), data.layers("token_identity")) == (LAYERS, 1)
    with pytest.raises(ValueError, match="without the attention of random weights"):
        data.maps("random_weights", "mean")


def test_rows_of_the_splits_are_all_rows() -> None:
    data = tiny_dataset(30)
    rows = np.concatenate([data.rows(split) for split in ("train", "validation", "test")])
    np.testing.assert_array_equal(np.sort(rows), np.arange(30))


def test_single_class_is_an_error() -> None:
    with pytest.raises(EngramError, match=r"1 class \(Class 0\), nothing to tell apart"):
        tiny_dataset(classes=1).check(["train"])


def test_class_that_a_split_lacks_is_an_error() -> None:
    data = tiny_dataset(30)
    label = np.where((data.split == "test") & (data.label == 1), 0, data.label)
    with pytest.raises(
        EngramError, match=r"class Class 1 has no sample in the test split .*'Class 0': 4"
    ):
        replace(data, label=label).check(["train", "test"])


@pytest.mark.parametrize(("pooling", "value"), [("mean", np.nan), ("max", np.inf)])
def test_attention_that_is_not_finite_is_an_error(pooling: str, value: float) -> None:
    data = tiny_dataset(600)
    maps = getattr(data, pooling).copy()
    maps[500, 0, 3] = value
    with pytest.raises(EngramError, match=f"{pooling} attention of sequence_id 1500 is not finite"):
        replace(data, **{pooling: maps}).check(["train"])


def test_rows_that_do_not_match_are_an_error() -> None:
    data = tiny_dataset(30)
    with pytest.raises(EngramError, match="max has 29 rows for 30 sequences"):
        replace(data, max=data.max[1:]).check(["train"])


def test_maps_of_another_window_are_an_error() -> None:
    data = tiny_dataset(30)
    with pytest.raises(EngramError, match="mean has 136 values per map, 15 tokens make 120"):
        replace(data, tokens=data.tokens[:, 1:]).check(["train"])
