"""Δ from pooled maps against its definition head by head, over the CNNs of a grid, and what happens
where there is no evidence.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_saliency import CLASSES, PREFIX, make_cnn, of_grid, pooled_maps
from tiny_samples import HEADS, TOKENS, full_attention
from torch.nn import functional

from engram.cnn.network import AttentionCNN
from engram.io.errors import EngramError
from engram.io.packing import pack
from engram.saliency.delta import (
    choose_held_out,
    delta,
    mean_delta,
    normalize,
    region_split,
    saliency_of_grid,
)
from engram.saliency.methods import METHODS, STEPS


class GuidedReLU(torch.autograd.Function):
    """ReLU that passes on gradients where both they and its input are positive."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient * (ctx.saved_tensors[0] > 0) * (gradient > 0)


ReLU = Callable[[torch.Tensor], torch.Tensor]


def enter(cnn: AttentionCNN, maps: torch.Tensor) -> torch.Tensor:
    """What enters the first convolution."""
    return torch.log(1 + TOKENS * maps) if cnn.input_scale == "log" else maps


def plain_layers(
    cnn: AttentionCNN, x: torch.Tensor, relu: ReLU
) -> tuple[torch.Tensor, torch.Tensor]:
    """The second convolution after its ReLU, and the logits."""
    maps = relu(cnn.conv2(functional.max_pool2d(relu(cnn.conv1(x)), 2)))
    return maps, cnn.fc2(relu(cnn.fc1(functional.max_pool2d(maps, 2).flatten(1))))


def traced_by_definition(
    cnn: AttentionCNN, heads: torch.Tensor, t: int, method: str
) -> torch.Tensor:
    """B(t) of one sample, (L, H, T, T), by automatic differentiation with respect to every head."""
    full = heads[None].requires_grad_()  # (1, L, H, T, T)
    pooled = full.mean(dim=2) if cnn.head_pooling == "mean" else full.max(dim=2).values
    if method == "gradcam":
        maps, logits = plain_layers(cnn, enter(cnn, pooled), torch.relu)
        weights = torch.autograd.grad(logits[0, t], maps)[0].mean(dim=(2, 3), keepdim=True)
        coarse = (weights * maps).sum(dim=1, keepdim=True).detach()  # (1, 1, s, s)
        places = (
            torch.arange(TOKENS) - (3 * cnn.conv1.kernel_size[0] - 2) / 2
        ) / 2  # of tokens among the outputs
        places = places / (coarse.shape[-1] - 1) * 2 - 1
        grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)[None]  # x, then y
        fine = functional.grid_sample(
            coarse, grid, padding_mode="border", align_corners=True
        )  # (1, 1, T, T)
        return fine[0].expand(heads.shape[0], -1, -1)[:, None].expand(heads.shape)
    if method == "integrated_gradients":
        entered = enter(cnn, pooled)
        slope = torch.where(
            pooled > 0, entered / pooled, TOKENS if cnn.input_scale == "log" else 1.0
        ).detach()
        places, weights = np.polynomial.legendre.leggauss(STEPS)
        value = sum(
            w
            / 2
            / ((1 + x) / 2)
            * plain_layers(cnn, (1 + x) / 2 * slope * pooled, torch.relu)[1][0, t]
            for x, w in zip(places.tolist(), weights.tolist(), strict=True)
        )
    else:
        value = plain_layers(
            cnn, enter(cnn, pooled), GuidedReLU.apply if method == "guided" else torch.relu
        )[1][0, t]
    return torch.autograd.grad(value, full)[0][0]


def delta_by_definition(
    cnn: AttentionCNN, heads: np.ndarray, target: int, method: str
) -> np.ndarray:
    """Δ (L, P) from all heads (n, L, H, T, T): pooling inside the network, one sample and one class
    at a time.
    """
    total = np.zeros(heads.shape[1:2] + heads.shape[3:])  # (L, T, T)
    causal = torch.ones(TOKENS, TOKENS).tril().bool()
    for sample in heads:
        backward = [
            traced_by_definition(cnn, torch.from_numpy(sample), t, method)
            for t in range(len(CLASSES))
        ]
        others = [gradient for t, gradient in enumerate(backward) if t != target]
        c = (backward[target] - sum(others) / len(others)) * causal
        d = (c / c.max()).clamp(min=0) if c.max() > 0 else torch.zeros_like(c)
        total += (d * torch.from_numpy(sample)).amax(dim=1).numpy()
    return pack(total / len(heads))


