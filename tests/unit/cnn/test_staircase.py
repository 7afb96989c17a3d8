"""The convolution over the causal half against PyTorch's over whole maps."""

import pytest
import torch
from torch.nn import functional

from engram.cnn.network import STAIRCASE_LAYERS, AttentionCNN, square_maps
from engram.cnn.staircase import bands, convolve, cut
from engram.io.packing import packed_length

SHAPES = [(64, 6), (64, 8), (16, 3), (21, 4), (9, 2)]


@pytest.mark.parametrize(("tokens", "kernel"), SHAPES)
def test_bands_hold_every_output_that_sees_the_diagonal(tokens: int, kernel: int) -> None:
    side = tokens - kernel + 1
    inside = torch.zeros(side, side, dtype=torch.bool)
    for first, last, columns in bands(tokens, kernel):
        inside[first:last, :columns] = True
    seen = (
        functional.conv2d(
            torch.ones(1, 1, tokens, tokens).tril(), torch.ones(1, 1, kernel, kernel)
        )[0, 0]
        > 0
    )
    assert not (seen & ~inside).any()
    assert inside.sum() < 0.7 * side**2 or tokens < 64  # and leave out about a third


def both(
    tokens: int, kernel: int, dtype: torch.dtype
) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Output and gradients of weight and bias: the staircase's, then PyTorch's in float64."""
    torch.manual_seed(0)
    packed = torch.rand(3, 5, packed_length(tokens)).to(dtype)
    weight, bias = torch.randn(4, 5, kernel, kernel).to(dtype), torch.randn(4).to(dtype)
    factor = torch.randn(3, 4, tokens - kernel + 1, tokens - kernel + 1).to(dtype)
    found = []
    for kind in (dtype, torch.float64):
        w, b = (
            weight.to(kind, copy=True).requires_grad_(),
            bias.to(kind, copy=True).requires_grad_(),
        )
        maps = square_maps(packed.double()).to(kind)
        output = (
            convolve(cut(packed, kernel), tokens, w, b)
            if kind == dtype
            else functional.conv2d(maps, w, b)
        )
        (output * factor).sum().backward()
        assert w.grad is not None
        assert b.grad is not None
        found.append((output.detach(), w.grad, b.grad))
    return found


@pytest.mark.parametrize(("tokens", "kernel"), SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_output_and_gradients_are_those_of_the_convolution(
    tokens: int, kernel: int, dtype: torch.dtype, tolerance: float
) -> None:
    for mine, theirs in zip(*both(tokens, kernel, dtype), strict=True):
        assert mine.dtype == dtype
        assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("scale", ["raw", "log"])
def test_a_cnn_says_the_same_of_packed_maps(scale: str) -> None:
    cnn = AttentionCNN(STAIRCASE_LAYERS, 3, 6, 10, input_scale=scale)
    cnn.initialize(0)
    packed = torch.rand(
        2, STAIRCASE_LAYERS, packed_length(64)
    ).half()  # as the maximum over heads is stored
    torch.testing.assert_close(
        cnn.eval().classify_packed(packed), cnn(square_maps(packed.float())), rtol=1e-6, atol=1e-7
    )


def test_few_layers_take_the_plain_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "engram.cnn.network.cut", lambda *_: pytest.fail("a staircase for fewer layers than pay")
    )
    cnn = AttentionCNN(STAIRCASE_LAYERS - 1, 3, 6, 10)
    assert cnn.classify_packed(torch.rand(2, STAIRCASE_LAYERS - 1, packed_length(64))).shape == (
        2,
        3,
    )


def test_half_precision_runs_in_half_precision() -> None:
    cnn = AttentionCNN(STAIRCASE_LAYERS, 3, 6, 10).eval()
    packed = torch.rand(2, STAIRCASE_LAYERS, packed_length(64))
    with torch.autocast("cpu", torch.bfloat16):
        half, plain = cnn.classify_packed(packed), cnn(square_maps(packed))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, plain, rtol=0.05, atol=0.05)
