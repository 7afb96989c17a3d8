"""Noise by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm
from tiny_models import LAYERS, gpt_neox

from engram.api.perturbation import perturb
from engram.io.errors import EngramError
from engram.mechanisms.perturbation import PerturbationSettings
from engram.mechanisms.perturbation import perturb as room

ALPHAS = (0.0, 0.3)


def texts() -> pd.DataFrame:
    return pd.DataFrame(
        {"tokens": some_tokens(5).tolist(), "class": list("abaab")}, index=list("uvwxy")
    )


def test_tables_hold_the_numbers_of_the_room() -> None:
    result = perturb(tiny_lm(), texts(), PREFIX, SUFFIX, alphas=ALPHAS, seeds=2, depth=1)
    settings = PerturbationSettings(ALPHAS, (0, 1), 1)
    expected = room(tiny_lm().model, some_tokens(5), PREFIX, settings)
    table, recovery = result.table, result.recovery
    assert list(table) == [
        *("row", "class", "alpha", "seed", "extracted", "matched_fraction", "suffix_log_prob")
    ]
    assert table["row"].tolist() == np.repeat(list("uvwxy"), 4).tolist()
    assert table["class"].tolist() == np.repeat(list("abaab"), 4).tolist()
    assert table["alpha"].tolist() == [0.0, 0.0, 0.3, 0.3] * 5
    assert table["seed"].tolist() == [0, 1] * 10
    np.testing.assert_array_equal(table["suffix_log_prob"], expected.measures[..., 2].ravel())
    assert table["extracted"].dtype == bool
    assert recovery["depth"].tolist() == [*range(1, LAYERS + 1)] * 10
    np.testing.assert_allclose(recovery["cosine"], expected.recovery.mean(2).ravel(), rtol=1e-6)


def test_classes_have_means_and_intervals() -> None:
    result = perturb(tiny_lm(), texts(), PREFIX, SUFFIX, alphas=ALPHAS, seeds=3)
    table = result.by_class(resamples=200)
    assert table["class"].tolist() == ["a", "a", "b", "b"]
    assert table["n"].tolist() == [3, 3, 2, 2]
    means = result.table.groupby(["class", "alpha"])["suffix_log_prob"].mean()
    np.testing.assert_allclose(table["suffix_log_prob"], means, rtol=1e-5)
    between = table["suffix_log_prob"].between(
        table["suffix_log_prob_low"], table["suffix_log_prob_high"]
    )
    assert between.all()
    recovery = result.recovery_by_class(resamples=50)
    assert len(recovery) == 2 * 2 * (LAYERS + 1)
    np.testing.assert_allclose(
        recovery["cosine"], result.recovery.groupby(["class", "alpha", "depth"])["cosine"].mean()
    )
    without = perturb(tiny_lm(), some_tokens(3), PREFIX, SUFFIX, alphas=ALPHAS, seeds=[7])
    assert set(without.by_class(resamples=10)["class"]) == {"all"}
    assert repr(without) == "Perturbation: 3 texts, alpha 0, 0.3, 1 seed(s), at depth 0"


def test_errors_are_one_line() -> None:
    for options, message in (
        ({"depth": 9}, "depth: 9; the model has 0"),
        ({"seeds": 0}, r"seeds: \(\); give different"),
        ({"scale": "x"}, "scale: 'x'; choose norm or std"),
        ({"alphas": [-1]}, "alphas"),
    ):
        with pytest.raises(EngramError, match=message) as error:
            perturb(tiny_lm(), some_tokens(2), PREFIX, SUFFIX, **options)
        assert "\n" not in str(error.value)
    with pytest.raises(EngramError, match="lm: a GPTNeoXForCausalLM"):
        perturb(gpt_neox(), some_tokens(2), PREFIX, SUFFIX)
