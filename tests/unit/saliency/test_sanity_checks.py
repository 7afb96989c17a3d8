"""Parts of the saliency checks against independent computations."""

import itertools
from dataclasses import replace

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
from engram.saliency.deletion import _drawn_means, deletion_curves
from engram.saliency.held_out import HeldOut
from engram.saliency.map_checks import STAGES, correlation_interval, reinitialized
from engram.saliency.ranks import rank_correlations, standard_ranks
from engram.saliency.sanity_checks import check_saliency, validity
from engram.saliency.settings import CheckSettings
from engram.scores.bootstrap import pigeonhole_shares

CLASSES = ["Non-Memo", "Guess", "Recall"]


def random_samples(rows: int = 24) -> HeldOut:
    heads = torch.from_numpy(full_attention(rows, seed=3))
    return HeldOut(
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
    one = pigeonhole_shares(np.random.default_rng(1), 1, 1, resamples=1)
    rho = rank_correlations(standard_ranks(first, one), standard_ranks(second, one))
    for layer in range(4):
        assert rho[0, layer] == pytest.approx(
            spearmanr(first[0, 0, layer], second[0, 0, layer]).statistic, abs=1e-5
        )


def test_drawn_maps_are_weighted_means_over_cnns_and_groups() -> None:
    first, second = np.random.default_rng(0).random((2, 3, 2, 4, 50), np.float32)  # (C, G, L, P)
    weights = pigeonhole_shares(np.random.default_rng(1), 3, 2, resamples=5)
    rho = rank_correlations(standard_ranks(first, weights), standard_ranks(second, weights))
    for r, weight in enumerate(weights):
        one, two = (np.einsum("cg,cglp->lp", weight, maps) for maps in (first, second))
        for layer in range(4):
            assert rho[r, layer] == pytest.approx(
                spearmanr(one[layer], two[layer]).statistic, abs=1e-3
            )


def test_a_flat_map_correlates_with_nothing() -> None:
    weights = pigeonhole_shares(np.random.default_rng(0), 1, 2, resamples=2)
    flat, other = (
        np.zeros((1, 2, 1, 9), np.float32),
        np.random.default_rng(0).random((1, 2, 1, 9), np.float32),
    )
    assert not rank_correlations(
        standard_ranks(flat, weights), standard_ranks(other, weights)
    ).any()


def test_intervals_of_correlations_surround_the_estimate_and_end_at_1() -> None:
    draws = np.random.default_rng(0).normal(0.4, 0.05, 20_000)
    found = correlation_interval(np.concatenate([[0.5], draws]), 0.95)
    assert found == pytest.approx((0.5, 0.402, 0.598), abs=3e-3)
    assert correlation_interval(np.concatenate([[0.95], draws]), 0.95).high == 1


@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_layers_are_reinitialized_from_the_last_one_on(stage: int) -> None:
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
    ("learned", "random", "shuffled", "attention", "valid"),
    [
        (0.1, 0.2, 0.1, 0.1, "yes"),
        (-0.1, 0.2, 0.1, 0.1, "no"),
        (0.1, -0.2, 0.1, 0.1, "no"),
        (0.1, 0.2, -0.1, 0.1, "no"),
        (0.1, 0.2, 0.0, 0.1, "no"),  # what shuffled CNNs find is as good
        (0.1, 0.2, 0.1, 0.0, "no"),
        (None, 0.2, 0.1, 0.1, "not judged"),
        (0.1, 0.2, None, 0.1, "not judged"),
    ],
)
def test_valid_is_what_was_learned_and_is_used_beyond_its_controls(
    learned: float | None, random: float, shuffled: float | None, attention: float, valid: str
) -> None:
    noise = np.linspace(-0.01, 0.01, 101)
    gains = {"random": random + noise, "attention": attention + noise}
    gains |= {} if shuffled is None else {"shuffled labels": shuffled + noise}
    table = validity(
        {} if learned is None else {"guided": learned + noise}, {"guided": gains}, 0.95
    )
    assert table["valid"].tolist() == [valid]


def test_what_an_order_is_worth_is_measured_against_that_of_shuffled_cnns() -> None:
    """The control's order is the method's own: nothing is left of what it seemed to find."""
    samples, cnns = random_samples(), [make_cnn(seed=1), make_cnn(seed=2)]
    settings = CheckSettings(methods=["guided"], rank_draws=4, resamples=20)
    size = samples.mean[0].size
    order = np.stack([np.random.default_rng(k).permutation(size) for k in range(3)])
    _, same = deletion_curves(cnns, samples, {"guided": order}, {"guided": order}, settings)
    assert set(same["guided"]) == {"random", "attention", "shuffled labels"}
    assert not same["guided"]["shuffled labels"].any() and same["guided"]["random"].any()
    _, other = deletion_curves(cnns, samples, {"guided": order}, {"guided": order[::-1]}, settings)
    assert other["guided"]["shuffled labels"].any()


def test_equal_texts_lie_in_one_group_and_are_drawn_together() -> None:
    samples = random_samples(48)
    paired = replace(samples, content_group=np.arange(48) // 6)  # two of a class in each
    for parts in paired.groups():
        texts = [set(paired.text()[rows]) for rows in parts]
        assert len(parts) == 8 and not any(a & b for a, b in itertools.combinations(texts, 2))
    rows = itertools.chain.from_iterable(paired.groups())
    assert sorted(np.concatenate(list(rows)).tolist()) == list(range(48))
    values, settings = np.array([[1.0, 1, 0, 0]]), CheckSettings(methods=["guided"], resamples=400)
    alone = _drawn_means(values, np.arange(4), settings)
    together = _drawn_means(values, np.array([0, 0, 1, 1]), settings)
    assert alone[0] == together[0] == 0.5
    assert together[1:].std() == pytest.approx(np.sqrt(1 / 8), rel=0.1)
    assert alone[1:].std() == pytest.approx(1 / 4, rel=0.1)
