"""Δ in numbers and words."""

from dataclasses import replace

import numpy as np
import pytest

from engram.io.packing import packed_length, query_key
from engram.saliency.delta_shares import (
    LOCAL,
    block_shares,
    distance_shares,
    draw_shares,
    layer_levels,
    layer_shares,
    top_regions,
)
from engram.saliency.file import Bins, Saliency

TOKENS, PREFIX, LAYERS, CNNS, GROUPS = 16, 8, 5, 3, 4
CLASSES = ["Guess", "Recall"]


def saliency_of(maps: np.ndarray) -> Saliency:
    """A saliency whose every sample has the same D · A, (K, L, P), and attention 1; four samples in
    each of four groups.
    """
    bins = Bins(TOKENS, PREFIX)
    sums = np.stack([bins.sums(of_class) for of_class in maps]).astype(np.float32)  # (K, L, B, T)
    ones = np.stack([bins.sums(np.ones_like(of_class)) for of_class in maps]).astype(np.float32)
    shape = (CNNS, len(maps), GROUPS, *sums.shape[1:])
    return Saliency(
        delta=maps,
        spread=np.zeros_like(maps),
        profile=np.broadcast_to(maps.sum(axis=-1), (CNNS, *maps.shape[:2])),
        classes=CLASSES,
        cnns=["a", "b", "c"],
        n=[16, 16],
        dead=0,
        without_evidence=[0, 0],
        prefix=PREFIX,
        binned=np.broadcast_to(4 * sums[None, :, None], shape).copy(),
        attention=np.repeat(4 * ones[:, None], GROUPS, axis=1),
        sizes=np.full((2, GROUPS), 4),
    )


def random_maps() -> np.ndarray:
    return np.random.default_rng(0).random((2, LAYERS, packed_length(TOKENS))).astype(np.float32)


def test_levels_are_sums_of_the_maps_relative_to_the_greatest() -> None:
    maps = random_maps()
    maps[1] *= 0.25
    levels = layer_levels(draw_shares(saliency_of(maps), 20, 0.95, 0))
    sums = maps.sum(axis=-1)  # (K, L)
    found = levels["level"].to_numpy().reshape(sums.shape)
    np.testing.assert_allclose(found, sums / sums.max(), rtol=1e-4)
    assert levels["level"].max() == 1
    # Equal CNNs and samples: nothing varies.
    np.testing.assert_allclose(levels["low"], levels["high"], rtol=1e-4)
    assert levels["n"].unique().tolist() == [16]


def test_levels_of_unequal_groups_are_means_over_samples() -> None:
    saliency = saliency_of(random_maps())
    saliency.sizes[0] = [8, 4, 2, 2]
    saliency.binned[:, 0, 0] *= 2  # the first group's samples are twice as many
    levels = layer_levels(draw_shares(saliency, 200, 0.95, 0)).query("`class` == 'Guess'")
    expected = saliency.binned[0, 0].sum(axis=(0, 2, 3)) / 16  # (L,)
    assert levels["level"].to_numpy() / levels["level"].sum() == pytest.approx(
        expected / expected.sum(), rel=1e-4
    )
    assert (levels["low"] < levels["high"]).all()


def test_levels_without_any_delta_are_0() -> None:
    levels = layer_levels(draw_shares(saliency_of(0 * random_maps()), 20, 0.95, 0))
    assert (levels[["level", "low", "high"]] == 0).all(axis=None)


def test_shares_are_those_of_the_maps_and_sum_to_one() -> None:
    maps = random_maps()
    drawn = draw_shares(saliency_of(maps), 20, 0.95, 0)
    queries, keys = query_key(TOKENS)
    total = maps.sum(axis=(1, 2))
    by_layer, by_distance = layer_shares(drawn), distance_shares(drawn)
    blocks = block_shares(drawn).set_index(["class", "region"])["share"]
    for k, name in enumerate(CLASSES):
        np.testing.assert_allclose(
            by_layer[by_layer["class"] == name]["share"], maps[k].sum(axis=1) / total[k], rtol=1e-4
        )
        expected = np.bincount(queries - keys, maps[k].sum(axis=0)) / total[k]
        np.testing.assert_allclose(
            by_distance[by_distance["class"] == name]["share"], expected, rtol=1e-4
        )
        # The last query of the prefix predicts the first token of the suffix.
        back = (queries >= PREFIX - 1) & (keys < PREFIX) & (keys > 0)
        assert blocks[name, "from suffix to prefix"] == pytest.approx(
            maps[k][:, back].sum() / total[k], rel=1e-4
        )
        local = (queries - keys <= LOCAL) & (keys > 0)
        assert blocks[name, "local (distance up to 3)"] == pytest.approx(
            maps[k][:, local].sum() / total[k], rel=1e-4
        )
        assert blocks[name].iloc[:4].sum() == pytest.approx(1, abs=1e-5)