@pytest.mark.parametrize("scale", ["raw", "log"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_delta_of_pooled_maps_is_that_of_all_heads(pooling: str, method: str, scale: str) -> None:
    cnn, heads = make_cnn(pooling, seed=3, scale=scale), full_attention(5, seed=1)
    mean, maximum = pooled_maps(heads)
    assert heads.shape[2] == HEADS > 1
    for target in range(len(CLASSES)):
        found = delta(cnn, mean if pooling == "mean" else maximum, maximum, target, [method])[
            method
        ].map
        expected = delta_by_definition(cnn, heads, target, method)
        assert expected.max() > 1e-3
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_normalized_evidence_has_maximum_one_and_no_negative_values() -> None:
    evidence = torch.tensor([[[2.0, -4.0, 1.0]], [[0.0, 0.25, -1.0]]])
    expected = torch.tensor([[[1.0, 0.0, 0.5]], [[0.0, 1.0, 0.0]]])
    torch.testing.assert_close(normalize(evidence), expected)


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_sample_without_positive_evidence_is_zero(value: float) -> None:
    torch.testing.assert_close(
        normalize(torch.full((1, 2, 3), value)), torch.zeros(1, 2, 3), rtol=0, atol=0
    )


def dead_cnn() -> AttentionCNN:
    """No ReLU of its second convolution ever opens."""
    cnn = make_cnn(seed=1)
    with torch.no_grad():
        cnn.conv2.weight.zero_()
        assert cnn.conv2.bias is not None
        cnn.conv2.bias.fill_(-1)
    return cnn


@pytest.mark.parametrize("method", METHODS)
def test_dead_cnn_is_zero_and_counted(method: str) -> None:
    found = of_grid([make_cnn(), dead_cnn()])[method]
    alive = of_grid([make_cnn()])[method]
    assert (found.dead, alive.dead) == (1, 0)
    assert [a - b for a, b in zip(found.without_evidence, alive.without_evidence, strict=True)] == [
        3,
        3,
        3,
    ]
    np.testing.assert_allclose(found.delta, alive.delta / 2, rtol=1e-6)


def test_mean_spread_and_profile_are_over_cnns() -> None:
    cnns = [make_cnn("mean", 0), make_cnn("max", 1), make_cnn("mean", 2)]
    alone = np.stack([of_grid([cnn])["guided"].delta for cnn in cnns])  # (C, K, L, P)
    found = of_grid(cnns)["guided"]
    np.testing.assert_allclose(found.delta, alone.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.spread, alone.std(axis=0, ddof=1), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.profile, alone.sum(axis=3), rtol=1e-5)
    assert (found.cnns, found.n) == (["cnn0", "cnn1", "cnn2"], [3, 3, 3])


def test_spread_of_one_cnn_is_zero() -> None:
    assert not of_grid([make_cnn()])["guided"].spread.any()


def test_batches_do_not_show() -> None:
    mean, maximum = pooled_maps(full_attention(70, seed=4))
    whole = delta(make_cnn(), mean, maximum, 1, ["guided"])["guided"].map
    halves = [
        delta(make_cnn(), mean[half], maximum[half], 1, ["guided"])["guided"].map
        for half in (slice(0, 35), slice(35, 70))
    ]
    np.testing.assert_allclose(whole, np.mean(halves, axis=0), rtol=1e-5, atol=1e-9)


def test_held_out_samples_are_test_samples_of_lowest_priority() -> None:
    split = np.array(["test", "train", "test", "test", "test", "test"])
    label, priority = np.array([0, 0, 0, 0, 1, 1]), np.array([0.5, 0.0, 0.1, 0.3, 0.9, 0.2])
    np.testing.assert_array_equal(choose_held_out(split, label, priority, 2), [2, 3, 4, 5])
    np.testing.assert_array_equal(choose_held_out(split, label, priority, 2, "train"), [1])


def test_regions_are_chosen_outside_the_test_split() -> None:
    assert region_split(np.array(["test", "train", "validation"], dtype=object)) == "validation"
    assert region_split(np.array(["test", "train"], dtype=object)) == "train"


def test_delta_alone_is_that_of_the_grid() -> None:
    cnns = {"a": make_cnn("mean"), "b": make_cnn("max", 1)}
    mean, maximum = pooled_maps(full_attention(12, seed=3))
    label = np.arange(12) % len(CLASSES)
    whole = saliency_of_grid(cnns, mean, maximum, label, CLASSES, ["guided"], PREFIX)["guided"]
    alone = mean_delta(cnns, mean, maximum, label, CLASSES, "guided")
    np.testing.assert_allclose(alone, whole.delta, rtol=1e-5, atol=1e-9)
    without = label < len(CLASSES) - 1
    assert (
        mean_delta(cnns, mean[without], maximum[without], label[without], CLASSES, "guided") is None
    )


def test_no_cnn_is_an_error() -> None:
    with pytest.raises(EngramError, match="no CNN was trained"):
        of_grid([])


def test_class_without_samples_is_an_error() -> None:
    with pytest.raises(EngramError, match="class Recall has no held-out sample"):
        of_grid([make_cnn()], rows=2)


def test_unknown_method_is_an_error() -> None:
    mean, maximum = pooled_maps(full_attention(2, seed=0))
    with pytest.raises(EngramError, match="saliency method 'magic'"):
        delta(make_cnn(), mean, maximum, 0, ["magic"])
