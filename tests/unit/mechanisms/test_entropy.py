"""Entropy of representations: equal to a slow implementation; known values; no trace is left."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, layers_of, slow_entropy
from tiny_models import LAYERS, gpt_neox, random_tokens
from torch import nn

from engram.io.errors import EngramError
from engram.lm.inputs import begin_with
from engram.mechanisms.entropy import matrix_entropy, representation_entropy

WINDOW, PREFIX, PATCH = 18, 8, 4


@pytest.mark.parametrize("architecture", SIX)
def test_entropies_equal_the_slow_implementation(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    fast = representation_entropy(model, tokens, PREFIX, PATCH, batch_tokens=2 * WINDOW)
    assert fast.patches.shape == (3, LAYERS + 1, 4)
    np.testing.assert_allclose(fast.patches, slow_entropy(model, tokens, PATCH), atol=1e-5)
    assert fast.in_suffix.tolist() == [False, False, True, True]
    values = fast.values()
    np.testing.assert_allclose(values["entropy"], fast.patches.mean(2), rtol=1e-6)
    np.testing.assert_allclose(values["suffix_entropy"], fast.patches[..., 2:].mean(2), rtol=1e-6)


def test_the_formula_of_the_paper() -> None:
    states = torch.randn(2, 8, 5)
    gram = (states @ states.mT).double()
    trace = gram.diagonal(dim1=1, dim2=2).sum(1)
    expected = 2 * trace.log() - gram.square().sum((1, 2)).log()
    torch.testing.assert_close(matrix_entropy(states).double(), expected, atol=1e-6, rtol=1e-6)
    # The scale of the states does not matter, even where float32 would lose the difference.
    torch.testing.assert_close(matrix_entropy(states * 1e6), matrix_entropy(states))


def test_parallel_states_have_no_entropy_and_orthogonal_ones_the_most() -> None:
    parallel = torch.arange(1, 9)[:, None] * torch.randn(1, 16)
    assert 0 <= matrix_entropy(parallel).item() < 1e-6
    assert matrix_entropy(3 * torch.eye(8, 16)).item() == pytest.approx(math.log(8))
    assert matrix_entropy(torch.eye(8, 16).bfloat16()).dtype == torch.float32


def test_the_opening_is_read_and_in_no_patch() -> None:
    tokens = random_tokens(2, WINDOW)
    model = gpt_neox()
    begin_with(model, (5,))
    with_opening = representation_entropy(model, tokens, PREFIX, PATCH).patches
    plain = representation_entropy(gpt_neox(), tokens, PREFIX, PATCH).patches
    # The embeddings of GPT-NeoX do not depend on positions, the layers see the opening.
    np.testing.assert_allclose(with_opening[:, 0], plain[:, 0], atol=1e-5)
    assert np.abs(with_opening[:, 1:] - plain[:, 1:]).max() > 1e-3


def test_results_depend_neither_on_the_batch_nor_on_the_company() -> None:
    model, tokens = gpt_neox(), random_tokens(5, WINDOW)
    together = representation_entropy(model, tokens, PREFIX, PATCH)
    alone = representation_entropy(model, tokens[3:4], PREFIX, PATCH, batch_tokens=1)
    np.testing.assert_allclose(alone.patches[0], together.patches[3], atol=1e-5)
    assert representation_entropy(model, tokens[:0], PREFIX, PATCH).patches.shape == (0, 4, 4)


def test_a_suffix_without_a_whole_patch_has_no_entropy_of_its_own() -> None:
    values = representation_entropy(gpt_neox(), random_tokens(2, WINDOW), 15, PATCH).values()
    assert np.isnan(values["suffix_entropy"]).all() and np.isfinite(values["entropy"]).all()


def test_no_hook_is_left_also_after_an_error() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    representation_entropy(model, tokens, PREFIX, PATCH)
    with torch.no_grad():
        layers_of(model)[1].mlp.dense_h_to_4h.bias.fill_(torch.inf)
    with pytest.raises(EngramError, match="its entropies of hidden states in float32 contain"):
        representation_entropy(model, tokens, PREFIX, PATCH)
    modules: list[nn.Module] = [*model.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


@pytest.mark.parametrize("patch", [1, WINDOW + 1, 2.0, True])
def test_a_patch_that_does_not_fit_is_refused(patch: int) -> None:
    with pytest.raises(EngramError, match=r"patch: .*; give a number of tokens, 2 to 18"):
        representation_entropy(gpt_neox(), random_tokens(1, WINDOW), PREFIX, patch)
