"""Contrasts of all methods, against captum, derivatives and the CNN itself."""

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop, IntegratedGradients, LayerGradCam
from captum.attr import Saliency as Gradients
from tiny_saliency import CLASSES, make_cnn, pooled_maps
from tiny_samples import LAYERS, TOKENS, full_attention

from engram.cnn.architecture import Architecture
from engram.cnn.network import AttentionCNN, square_maps
from engram.io.packing import pack, unpack
from engram.saliency.methods import METHODS, STEPS, contrast, contrasts


def test_contrast_is_the_derivative_with_respect_to_attention() -> None:
    """By finite differences, through the logarithm of the input. The methods go through the layers
    after the first convolution by themselves: another architecture would show here.
    """
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
