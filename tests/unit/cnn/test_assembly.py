"""What goes into the data set of CNNs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_samples import LAYERS, tiny_dataset

from engram.cnn.assembly import left_out, usable_samples, vary_alike, with_baselines


class Maps:
    """Stands in for memory and store: attention that hardly varies."""

    def __init__(self, maps: np.ndarray) -> None:
        self.maps = maps

    def read(self, store: Any, ids: np.ndarray, pooling: str) -> np.ndarray:
        return self.maps.astype(np.float32 if pooling == "mean" else np.float16)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_maps_vary_as_others_do_and_keep_their_order(dtype: type) -> None:
    random = np.random.default_rng(0)
    like = random.uniform(0.4, 0.8, (600, LAYERS, 10)).astype(dtype)
    like[:, 1] *= 0.5
    maps = (0.3 + random.normal(0, 0.01, like.shape) * [[[1], [3]]]).astype(dtype)
    train, before = np.arange(400), maps.astype(np.float64)
    vary_alike(maps, like, train)
    after = maps[train].astype(np.float64)
    assert after.mean(axis=0) == pytest.approx(like[train].mean(axis=0, dtype=float), abs=2e-3)
    for layer in range(LAYERS):
        spread = like[train, layer].astype(float).std(axis=0)
        got = after[:, layer].std(axis=0)
        assert np.sqrt((got**2).mean()) == pytest.approx(np.sqrt((spread**2).mean()), rel=0.02)
        assert np.corrcoef(maps[:, layer, 0].astype(float), before[:, layer, 0])[0, 1] > 0.99


def test_what_never_varies_stays_so_and_nothing_is_negative() -> None:
    maps = np.full((40, 1, 6), 0.5, np.float32)
    like = np.random.default_rng(0).uniform(0, 0.1, maps.shape).astype(np.float32)
    vary_alike(maps, like, np.arange(20))
    assert np.ptp(maps, axis=0).max() == 0 and np.isfinite(maps).all()
    wild = np.random.default_rng(1).normal(0, 9, maps.shape).astype(np.float32)
    assert vary_alike(wild, like, np.arange(20)).min() == 0


def test_the_baseline_of_permuted_weights_varies_as_attention_does() -> None:
    data = tiny_dataset(120)
    flat = 0.2 + (data.mean - 0.2) / 15
    labels = pd.DataFrame({"sequence_id": data.sequence_id})
    store: Any = object()
    made = with_baselines(data, ["random_weights"], labels, set(), store, None, Maps(flat))  # type: ignore
    assert made.random_mean is not None
    np.testing.assert_allclose(made.random_mean, data.mean, atol=1e-3)


def drawn(per_class: dict[str, int]) -> pd.DataFrame:
    """A sample list, classes one after another, the lowest priorities first."""
    rows = [
        {"class": name, "split": ("train", "test")[number % 2], "priority": number / 100}
        for name, count in per_class.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows).assign(sequence_id=np.arange(len(rows)))


def test_classes_are_equal_again_after_samples_are_dropped() -> None:
    samples = drawn({"Non-Memo": 10, "Guess": 10, "Others": 10})
    # The model does not reproduce three of Guess, and one of Others.
    verification = samples[["sequence_id"]].assign(extracted=True)
    verification.loc[[10, 14, 19, 25], "extracted"] = False
    chosen = usable_samples(samples, verification, True)
    assert chosen["class"].value_counts().tolist() == [7, 7, 7]
    assert chosen["sequence_id"].tolist() == [
        *range(7),
        *(11, 12, 13, 15, 16, 17, 18),
        *(20, 21, 22, 23, 24, 26, 27),
    ]
    counts = left_out(samples, verification, True)
    assert counts.loc[["Non-Memo", "Guess", "Others"]].to_numpy().tolist() == [
        [0, 3],
        [3, 0],
        [1, 2],
    ]


def test_nothing_is_left_out_where_nothing_is_dropped() -> None:
    samples = drawn({"Non-Memo": 4, "Guess": 4})
    verification = samples[["sequence_id"]].assign(extracted=False)
    for drop, extracted in ((False, False), (True, True)):
        known = verification.assign(extracted=extracted)
        assert len(usable_samples(samples, known, drop)) == len(samples)
        assert not left_out(samples, known, drop).to_numpy().any()


def test_classes_that_were_drawn_unequal_stay_so() -> None:
    samples = drawn({"Non-Memo": 9, "Guess": 4})
    verification = samples[["sequence_id"]].assign(extracted=True)
    verification.loc[[2, 10], "extracted"] = False
    counts = usable_samples(samples, verification, True)["class"].value_counts()
    assert counts.to_dict() == {"Non-Memo": 8, "Guess": 3}


def test_a_class_that_loses_everything_takes_nothing_from_the_others() -> None:
    samples = drawn({"Non-Memo": 3, "Guess": 3})
    verification = samples[["sequence_id"]].assign(extracted=[True] * 3 + [False] * 3)
    assert usable_samples(samples, verification, True)["class"].tolist() == ["Non-Memo"] * 3
