"""Parts of the saliency checks against independent computations."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from tiny_samples import LAYERS, TOKENS, full_attention

from engram.cnn.architecture import Architecture
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN, square_maps
from engram.io.errors import EngramError
from engram.io.packing import pack
from engram.saliency.checks import (
    STAGES,
    Samples,
    check_saliency,
    reinitialized,
    validity,
)
from engram.saliency.ranks import correlations, draws, interval, normal_interval, standard_ranks
from engram.saliency.settings import CheckSettings

CLASSES = ["Non-Memo", "Guess", "Recall"]


def random_samples(rows: int = 24) -> Samples:
    heads = torch.from_numpy(full_attention(rows, seed=3))
    return Samples(
        pack(heads.mean(dim=2)).numpy(),
        pack(heads.amax(dim=2)).numpy(),
        np.arange(rows) % 3,
        CLASSES,
    )


def make_cnn(pooling: str = "mean", seed: int = 0) -> AttentionCNN:
    cnn = AttentionCNN.of(Architecture(3, 6, pooling, hidden=16), LAYERS, 3, TOKENS)
    cnn.initialize(seed)
    return cnn.eval()


def test_correlation_is_spearmans_with_ties() -> None:
    first, second = (
        np.random.default_rng(0).integers(0, 6, (2, 1, 1, 4, 50)).astype(np.float32)
    )  # (C, G, L, P)
    one = draws(1, 1, resamples=1, seed=1)
    found = correlations(standard_ranks(first, one), standard_ranks(second, one))
    for layer in range(4):
        assert found[0, layer] == pytest.approx(
            spearmanr(first[0, 0, layer], second[0, 0, layer]).statistic, abs=1e-5
        )


def test_drawn_maps_are_weighted_means_over_cnns_and_groups() -> None:
    first, second = np.random.default_rng(0).random((2, 3, 2, 4, 50), np.float32)  # (C, G, L, P)
    weights = draws(3, 2, resamples=5, seed=1)
    found = correlations(standard_ranks(first, weights), standard_ranks(second, weights))
    for r, weight in enumerate(weights):
        one, two = (np.einsum("cg,cglp->lp", weight, maps) for maps in (first, second))
        for layer in range(4):
            assert found[r, layer] == pytest.approx(
                spearmanr(one[layer], two[layer]).statistic, abs=1e-3
            )


def test_a_flat_map_correlates_with_nothing() -> None:
    weights = draws(1, 2, resamples=2, seed=0)
    flat, other = (
        np.zeros((1, 2, 1, 9), np.float32),
        np.random.default_rng(0).random((1, 2, 1, 9), np.float32),
    )
    assert not correlations(standard_ranks(flat, weights), standard_ranks(other, weights)).any()


def test_draws_begin_with_equal_weights_and_sum_to_one() -> None:
    weights = draws(4, 5, resamples=7, seed=0)
    np.testing.assert_allclose(weights[0], 1 / 20)
    np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1)
    assert len(weights) == 8 and (weights[1:].std(axis=(1, 2)) > 0).all()


def test_intervals_hold_the_spread_of_the_draws() -> None:
    values = np.concatenate([[0.5], np.random.default_rng(0).normal(0.4, 0.05, 20_000)])
    assert interval(values, 0.95) == pytest.approx((0.5, 0.302, 0.498), abs=3e-3)
    assert normal_interval(values, 0.95) == pytest.approx((0.5, 0.402, 0.598), abs=3e-3)


@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_layers_are_drawn_anew_from_the_last_one_on(stage: int) -> None:
    cnn = make_cnn(seed=4)
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    changed = reinitialized(cnn, STAGES[: stage + 1], seed=9).state_dict()
    for name, value in cnn.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
        assert torch.equal(changed[name], value) == (name.split(".")[0] not in STAGES[: stage + 1])


def test_checks_of_one_cnn_without_a_control_do_not_judge() -> None:
    key = CnnKey("attention", "real", "k3-f6-mean", 0)
    tables = check_saliency(
        {key: make_cnn()},
        random_samples(),
        CheckSettings(methods=["guided"], rank_draws=4, resamples=20),
    )
    assert tables["validity"]["valid"].tolist() == ["not judged"]
    assert tables["agreement"].empty and "against" in tables["agreement"]
    assert not set(tables["deletion"]["cells"]) - {"guided", "attention", "random", "none"}


def test_an_untouched_input_has_the_cnns_own_probability() -> None:
    samples, cnns = (
        random_samples(),
        {
            CnnKey("attention", "real", f"k3-f6-{p}", 0): make_cnn(p, seed=i)
            for i, p in enumerate(("mean", "max"))
        },
    )
    tables = check_saliency(
        cnns, samples, CheckSettings(methods=["gradient"], rank_draws=4, resamples=20)
    )
    deletion = tables["deletion"].set_index(["cells", "mode", "class"])["probability"]
    for k, name in enumerate(CLASSES):
        rows = np.concatenate(np.array_split(np.flatnonzero(samples.label == k), 8)[1::2])
        own = [
            cnn(square_maps(torch.from_numpy(samples.pooled(cnn)[rows])))
            .softmax(1)[:, k]
            .mean()
            .item()
            for cnn in cnns.values()
        ]
        assert deletion["none", "deletion", name] == pytest.approx(np.mean(own), abs=1e-5)


def test_no_cnn_on_real_labels_is_an_error() -> None:
    with pytest.raises(EngramError, match="no CNN was trained on attention with real labels"):
        check_saliency(
            {CnnKey("attention", "shuffled", "k3-f6-mean", 0): make_cnn()},
            random_samples(),
            CheckSettings(methods=["guided"]),
        )


@pytest.mark.parametrize(
    ("learned", "used", "valid"),
    [(0.1, 0.2, "yes"), (-0.1, 0.2, "no"), (0.1, -0.2, "no"), (None, 0.2, "not judged")],
)
def test_valid_is_what_was_learned_and_is_used(
    learned: float | None, used: float, valid: str
) -> None:
    noise = np.linspace(-0.01, 0.01, 101)
    table = validity(
        {} if learned is None else {"guided": learned + noise}, {"guided": used + noise}, 0.95
    )
    assert table["valid"].tolist() == [valid]
