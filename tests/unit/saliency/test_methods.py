"""Δ from pooled maps against its definition head by head, guided backpropagation, and what happens
where there is no evidence.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop, IntegratedGradients, LayerGradCam
from captum.attr import Saliency as Gradients
from tiny_samples import HEADS, LAYERS, TOKENS, full_attention
from torch.nn import functional

from engram.cnn.architecture import Architecture
from engram.cnn.network import AttentionCNN, square_maps
from engram.io.errors import EngramError
from engram.io.packing import pack, query_key, unpack
from engram.saliency.delta import (
    choose_held_out,
    delta,
    mean_delta,
    normalize,
    region_split,
    saliency_of_grid,
)
from engram.saliency.file import BLOCKS, Bins, Saliency, read_saliency, write_saliency
from engram.saliency.methods import METHODS, STEPS, contrast, contrasts, logits_from_first

PREFIX = 8
CLASSES = ["Non-Memo", "Guess", "Recall"]


def make_cnn(pooling: str = "mean", seed: int = 0, scale: str = "raw") -> AttentionCNN:
    cnn = AttentionCNN.of(
        Architecture(3, 6, pooling, hidden=16, input_scale=scale), LAYERS, len(CLASSES), TOKENS
    )
    cnn.initialize(seed)
    return cnn


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


def pooled_maps(heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Packed mean and max, (n, L, P) each."""
    full = torch.from_numpy(heads)
    return pack(full.mean(dim=2)).numpy(), pack(full.amax(dim=2)).numpy()


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


def test_contrast_is_the_derivative_with_respect_to_attention() -> None:
    """By finite differences, through the logarithm of the input."""
    cnn = make_cnn(scale="log").double()
    attention = torch.from_numpy(pooled_maps(full_attention(1, seed=0))[0]).double()
    found = contrast(cnn, attention, 1, "gradient")
    weights = torch.tensor([-0.5, 1, -0.5], dtype=torch.float64)
    random, step = np.random.default_rng(0), 1e-6
    for _ in range(10):
        place = (0, int(random.integers(LAYERS)), int(random.integers(attention.shape[2])))
        values = []
        for sign in (1, -1):
            moved = attention.clone()
            moved[place] += sign * step
            values.append((cnn.eval()(unpack(moved)) @ weights).item())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(
            float(found[place]), rel=1e-4, abs=1e-8
        )


CAPTUM = {
    "guided": lambda cnn: GuidedBackprop(cnn).attribute,
    "gradient": lambda cnn: (
        lambda maps, target: Gradients(cnn).attribute(maps, target=target, abs=False)
    ),
    "integrated_gradients": lambda cnn: (
        lambda maps, target: IntegratedGradients(cnn, multiply_by_inputs=False).attribute(
            maps, target=target, n_steps=STEPS, method="gausslegendre"
        )
    ),
}


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
@pytest.mark.parametrize("method", CAPTUM)
@pytest.mark.parametrize(("kernel", "pooling"), [(3, 2), (4, 2), (2, 3), (3, 1)])
def test_contrast_is_that_of_captum(method: str, kernel: int, pooling: int) -> None:
    shape = Architecture(kernel, 5, hidden=16, pooling_kernel=pooling)
    cnn = AttentionCNN.of(shape, LAYERS, len(CLASSES), TOKENS)
    cnn.initialize(7)
    attention = torch.from_numpy(pooled_maps(full_attention(6, seed=8))[0])
    maps = square_maps(attention).contiguous()
    attribute = CAPTUM[method](cnn.eval())
    for target in range(len(CLASSES)):
        traced = [
            attribute(maps.clone().requires_grad_(), target=t).detach() for t in range(len(CLASSES))
        ]
        expected = pack(
            traced[target]
            - sum(traced[t] for t in range(len(CLASSES)) if t != target) / (len(CLASSES) - 1)
        )
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(
            contrast(cnn, attention, target, method), expected, rtol=1e-3, atol=2e-6
        )


