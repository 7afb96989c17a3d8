"""NaN and infinite values of a model: refused at every entrance, in one line."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_models import gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.attention import extract, pooled_attention
from engram.lm.conditions import Condition
from engram.lm.feed_forward import pooled_feed_forward
from engram.lm.generation import (
    greedy_continuations,
    memorization_scores,
    teacher_forced_scores,
)
from engram.lm.hidden_states import pooled_states
from engram.lm.interventions import average, knock_out

PREFIX, SUFFIX = 4, 4
TOKENS = random_tokens(3, PREFIX + SUFFIX)

ENTRANCES: dict[str, Callable[[PreTrainedModel], object]] = {
    "scores": lambda model: memorization_scores(model, TOKENS, PREFIX),
    "twin": lambda model: teacher_forced_scores(model, TOKENS, PREFIX),
    "continuations": lambda model: greedy_continuations(model, TOKENS[:, :PREFIX], SUFFIX),
    "extraction": lambda model: list(extract(model, TOKENS, PREFIX)),
    "knock-out": lambda model: list(knock_out(model, TOKENS, PREFIX, [Condition()])),
}
"""Everything that reads logits."""
INNER: dict[str, Callable[[PreTrainedModel], object]] = {
    "hidden states": lambda model: pooled_states(model, torch.from_numpy(TOKENS)),
    "feed-forward activations": lambda model: pooled_feed_forward(model, torch.from_numpy(TOKENS)),
    "attention": lambda model: pooled_attention(model, TOKENS),
    "means": lambda model: average(model, TOKENS, 1000),
}
"""What reads no logits."""


def overflowing(dtype: torch.dtype) -> PreTrainedModel:
    """A model whose logits are finite in float32 and beyond float16, all else being small."""
    model = gpt_neox()
    with torch.no_grad():
        model.base_model.final_layer_norm.weight.fill_(6e4)
    return model.to(dtype)


def broken(model: PreTrainedModel) -> PreTrainedModel:
    """The model with one NaN among its weights."""
    with torch.no_grad():
        model.base_model.layers[1].mlp.dense_4h_to_h.weight[3, 3] = float("nan")
    return model


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_logits_beyond_float16_are_refused(entrance: str) -> None:
    with pytest.raises(EngramError) as caught:
        ENTRANCES[entrance](overflowing(torch.float16))
    message = str(caught.value)
    assert re.fullmatch(
        r"model GPTNeoXForCausalLM.*: its logits in float16 contain .*bfloat16 or float32.*",
        message,
    )


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_same_model_is_read_in_float32(entrance: str) -> None:
    ENTRANCES[entrance](overflowing(torch.float32))


@pytest.mark.parametrize("entrance", ENTRANCES | INNER)
def test_one_nan_among_the_weights_is_refused(entrance: str) -> None:
    with pytest.raises(EngramError, match=r"in float32 contain .* NaN .* checkpoint again"):
        (ENTRANCES | INNER)[entrance](broken(gpt_neox()))


def test_a_token_that_can_never_come_is_no_fault() -> None:
    """Some models put out -inf for tokens that pad their vocabulary."""
    model = gpt_neox()
    unused = next(token for token in range(1, 97) if token not in TOKENS)
    intact = memorization_scores(model, TOKENS, PREFIX)
    head = torch.nn.Linear(model.lm_head.in_features, 97)
    with torch.no_grad():
        head.weight.copy_(model.lm_head.weight)
        head.bias.zero_()[unused] = -torch.inf
    model.lm_head = head
    found = memorization_scores(model, TOKENS, PREFIX)
    assert np.isfinite(found["suffix_log_prob"]).all()
    assert (found["suffix_log_prob"] >= intact["suffix_log_prob"]).all()
