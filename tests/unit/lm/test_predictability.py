"""How predictable suffixes are: as a slow computation finds it, whatever the batches."""

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, VOCABULARY, gpt_neox

from engram.lm.generation import teacher_forced_scores
from engram.lm.inputs import begin_with
from engram.lm.predictability import PREDICTABILITY, suffix_predictability

PREFIX, WINDOW = 6, 14


def windows(rows: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(1, VOCABULARY, (rows, WINDOW))


@pytest.mark.parametrize("opening", [(), (5,)])
@pytest.mark.parametrize("name", ["gpt_neox", "olmo2"])
def test_it_equals_a_slow_computation(name: str, opening: tuple[int, ...]) -> None:
    model, tokens = ARCHITECTURES[name](), windows()
    begin_with(model, opening)
    found = suffix_predictability(model, tokens, PREFIX)
    assert found.columns.tolist() == list(PREDICTABILITY)
    for row, window in enumerate(tokens.tolist()):
        read = [*opening, *window]
        with torch.no_grad():
            chances = model(torch.tensor([read])).logits[0].double().softmax(-1).numpy()
        places = range(len(read) - WINDOW + PREFIX, len(read))
        own = np.array([chances[i - 1, read[i]] for i in places])
        entropies = [-(chances[i - 1] * np.log(chances[i - 1])).sum() for i in places]
        expected = [np.log(own).mean(), own.mean(), np.log(own).min(), np.mean(entropies)]
        np.testing.assert_allclose(found.iloc[row], expected, rtol=1e-5)


def test_it_agrees_with_the_scores_of_candidates_in_any_batches() -> None:
    model, tokens = gpt_neox(), windows(7)
    whole = suffix_predictability(model, tokens, PREFIX)
    scores = teacher_forced_scores(model, tokens, PREFIX)
    np.testing.assert_allclose(whole["suffix_log_prob"], scores["suffix_log_prob"], rtol=1e-6)
    parts = suffix_predictability(model, tokens, PREFIX, batch_tokens=3 * WINDOW)
    np.testing.assert_allclose(parts, whole, rtol=1e-5)
