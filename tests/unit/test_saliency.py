"""Δ from pooled maps against its definition head by head, guided backpropagation, and what happens where there is no evidence."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from tiny_samples import HEADS, LAYERS, SIGNAL_LAYER, TOKENS, full_attention, tiny_dataset
from torch import nn
from torch.nn import functional

from engram.checkpoints import CnnKey
from engram.cnn import Architecture, AttentionCNN
from engram.errors import EngramError
from engram.packing import pack, query_key, unpack
from engram.saliency import (
    METHODS,
    Saliency,
    choose_held_out,
    contrast,
    delta,
    guided,
    normalize,
    read_saliency,
    saliency_of_grid,
    write_saliency,
)
from engram.training import CnnSettings, train_cnn

CLASSES = ["Non-Memo", "Guess", "Recall"]


def make_cnn(pooling: str = "mean", seed: int = 0, scale: str = "raw") -> AttentionCNN:
    cnn = AttentionCNN.of(Architecture(3, 6, pooling, hidden=16, input_scale=scale), LAYERS, len(CLASSES), TOKENS)
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
RELUS: dict[str, ReLU] = {"guided": GuidedReLU.apply, "gradient": torch.relu}


def plain_logits(cnn: AttentionCNN, maps: torch.Tensor, relu: ReLU) -> torch.Tensor:
    x = torch.log(1 + TOKENS * maps) if cnn.input_scale == "log" else maps
    x = functional.max_pool2d(relu(cnn.conv1(x)), 2)
    x = functional.max_pool2d(relu(cnn.conv2(x)), 2)
    return cnn.fc2(relu(cnn.fc1(x.flatten(1))))


def delta_by_definition(cnn: AttentionCNN, heads: np.ndarray, target: int, method: str) -> np.ndarray:
    """Δ (L, P) from all heads (n, L, H, T, T): pooling inside the network, one sample and one class at a time."""
    total = np.zeros(heads.shape[1:2] + heads.shape[3:])  # (L, T, T)
    causal = torch.ones(TOKENS, TOKENS).tril().bool()
    for sample in heads:
        backward = []
        for t in range(len(CLASSES)):
            full = torch.from_numpy(sample)[None].requires_grad_()  # (1, L, H, T, T)
            pooled = full.mean(dim=2) if cnn.head_pooling == "mean" else full.max(dim=2).values
            plain_logits(cnn, pooled, RELUS[method])[0, t].backward()
            assert full.grad is not None
            backward.append(full.grad[0])  # (L, H, T, T)
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
        found = delta(cnn, mean if pooling == "mean" else maximum, maximum, target, method).map
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
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(float(found[place]), rel=1e-4, abs=1e-8)


def test_gradient_contrasts_of_all_classes_cancel() -> None:
    """The plain gradient is linear in the logits, and the weights of the K contrasts sum to zero."""
    attention = torch.from_numpy(pooled_maps(full_attention(3, seed=0))[0])
    total = sum(contrast(make_cnn(), attention, t, "gradient") for t in range(len(CLASSES)))
    torch.testing.assert_close(total, torch.zeros_like(attention), rtol=0, atol=1e-6)


def test_guided_contrast_is_not_the_plain_one() -> None:
    attention = torch.from_numpy(pooled_maps(full_attention(3, seed=0))[0])
    maps = [contrast(make_cnn(), attention, 0, method).flatten() for method in METHODS]
    assert torch.corrcoef(torch.stack(maps))[0, 1] < 0.9


def hooks(cnn: nn.Module) -> int:
    return sum(len(module._backward_hooks) + len(module._forward_hooks) for module in cnn.modules())


def test_guided_hooks_every_relu_and_removes_the_hooks() -> None:
    cnn = make_cnn()
    with guided(cnn):
        assert hooks(cnn) == 3
    assert hooks(cnn) == 0


def test_hooks_are_removed_after_an_error() -> None:
    cnn = make_cnn()
    with pytest.raises(RuntimeError, match="stop"), guided(cnn):
        raise RuntimeError("stop")
    assert hooks(cnn) == 0


def test_network_without_relu_modules_is_refused() -> None:
    with pytest.raises(ValueError, match="needs ReLU modules"), guided(nn.Linear(2, 2)):
        pass


def test_contrast_leaves_the_cnn_as_it_was() -> None:
    cnn = make_cnn().train()
    contrast(cnn, torch.rand(2, LAYERS, TOKENS * (TOKENS + 1) // 2), 0, "guided")
    assert cnn.training
    assert hooks(cnn) == 0
    assert all(parameter.grad is None for parameter in cnn.parameters())


def test_normalized_evidence_has_maximum_one_and_no_negative_values() -> None:
    evidence = torch.tensor([[[2.0, -4.0, 1.0]], [[0.0, 0.25, -1.0]]])
    expected = torch.tensor([[[1.0, 0.0, 0.5]], [[0.0, 1.0, 0.0]]])
    torch.testing.assert_close(normalize(evidence), expected)


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_sample_without_positive_evidence_is_zero(value: float) -> None:
    torch.testing.assert_close(normalize(torch.full((1, 2, 3), value)), torch.zeros(1, 2, 3), rtol=0, atol=0)


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
    return saliency_of_grid(named, mean, maximum, np.arange(rows) % 3, CLASSES, METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_dead_cnn_is_zero_and_counted(method: str) -> None:
    found = of_grid([make_cnn(), dead_cnn()])[method]
    alive = of_grid([make_cnn()])[method]
    assert (found.dead, alive.dead) == (1, 0)
    assert [a - b for a, b in zip(found.without_evidence, alive.without_evidence, strict=True)] == [3, 3, 3]
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
    whole = delta(make_cnn(), mean, maximum, 1, "guided").map
    halves = [delta(make_cnn(), mean[half], maximum[half], 1, "guided").map for half in (slice(0, 35), slice(35, 70))]
    np.testing.assert_allclose(whole, np.mean(halves, axis=0), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_planted_band_is_found(method: str) -> None:
    """Classes differ by a band of attention in one layer: Δ is greatest there. One class may be known by the others' absence."""
    data = tiny_dataset(240, signal=0.6)
    settings = CnnSettings(kernels=(3,), features=(6,), hidden=16, dropout=0.2, epochs=20, batch_size=8, learning_rate=3e-3)
    key = CnnKey("attention", "real", "k3-f6-mean", 0)
    trained = train_cnn(data, key, settings.grid()[key], settings, "best_epoch")
    cnn = AttentionCNN.of(settings.grid()[key], LAYERS, 3, TOKENS)
    cnn.load_state_dict(trained.parameters)
    test = data.rows("test")
    found = saliency_of_grid({"cnn": cnn}, data.mean[test], data.max[test], data.label[test], data.classes, [method])[method]
    queries, keys = query_key(TOKENS)
    tops = [np.unravel_index(found.delta[k].argmax(), found.delta[k].shape) for k in range(3)]
    assert [layer for layer, _ in tops] == [SIGNAL_LAYER] * 3
    assert sum(queries[cell] - keys[cell] == 2 + 3 * k for k, (_, cell) in enumerate(tops)) >= 2


def test_held_out_samples_are_test_samples_of_lowest_priority() -> None:
    split = np.array(["test", "train", "test", "test", "test", "test"])
    label, priority = np.array([0, 0, 0, 0, 1, 1]), np.array([0.5, 0.0, 0.1, 0.3, 0.9, 0.2])
    np.testing.assert_array_equal(choose_held_out(split, label, priority, 2), [2, 3, 4, 5])


def test_file_gives_the_saliency_back(tmp_path: Path) -> None:
    saliency = of_grid([make_cnn("mean"), make_cnn("max", 1)])
    write_saliency(tmp_path / "x.h5", saliency, "Non-Memo, Guess, Others")
    for method in METHODS:
        found = read_saliency(tmp_path / "x.h5", method)
        for name, value in vars(saliency[method]).items():
            np.testing.assert_array_equal(getattr(found, name), value)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["guided"].attrs["taxonomy"] == "Non-Memo, Guess, Others"


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
        delta(make_cnn(), mean, maximum, 0, "magic")
