"""Feed-forward ablation by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm, tokenizer
from tiny_models import LAYERS, gpt_neox

from engram.api.feed_forward_ablation import ablate_feed_forward
from engram.api.language_model import LanguageModel
from engram.io.errors import EngramError
from engram.mechanisms.feed_forward import ablate_blocks, neuron_activity, paired_difference


def texts(seed: int = 0) -> pd.DataFrame:
    tokens = some_tokens(6, seed=seed)
    return pd.DataFrame({"tokens": tokens.tolist(), "class": list("abaabb")})


def test_tables_hold_the_numbers_of_the_room() -> None:
    result = ablate_feed_forward(
        tiny_lm(), texts(), PREFIX, SUFFIX, shares=(0.02,), reference=texts(1), draws=2
    )
    expected = ablate_blocks(tiny_lm().model, some_tokens(6), PREFIX)
    table = result.table
    assert list(table)[:3] == ["row", "class", "layer"] and len(table) == 6 * LAYERS
    name = "suffix_log_prob_difference"
    np.testing.assert_allclose(table[name], expected.differences()[name].ravel(), atol=1e-5)
    by_class = result.by_class(resamples=50)
    means = table.groupby(["class", "layer"])[name].mean()
    np.testing.assert_allclose(by_class[name], means, rtol=1e-6)
    neurons = result.neurons_by_class(resamples=50)
    assert neurons[["class", "ranked", "chosen"]].to_numpy().tolist() == [
        [name, ranked, chosen] for name in "ab" for ranked in "ab" for chosen in ("delta", "random")
    ]
    assert (neurons["removed"] == 4).all() and len(result.neurons) == 8
    assert repr(result) == (
        "FeedForwardAblation: 6 texts, 3 blocks, neurons 0.02 of 2 class(es), remove"
    )


def test_neurons_are_ranked_by_the_difference_from_a_counterpart() -> None:
    model = gpt_neox()
    with torch.no_grad():
        model.base_model.layers[-1].mlp.dense_h_to_4h.bias[6] += 3
    lm = LanguageModel("trained further", model, tokenizer())
    result = ablate_feed_forward(
        *(lm, texts(), PREFIX, SUFFIX),
        shares=(0.005,),
        reference=some_tokens(6, seed=1),
        counterpart=tiny_lm(),
    )
    first, second = (
        neuron_activity(each.model, some_tokens(6, seed=1), PREFIX) for each in (lm, tiny_lm())
    )
    assert result.deltas is not None
    np.testing.assert_allclose(result.deltas[0], paired_difference(first, second), rtol=1e-3)
    assert result.ranked == ("all",)
    assert result.neurons[["layer", "neuron"]].to_numpy().tolist() == [[3, 7]]


def test_neurons_need_texts_that_they_are_ranked_on() -> None:
    with pytest.raises(EngramError, match="reference: none; neurons are ranked on texts"):
        ablate_feed_forward(tiny_lm(), texts(), PREFIX, SUFFIX, shares=(0.1,))
    with pytest.raises(EngramError, match="shares: none; give ablate_feed_forward shares"):
        ablate_feed_forward(tiny_lm(), texts(), PREFIX, SUFFIX).neurons_by_class()
