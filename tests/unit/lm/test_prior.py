"""The prior of a suffix: as a slow computation finds it, whatever the batches."""

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, VOCABULARY, gpt_neox

from engram.lm.inputs import begin_with
from engram.lm.prior import PRIOR_COLUMNS, prior_scores

PREFIX, WINDOW, PREFIXES = 6, 14, 8


def windows(rows: int = 5) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return (
        draw.integers(1, VOCABULARY, (rows, WINDOW)),
        draw.integers(1, VOCABULARY, (rows, PREFIXES, PREFIX)),
    )


def slow_log_probs(model, read: list[int], suffix: int) -> list[float]:
    """Log-probabilities of the last tokens, of one sequence at a time."""
    with torch.no_grad():
        logits = model(torch.tensor([read])).logits[0].double()
    chances = logits.log_softmax(-1)
    return [float(chances[i - 1, read[i]]) for i in range(len(read) - suffix, len(read))]


@pytest.mark.parametrize("opening", [(), (5,)])
@pytest.mark.parametrize("name", ["gpt_neox", "llama_grouped", "olmo2"])
def test_it_equals_a_slow_computation(name: str, opening: tuple[int, ...]) -> None:
    model = ARCHITECTURES[name]()
    begin_with(model, opening)
    tokens, unrelated = windows()
    scores = prior_scores(model, tokens, PREFIX, unrelated)
    assert scores.columns.tolist() == list(PRIOR_COLUMNS)
    for row, window in enumerate(tokens):
        suffix = window[PREFIX:].tolist()
        own = slow_log_probs(model, [*opening, *window.tolist()], len(suffix))
        others = [
            sum(slow_log_probs(model, [*opening, *other.tolist(), *suffix], len(suffix)))
            for other in unrelated[row]
        ]
        prior = np.log(np.mean([np.exp(other) for other in others]))
        expected = [sum(own), np.mean(np.exp(own)), min(own), prior, sum(own) - prior]
        np.testing.assert_allclose(scores.iloc[row], expected, rtol=1e-5)


def test_batches_change_nothing() -> None:
    model, (tokens, unrelated) = gpt_neox(), windows(7)
    whole = prior_scores(model, tokens, PREFIX, unrelated)
    for batch_tokens in (1, 5 * WINDOW, 11 * WINDOW):
        parts = prior_scores(model, tokens, PREFIX, unrelated, batch_tokens)
        np.testing.assert_allclose(parts, whole, rtol=1e-5)
    one = prior_scores(model, tokens[3:4], PREFIX, unrelated[3:4])
    np.testing.assert_allclose(one.iloc[0], whole.iloc[3], rtol=1e-5)


def test_probabilities_below_the_smallest_number_are_kept() -> None:
    model, (tokens, unrelated) = gpt_neox(), windows(1)
    with torch.no_grad():
        model.get_output_embeddings().weight *= 1000
    scores = prior_scores(model, tokens, PREFIX, unrelated).iloc[0]
    assert scores["prior_log_prob"] < -1000
    assert np.isfinite(scores).all()


def test_no_windows_give_no_rows() -> None:
    tokens, unrelated = windows(0)
    assert len(prior_scores(gpt_neox(), tokens, PREFIX, unrelated)) == 0