def test_blockwise_delta_is_named_in_blocks() -> None:
    """Rows are blocks of 8 tokens, eight of them the prefix: 64 tokens, 57 without raggedness."""
    saliency = replace(saliency_of(random_maps()), prefix=8 * PREFIX - 7, block=8)
    queries, keys = query_key(TOKENS)
    assert saliency.bins.prefix == PREFIX
    within = saliency.bins.cells[1].sum()  # the last row of the prefix has more than its last token
    assert within == ((keys > 0) & (queries < PREFIX)).sum()
    drawn = draw_shares(saliency, 20, 0.95, 0)
    names = block_shares(drawn)["region"].unique().tolist()
    assert names[0] == "first 8 tokens"
    assert names[-1] == "local (distance up to 3 blocks of 8 tokens)"
    one = np.zeros_like(random_maps())
    one[:, 2, (queries - keys == 2) & (keys > 0) & (queries < PREFIX)] = 1
    drawn = draw_shares(replace(saliency_of(one), prefix=8 * PREFIX, block=8), 20, 0.95, 0)
    assert top_regions(drawn)["words"].iloc[0] == (
        "layer 3, within the prefix, distance 2 blocks of 8 tokens"
    )
    opened = replace(saliency, opening=1, prefix=8 * (PREFIX - 1))
    assert (opened.bins.prefix, opened.parts[0]) == (PREFIX, "first token")


def test_attention_share_of_even_attention_is_the_share_of_cells() -> None:
    saliency = saliency_of(random_maps())
    table = distance_shares(draw_shares(saliency, 20, 0.95, 0))
    expected = np.arange(TOKENS, 0, -1) / packed_length(TOKENS)
    np.testing.assert_allclose(table[table["class"] == "Guess"]["attention"], expected, rtol=1e-5)


def test_equal_cnns_and_groups_have_no_interval_and_different_ones_have_one() -> None:
    same = saliency_of(random_maps())
    table = layer_shares(draw_shares(same, 50, 0.95, 0))
    np.testing.assert_allclose(table["low"], table["high"], atol=1e-6)
    same.binned[0, :, :, 0] *= 3
    table = layer_shares(draw_shares(same, 50, 0.95, 0))
    first = table[table["layer"] == 1]
    assert (first["low"] < first["share"] - 0.01).all() and (
        first["high"] > first["share"] + 0.01
    ).all()


def test_draws_are_shares_of_the_drawn_cnns_and_groups() -> None:
    saliency = saliency_of(random_maps())
    saliency.binned[:] *= np.random.default_rng(1).random(saliency.binned.shape)
    saliency.binned[:, 1, 2] = 0
    saliency.sizes[1, 2] = 0  # class 1 has three groups
    drawn = draw_shares(saliency, 5, 0.95, 0)
    layers = drawn.shares(1, lambda sums: sums.sum(axis=(-1, -2)))
    for draw in range(6):
        total = np.zeros(LAYERS)
        for cnn, times in enumerate(drawn.of_cnns[draw]):
            for group, count in zip((0, 1, 3), drawn.of_groups[1][draw], strict=True):
                total += times * count * saliency.binned[cnn, 1, group].sum(axis=(1, 2))
        np.testing.assert_allclose(layers[draw], total / total.sum(), rtol=1e-5)
    np.testing.assert_allclose(layers[0], drawn.estimate(1).sum(axis=(1, 2)))
    assert (drawn.of_groups[1].sum(axis=1) == 3).all()


def test_a_class_without_delta_has_shares_of_zero_and_no_region() -> None:
    maps = random_maps()
    maps[1] = 0
    saliency = saliency_of(maps)
    drawn = draw_shares(saliency, 20, 0.95, 0)
    shares = layer_shares(drawn)
    assert not shares[shares["class"] == "Recall"][["share", "low", "high"]].to_numpy().any()
    assert set(top_regions(drawn)["class"]) == {"Guess"}


def test_planted_boxes_are_put_into_words() -> None:
    queries, keys = query_key(TOKENS)
    distance, back = queries - keys, (queries >= PREFIX) & (keys < PREFIX) & (keys > 0)
    maps = np.full((2, LAYERS, len(queries)), 1e-3, np.float32)
    maps[0, 1:3, back & (distance >= 6) & (distance <= 8)] = 1
    maps[1, 4, (keys >= PREFIX) & (distance == 0)] = 1
    maps[1, 0, keys == 0] = 0.4
    saliency = saliency_of(maps)
    table = top_regions(draw_shares(saliency, 20, 0.95, 0))
    words = table[table["rank"] == 1].set_index("class")["words"]
    assert words["Guess"] == "layers 2–3, suffix looks back at keys in the prefix, distances 6 to 8"
    assert words["Recall"] == "layer 5, within the suffix, each token at itself"
    assert (
        table[(table["class"] == "Recall") & (table["rank"] == 2)]["words"].item()
        == "layer 1, key is the first token"
    )
    assert table[table["rank"] == 1]["share"].min() > 0.5
