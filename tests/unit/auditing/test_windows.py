"""The measures of windows: p_z against a plain forward and against sampling, and n against its
definition.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import gpt_neox, llama_grouped, random_tokens

from engram.auditing.windows import log_p_z, n_column, smallest_n
from engram.lm.generation import greedy_continuations, teacher_forced_scores
from engram.lm.inputs import begin_with

PREFIX, SUFFIX = 6, 5


@pytest.mark.parametrize("opening", [(), (3,)])
@pytest.mark.parametrize("build", [gpt_neox, llama_grouped])
def test_p_z_is_the_product_of_a_plain_forwards_probabilities(build, opening) -> None:
    model, tokens = build(), random_tokens(40, PREFIX + SUFFIX)
    tokens[:9, PREFIX:] = greedy_continuations(model, tokens[:9, :PREFIX], SUFFIX)
    begin_with(model, opening)
    read = torch.tensor([[*opening, *row] for row in tokens.tolist()])
    with torch.inference_mode():
        probabilities = model(input_ids=read).logits.double().softmax(-1)
    expected = [
        np.prod(
            [
                probabilities[row, position - 1, read[row, position]].item()
                for position in range(len(opening) + PREFIX, read.shape[1])
            ]
        )
        for row in range(len(read))
    ]
    scores = teacher_forced_scores(model, tokens, PREFIX, batch_tokens=70, per_token=True)
    log_p = log_p_z(scores["token_log_probs"])
    np.testing.assert_allclose(np.exp(log_p), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(log_p, np.log(expected), rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(log_p, SUFFIX * scores["suffix_log_prob"], rtol=1e-6)


def test_matches_per_token_are_those_of_the_scores() -> None:
    model, tokens = gpt_neox(), random_tokens(20, PREFIX + SUFFIX)
    tokens[:4, PREFIX:] = greedy_continuations(model, tokens[:4, :PREFIX], SUFFIX)
    scores = teacher_forced_scores(model, tokens, PREFIX, per_token=True)
    matches = np.stack(scores["token_matches"].tolist())
    assert matches.shape == (20, SUFFIX) and matches[:4].all() and not matches.all()
    np.testing.assert_array_equal(matches.mean(1), scores["matched_fraction"])
    np.testing.assert_array_equal(matches.all(1), scores["extracted"])


def test_p_z_is_the_frequency_of_the_suffix_among_samples() -> None:
    """2,000 samples of two tokens; each frequency lies within five standard errors of p_z."""
    model = gpt_neox()
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        prefix = torch.as_tensor(random_tokens(1, PREFIX))
        draws = prefix.expand(2000, -1)
        for _ in range(2):
            chances = model(input_ids=draws).logits[:, -1].softmax(-1)
            draws = torch.cat([draws, torch.multinomial(chances, 1, generator=generator)], 1)
    written, counts = np.unique(draws[:, PREFIX:].numpy(), axis=0, return_counts=True)
    common = np.argsort(-counts)[:5]
    tokens = np.concatenate([prefix.numpy().repeat(5, 0), written[common]], axis=1)
    scores = teacher_forced_scores(model, tokens, PREFIX, per_token=True)
    p = np.exp(log_p_z(scores["token_log_probs"]))
    assert p.max() > 0.01
    assert (np.abs(counts[common] / 2000 - p) < 5 * np.sqrt(p * (1 - p) / 2000)).all()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.999])
def test_n_is_the_smallest_that_reaches_p(p: float) -> None:
    p_z = np.array([0.9999999, 0.999, 0.7, 0.5, 0.3, 0.01, 1e-4, 1e-6])
    n = smallest_n(np.log(p_z), p)
    assert (n >= 1).all() and (n == np.round(n)).all()
    assert (1 - (1 - p_z) ** n >= p - 1e-12).all()
    fewer = np.maximum(n - 1, 0)
    assert (1 - (1 - p_z) ** fewer < p).all()


def test_n_of_extreme_probabilities() -> None:
    assert smallest_n(np.array([0.0, 1e-9]), 0.9).tolist() == [1.0, 1.0]  # certain, or rounded up
    assert smallest_n(np.log(0.5), 0.5) == 1
    assert smallest_n(np.log(0.5), 0.75) == 2
    assert smallest_n(np.array(-100.0), 0.5) == pytest.approx(np.log(2) * np.exp(100), rel=1e-9)
    assert np.isinf(smallest_n(np.array(-1e4), 0.5))
    close = smallest_n(np.array([-29.999999, -30.000001]), 0.5)
    assert close[0] == pytest.approx(close[1], rel=1e-5)
    assert n_column(0.5) == "n_0.5"
