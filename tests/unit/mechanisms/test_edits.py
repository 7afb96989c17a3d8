"""Edits of the residual stream: equal to a slow implementation, nothing where α is 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX
from slow_steering import decode_steered, slow_steering, steering_of
from tiny_models import LAYERS, WIDTH, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.inputs import begin_with
from engram.lm.models import suffix_logits, token_scores
from engram.mechanisms.edits import Edit, EditRows, measure_edits

WINDOW, PREFIX = 14, 8


def vectors(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A unit vector, and the weight of a probe."""
    vector, weight = np.random.default_rng(seed).standard_normal((2, WIDTH)).astype(np.float32)
    return vector / np.linalg.norm(vector), weight / 4


def plain(model: PreTrainedModel, tokens: np.ndarray) -> np.ndarray:
    """Measures of the model without any hook, (n, 3)."""
    batch = torch.from_numpy(tokens)
    with torch.inference_mode():
        matches, log_probabilities = token_scores(
            model, suffix_logits(model, batch, PREFIX)[0], batch[:, PREFIX:]
        )
    return torch.stack(
        (matches.all(1).float(), matches.float().mean(1), log_probabilities.mean(1)), 1
    ).numpy()


@pytest.mark.parametrize("architecture", SIX)
def test_steering_and_patching_equal_the_slow_implementation(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(2, WINDOW)
    vector, weight = vectors()
    edits = [Edit(depth, vector, weight, 0.3, gain=-4.0) for depth in (1, LAYERS)]
    edits += [Edit(2, vector, weight, slope=-1.0, offset=0.7), Edit(1, vector, weight)]
    fast = measure_edits(model, tokens, PREFIX, edits, 3 * WINDOW)

    def patch(reached: int, state: torch.Tensor) -> torch.Tensor:
        changed = state.clone()
        for position in range(PREFIX - 1, WINDOW - 1):
            if reached == 2:
                component = changed[position] @ torch.from_numpy(vector)
                changed[position] += (0.7 - component) * torch.from_numpy(vector)
        return changed

    slow = [steering_of(depth, PREFIX, weight, 0.3, vector, 4.0) for depth in (1, LAYERS)]
    for position, edit in enumerate([*slow, patch, None]):
        np.testing.assert_allclose(
            fast[:, position],
            slow_steering(model, tokens, PREFIX, edit),
            atol=1e-5,
            err_msg=str(position),
        )
    assert np.abs(fast[:, :3, 2] - fast[:, 3:, 2]).max(0).min() > 1e-4


@pytest.mark.parametrize("architecture", SIX)
def test_no_step_changes_nothing_bit_for_bit(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    vector, weight = vectors()
    edits = [Edit(depth, vector, weight, 0.5, gain=gain) for depth in (1, 2) for gain in (0.0, 2.0)]
    fast = measure_edits(model, tokens, PREFIX, edits)
    for position in (0, 2):
        np.testing.assert_array_equal(fast[:, position], plain(model, tokens))


def test_a_row_without_a_step_keeps_every_bit_next_to_one_with() -> None:
    hidden = torch.tensor([[[-0.0, 1e-40, 3.0, -7.5]]] * 2)
    ones = np.ones(4, np.float32)
    edits = [Edit(1, ones / 2, ones), Edit(1, ones / 2, ones, gain=1.0)]
    edited = EditRows(edits, np.array([0, 1]), hidden.device)(hidden)
    assert edited[0].numpy().tobytes() == hidden[0].numpy().tobytes()
    assert not torch.equal(edited[1], hidden[1])


def test_what_is_extracted_is_what_decoding_under_the_same_steering_writes() -> None:
    model, context = gpt_neox(), random_tokens(6, PREFIX)
    vector, weight = vectors()
    written = [
        decode_steered(
            model,
            row,
            WINDOW - PREFIX,
            lambda _length: steering_of(2, PREFIX, weight, 0.0, vector, 6.0),
        )
        for row in context
    ]
    tokens = np.concatenate([context, np.array(written)], 1)
    steered, intact = measure_edits(
        model, tokens, PREFIX, [Edit(2, vector, weight, gain=-6.0), Edit(2, vector, weight)]
    ).swapaxes(0, 1)
    assert (steered[:, 0] == 1).all() and intact[:, 0].mean() < 1


def test_the_prefix_is_left_alone_behind_an_opening_too() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    vector, weight = vectors()
    begin_with(model, (5,))
    fast = measure_edits(model, tokens, PREFIX, [Edit(1, vector, weight, gain=-4.0)])
    whole = np.concatenate([np.full((2, 1), 5), tokens], 1)
    slow = slow_steering(
        model, whole, 1 + PREFIX, steering_of(1, 1 + PREFIX, weight, 0.0, vector, 4.0)
    )
    np.testing.assert_allclose(fast[:, 0], slow, atol=1e-5)


def test_no_hook_is_left_also_after_an_error() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    vector, weight = vectors()
    with torch.no_grad():
        before = model(torch.from_numpy(tokens)).logits
    broken = vector * np.nan
    with pytest.raises(EngramError):
        measure_edits(model, tokens, PREFIX, [Edit(1, broken, weight, gain=1.0)])
    with torch.no_grad():
        assert torch.equal(model(torch.from_numpy(tokens)).logits, before)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in vars(module)


def test_what_the_model_does_not_have_is_refused() -> None:
    model, tokens = gpt_neox(), random_tokens(1, WINDOW)
    vector, weight = vectors()
    with pytest.raises(EngramError, match="depth: 4; the model has 1 to 3"):
        measure_edits(model, tokens, PREFIX, [Edit(4, vector, weight)])
    with pytest.raises(EngramError, match=r"vector: shape \(5,\); the model's states have \(32,\)"):
        measure_edits(model, tokens, PREFIX, [Edit(1, vector[:5], weight)])
    assert measure_edits(model, tokens[:0], PREFIX, [Edit(1, vector, weight)]).shape == (0, 1, 3)