@pytest.mark.parametrize(("kernel", "pooling", "first"), [(4, 2, 5), (2, 3, 3), (4, 1, 3)])
def test_class_activation_map_is_that_of_captum_where_an_output_has_its_centre(
    kernel: int, pooling: int, first: int
) -> None:
    """Of kernels of 4 and windows of 2, output i of the second convolution is centred at token
    2i + 5.
    """
    shape = Architecture(kernel, 5, hidden=16, pooling_kernel=pooling)
    cnn = AttentionCNN.of(shape, LAYERS, len(CLASSES), TOKENS)
    cnn.initialize(7)
    attention = torch.from_numpy(pooled_maps(full_attention(6, seed=8))[0])
    maps = square_maps(attention).contiguous()
    gradcam = LayerGradCam(cnn.eval(), cnn.relu2)
    coarse = [
        gradcam.attribute(maps.clone(), target=t).detach()[:, 0] for t in range(len(CLASSES))
    ]  # (n, s, s)
    expected = coarse[1] - (coarse[0] + coarse[2]) / 2
    centres = pooling * torch.arange(expected.shape[1]) + first
    found = unpack(contrast(cnn, attention, 1, "gradcam"))[:, :, centres][
        ..., centres
    ]  # (n, L, s, s)
    assert expected.shape[1] >= 3
    for layer in range(LAYERS):
        torch.testing.assert_close(found[:, layer], expected.tril(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", ["raw", "log"])
def test_integrated_gradients_add_up_to_the_difference_of_the_logits(scale: str) -> None:
    cnn = make_cnn(scale=scale, seed=5).eval()
    attention = torch.from_numpy(pooled_maps(full_attention(20, seed=3))[0])
    total = (contrast(cnn, attention, 2, "integrated_gradients") * attention).sum(dim=(1, 2))
    logits = cnn(square_maps(attention)) - cnn(square_maps(torch.zeros_like(attention)))
    expected = (logits @ torch.tensor([-0.5, -0.5, 1])).detach()
    assert (total - expected).abs().max() < 0.05 * expected.abs().max()


def test_saliency_passes_through_the_cnn_as_it_predicts() -> None:
    """The methods go through the layers after the first convolution by themselves: another
    architecture would show here.
    """
    cnn = make_cnn().eval()
    maps = square_maps(torch.from_numpy(pooled_maps(full_attention(4, seed=1))[0]))
    torch.testing.assert_close(
        logits_from_first(cnn, cnn.conv1(maps)), cnn(maps), rtol=1e-6, atol=1e-6
    )


def test_methods_at_once_are_the_methods_one_by_one() -> None:
    attention = torch.from_numpy(pooled_maps(full_attention(3, seed=0))[0])
    together = contrasts(make_cnn(), attention, 1, METHODS)
    for method in METHODS:
        torch.testing.assert_close(
            together[method], contrast(make_cnn(), attention, 1, method), rtol=0, atol=0
        )


def test_gradcam_is_the_same_for_all_layers() -> None:
    found = contrast(
        make_cnn(), torch.from_numpy(pooled_maps(full_attention(3, seed=0))[0]), 1, "gradcam"
    )
    assert found.abs().max() > 0
    torch.testing.assert_close(found[:, 0], found[:, 1], rtol=0, atol=0)


def test_gradient_contrasts_of_all_classes_cancel() -> None:
    """The plain gradient is linear in the logits; the weights of the K contrasts sum to zero."""
    attention = torch.from_numpy(pooled_maps(full_attention(3, seed=0))[0])
    total = sum(contrast(make_cnn(), attention, t, "gradient") for t in range(len(CLASSES)))
    torch.testing.assert_close(total, torch.zeros_like(attention), rtol=0, atol=1e-6)


def test_guided_contrast_is_not_the_plain_one() -> None:
    attention = torch.from_numpy(pooled_maps(full_attention(3, seed=0))[0])
    maps = [contrast(make_cnn(), attention, 0, method).flatten() for method in METHODS]
    assert torch.corrcoef(torch.stack(maps))[0, 1] < 0.9


def test_contrast_leaves_the_cnn_as_it_was() -> None:
    cnn = make_cnn().train()
    contrasts(cnn, torch.rand(2, LAYERS, TOKENS * (TOKENS + 1) // 2), 0, METHODS)
    assert cnn.training
    assert all(parameter.grad is None for parameter in cnn.parameters())


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


def of_grid(cnns: list[AttentionCNN], rows: int = 9) -> dict[str, Saliency]:
    mean, maximum = pooled_maps(full_attention(rows, seed=2))
    named = {f"cnn{index}": cnn for index, cnn in enumerate(cnns)}
    return saliency_of_grid(named, mean, maximum, np.arange(rows) % 3, CLASSES, METHODS, PREFIX)


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
