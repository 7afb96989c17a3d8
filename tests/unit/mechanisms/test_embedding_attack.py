"""The attack on embeddings: equal to a slow implementation; zero steps change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_attack import slow_attack
from slow_mechanisms import SIX
from tiny_models import HEADS, LAYERS, gpt_neox, random_tokens

from engram.io.errors import EngramError
from engram.lm.conditions import Condition
from engram.lm.inputs import begin_with
from engram.lm.interventions import average, knock_out
from engram.mechanisms.embedding_attack import attack_prefixes, measure_embedded

WINDOW, PREFIX = 12, 7
SILENT = [(0, 1), (2, 0), (2, 3)]


def removal(heads: list[tuple[int, int]] = SILENT, operation: str = "remove") -> Condition:
    mask = np.zeros((LAYERS, HEADS), bool)
    mask[tuple(np.array(heads).T)] = True
    return Condition(operation, heads=mask)


@pytest.mark.parametrize("architecture", SIX)
def test_the_attack_equals_the_slow_implementation(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(2, WINDOW)
    for condition, heads in ((None, []), (removal(), SILENT)):
        fast = attack_prefixes(model, tokens, PREFIX, condition, steps=4, learning_rate=0.02)
        for row in range(2):
            measures, embeddings = slow_attack(model, tokens[row], PREFIX, heads, 4, 0.02)
            np.testing.assert_allclose(fast.measures[row], measures, atol=1e-5)
            np.testing.assert_allclose(fast.embeddings[row], embeddings, atol=1e-4)
        assert (np.diff(fast.measures[..., 2]) > 0).all()  # every step helps


@pytest.mark.parametrize("operation", ["remove", "mean", "layer_mean"])
def test_zero_steps_change_nothing_bit_for_bit(operation: str) -> None:
    model, tokens = gpt_neox(), random_tokens(3, WINDOW)
    means = average(model, random_tokens(4, WINDOW, 5), 8192)
    condition = removal(operation=operation)
    fast = attack_prefixes(model, tokens, PREFIX, condition, means, steps=0)
    # The same batch, from the embeddings, and without a skipped layer.
    (_, expected), *_ = knock_out(model, tokens, PREFIX, [condition], means)
    np.testing.assert_array_equal(fast.measures[:, 0], expected)
    own = model.get_input_embeddings().weight.detach().numpy()[tokens[:, :PREFIX]]
    assert fast.embeddings.tobytes() == own.tobytes()
    assert (fast.distance == 0).all()
    measured = measure_embedded(model, tokens, fast.embeddings, [Condition(), condition], means)
    np.testing.assert_array_equal(measured[:, 1], expected)
    (_, intact), *_ = knock_out(model, tokens, PREFIX, [Condition()])
    np.testing.assert_allclose(measured[:, 0], intact, atol=1e-5)


def test_a_text_has_steps_of_its_own() -> None:
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    together = attack_prefixes(model, tokens, PREFIX, removal(), steps=6)
    small = attack_prefixes(model, tokens, PREFIX, removal(), steps=6, batch_tokens=2 * WINDOW)
    alone = attack_prefixes(model, tokens[2:3], PREFIX, removal(), steps=6)
    np.testing.assert_allclose(small.measures, together.measures, atol=1e-4)
    np.testing.assert_allclose(alone.measures[0], together.measures[2], atol=1e-4)


def test_the_opening_and_the_suffix_keep_their_embeddings() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    begin_with(model, (5,))
    fast = attack_prefixes(model, tokens, PREFIX, steps=3)
    words = model.get_input_embeddings().weight.detach()
    embedded = torch.cat(
        [
            words[5].expand(2, 1, -1),
            torch.from_numpy(fast.embeddings),
            words[torch.from_numpy(tokens[:, PREFIX:])],
        ],
        1,
    )
    with torch.no_grad():
        logits = model(inputs_embeds=embedded).logits[:, PREFIX:-1]
    targets = torch.from_numpy(tokens[:, PREFIX:, None])
    expected = logits.log_softmax(-1).gather(2, targets).mean((1, 2))
    np.testing.assert_allclose(fast.measures[:, -1, 2], expected, atol=1e-5)


def test_steps_needed_are_those_to_the_first_extraction() -> None:
    model, tokens = gpt_neox(), random_tokens(4, WINDOW)
    result = attack_prefixes(model, tokens, PREFIX, steps=60)
    assert result.recovered.any() and not result.measures[:, 0, 0].any()
    for row in range(4):
        extracted = [step for step in range(61) if result.measures[row, step, 0]]
        assert result.steps_needed[row] == (extracted[0] if extracted else 61)
        assert result.recovered[row] == bool(extracted)
    assert result.distance.min() > 0
    # The embeddings are those of this number of steps, or of all.
    measured = measure_embedded(model, tokens, result.embeddings, [Condition()])[:, 0, 2]
    steps = np.minimum(result.steps_needed, 60)
    np.testing.assert_allclose(measured, result.measures[np.arange(4), steps, 2], atol=1e-5)


def test_weights_and_hooks_are_as_before_also_after_an_error() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    implementation = model.config._attn_implementation
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attack_prefixes(model, tokens, PREFIX, removal(), steps=2)
    with pytest.raises(EngramError):
        attack_prefixes(model, tokens, PREFIX, removal(), steps=3, learning_rate=1e30)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.config._attn_implementation == implementation
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    with pytest.raises(EngramError, match="steps: -1; give a number of steps"):
        attack_prefixes(model, tokens, PREFIX, steps=-1)
    with pytest.raises(EngramError, match="learning_rate: nan; give a number above 0"):
        attack_prefixes(model, tokens, PREFIX, learning_rate=float("nan"))
    assert attack_prefixes(model, tokens[:0], PREFIX, steps=2).measures.shape == (0, 3, 3)
