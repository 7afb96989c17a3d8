"""The logit lens: equal to a slow implementation; the last layer's lens is the model's output."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, slow_lens
from tiny_models import ARCHITECTURES, FURTHER, LAYERS, SPECIAL, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations
from engram.lm.inputs import begin_with
from engram.lm.models import suffix_logits, token_scores
from engram.lm.residual_stream import Unembedding, residual_hook
from engram.mechanisms.logit_lens import (
    LensReadings,
    Rule,
    read_layers,
    winning_depths,
    wins,
)

WINDOW, PREFIX = 14, 8
SCALED = {
    **{name: FURTHER[name] for name in ("cohere", "granite", "gpt_neo", "biogpt")},
    **{name: ARCHITECTURES[name] for name in ("gpt2", "opt")},
    "gemma2": SPECIAL["gemma2_capped_alternating"],
}
"""Architectures that scale or cap their logits, or whose layers are called by other names."""


@pytest.mark.parametrize("architecture", SIX)
def test_readings_equal_the_slow_implementation(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(3, WINDOW)
    readings = read_layers(model, tokens, PREFIX, batch_tokens=2 * WINDOW)
    for name, expected in slow_lens(model, tokens, PREFIX).items():
        np.testing.assert_allclose(
            getattr(readings, name), expected, atol=1e-5, rtol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("architecture", {**SIX, **SCALED})
def test_the_lens_of_the_last_layer_equals_the_logits(architecture: str) -> None:
    model = {**SIX, **SCALED}[architecture]()
    tokens = torch.from_numpy(random_tokens(3, WINDOW))
    unembedding = Unembedding(model)
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits
        states = torch.cat([_last_state(model, sample) for sample in tokens])  # (n, T, width)
        torch.testing.assert_close(unembedding(states), logits)
    readings = read_layers(model, tokens.numpy(), PREFIX)
    matches, log_probabilities = token_scores(
        model, suffix_logits(model, tokens, PREFIX)[0].detach(), tokens[:, PREFIX:]
    )
    np.testing.assert_allclose(readings.log_prob[:, -1], log_probabilities, atol=1e-6)
    np.testing.assert_array_equal(readings.top[:, -1], matches)
    assert (readings.kl[:, -1] == 0).all()


def _last_state(model: PreTrainedModel, sample: torch.Tensor) -> torch.Tensor:
    """What the last layer puts out of one sample, (1, T, width)."""
    kept: list[torch.Tensor] = []
    with residual_hook(model, lambda _depth, hidden: kept.append(hidden)):
        model(sample[None], use_cache=False)
    assert len(kept) == LAYERS + 1
    return kept[-1]


def test_readings_do_not_depend_on_the_batch() -> None:
    model, tokens = gpt_neox(), random_tokens(5, WINDOW)
    together, alone = (read_layers(model, tokens, PREFIX, rows * WINDOW) for rows in (9, 1))
    for name in ("log_prob", "kl", "entropy"):
        np.testing.assert_allclose(getattr(together, name), getattr(alone, name), atol=1e-5)


def test_the_model_is_the_former_one_afterwards() -> None:
    model, tokens = gpt_neox(), torch.from_numpy(random_tokens(2, WINDOW))
    with torch.no_grad():
        before = model(tokens).logits
        read_layers(model, tokens.numpy(), PREFIX)
        assert torch.equal(model(tokens).logits, before)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in vars(module)


def test_targets_follow_what_the_model_reads_first() -> None:
    model, tokens = gpt_neox(), random_tokens(2, WINDOW)
    begin_with(model, (5,))
    whole = np.concatenate([np.full((2, 1), 5), tokens], 1)
    readings = read_layers(model, tokens, PREFIX)
    expected = slow_lens(model, whole, 1 + PREFIX)
    np.testing.assert_allclose(readings.log_prob, expected["log_prob"], atol=1e-5)


def planted(kl: list[float], probability: list[float], final_entropy: float) -> LensReadings:
    """Readings of one text and one suffix token."""
    shape = (1, len(kl), 1)
    return LensReadings(
        np.log(np.array(probability)).reshape(shape),
        np.zeros(shape, bool),
        np.array(kl).reshape(shape),
        np.full(shape, final_entropy),
    )


def test_depths_by_hand() -> None:
    readings = planted(
        [9.0, 4.0, 0.05, 1.5, 0.3, 0.0], [0.01, 0.1, 0.6, 0.2, 0.55, 0.9], final_entropy=2.0
    )
    rules = [
        (Rule("probability", 0.5), 2, 4),
        (Rule("kl_absolute", 0.1), 2, 5),
        (Rule("kl_relative", 0.5), 2, 2),  # below half of 4, the value after the first layer
        (Rule("kl_relative", 0.25), 2, 4),
        (Rule("kl_entropy", 0.25), 2, 4),  # below .5
        (Rule("kl_entropy", 0.1), 2, 5),
    ]
    for result, (rule, first, settled) in zip(
        winning_depths(readings, [rule for rule, _, _ in rules]), rules, strict=True
    ):
        assert result.rule == rule
        assert result.first.item() == first, rule
        assert result.settled.item() == settled, rule


def test_a_target_that_never_wins_has_no_depth() -> None:
    readings = planted([3.0, 2.0, 0.0], [0.6, 0.1, 0.2], final_entropy=0.0)
    probability, entropy = winning_depths(
        readings, [Rule("probability", 0.5), Rule("kl_entropy", 0.1)]
    )
    assert probability.first.item() == 0 and np.isnan(probability.settled).all()
    assert entropy.first.item() == entropy.settled.item() == 2  # no distance to itself
    (never,) = winning_depths(readings, [Rule("probability", 0.7)])
    assert np.isnan(never.first).all() and np.isnan(never.settled).all()


def test_every_rule_depends_on_its_own_quantity() -> None:
    model = gpt_neox()
    tokens = random_tokens(20, WINDOW)
    tokens[:, PREFIX:] = greedy_continuations(model, tokens[:, :PREFIX], WINDOW - PREFIX)
    readings = read_layers(model, tokens, PREFIX)
    assert readings.top[:, -1].all()
    for rule in (Rule("kl_absolute", 0.5), Rule("kl_relative", 0.5), Rule("kl_entropy", 0.5)):
        won = wins(readings, rule)
        assert won[:, -1].all() and not won[:, 0].all()


def test_rules_out_of_range_are_refused() -> None:
    for name, threshold, message in (
        ("p", 0.5, "rule: 'p'; choose probability, kl_absolute, kl_relative, kl_entropy"),
        ("probability", 1.0, "rule probability: threshold 1.0; give one between 0 and 1"),
        ("kl_absolute", 0.0, "rule kl_absolute: threshold 0.0; give one above 0"),
    ):
        with pytest.raises(EngramError, match=message):
            Rule(name, threshold)
