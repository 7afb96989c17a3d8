"""The check against transformers: sound extractions pass, planted faults do not, in every
precision.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, SPECIAL, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm import oracle
from engram.lm.attention import Extraction, extract
from engram.lm.oracle import TOLERANCES, compare, expect

PREFIX, SUFFIX = 6, 6
TOKENS = random_tokens(3, PREFIX + SUFFIX)
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def extracted(model: PreTrainedModel) -> Extraction:
    return next(extract(model, TOKENS, PREFIX))


@cache
def of_precision(precision: str) -> tuple[PreTrainedModel, Extraction, list[oracle.Expected]]:
    """A model, its extraction, and what transformers computes; tests change none of them."""
    model = gpt_neox().to(PRECISIONS[precision])
    return model, extracted(model), expect(model, TOKENS, PREFIX)


def check(
    model: PreTrainedModel, found: Extraction, expected: list[oracle.Expected] | None = None
) -> int:
    """Compare an extraction; return the number of sequences that were compared."""
    expected = expected or expect(model, TOKENS, PREFIX)
    for row, one in enumerate(expected):
        compare(model, one, found, row)
    return len(expected)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES | SPECIAL)
def test_sound_extractions_pass(architecture: str, precision: str) -> None:
    model = (ARCHITECTURES | SPECIAL)[architecture]().to(PRECISIONS[precision])
    assert 1 <= check(model, extracted(model)) <= 3


def off(one: Extraction, layer: int, difference: float, cells: slice | int) -> np.ndarray:
    """A difference in some cells of a layer's maps."""
    planted = np.zeros(one.mean.shape, np.float32)
    planted[:, layer, cells] = difference
    return planted


Fault = Callable[[Extraction, str], dict[str, Any]]
FAULTS: dict[str, Fault] = {
    "mean attention of layer 2": lambda one, precision: {
        "mean": one.mean + off(one, 1, 1.1 * TOLERANCES[precision].single + 1e-3, 5)
    },
    "largest attention of layer 3": lambda one, precision: {
        "max": one.max + off(one, 2, 1.1 * TOLERANCES[precision].single + 1e-3, 5)
    },
    # Smaller than one weight may be off, and in too many cells.
    "largest attention of layer 1": lambda one, precision: {
        "max": one.max * (1 + off(one, 0, 1.5 * TOLERANCES[precision].average, slice(None)))
        + off(one, 0, 2e-4, slice(None))
    },
    # The maps of another sequence, and of another layer.
    "attention of layer": lambda one, _precision: {"mean": one.mean[::-1]},
    "attention of layer .": lambda one, _precision: {"max": one.max[:, ::-1]},
    "the log-probability of a suffix": lambda one, precision: {
        "suffix_log_prob": one.suffix_log_prob
        - 0.01
        + 1.5 * TOLERANCES[precision].log_probability * one.suffix_log_prob
    },
    "the suffix tokens that are most likely": lambda one, _precision: {
        "matched_fraction": 1 - one.matched_fraction
    },
}
"""What the message names, and the fault that is planted."""


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_refused(name: str, precision: str) -> None:
    model, found, expected = of_precision(precision)
    assert check(model, found, expected) >= 1
    wrong = replace(found, **FAULTS[name](found, precision))
    with pytest.raises(EngramError, match=f"{name}.* in {precision}; nothing was written"):
        check(model, wrong, expected)


def test_as_many_matches_may_differ_as_there_are_near_ties() -> None:
    model = gpt_neox()
    found, (one, *_) = extracted(model), expect(model, TOKENS, PREFIX)
    other = replace(found, matched_fraction=found.matched_fraction + np.float32(2 / SUFFIX))
    compare(model, replace(one, ties=np.arange(SUFFIX) < 2), other, 0)
    with pytest.raises(EngramError, match="tokens that are most likely differ"):
        compare(model, replace(one, ties=np.arange(SUFFIX) < 1), other, 0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_another_continuation_is_refused(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gpt_neox().to(PRECISIONS[precision])
    with torch.inference_mode():
        unlikely = model(torch.from_numpy(TOKENS[:1, :PREFIX])).logits[0, -1].argmin()

    def shifted(_model: PreTrainedModel, prefixes: np.ndarray, length: int) -> np.ndarray:
        return np.full((len(prefixes), length), int(unlikely), np.int32)

    monkeypatch.setattr(oracle, "greedy_continuations", shifted)
    with pytest.raises(EngramError, match="continuation of a prefix differs from token 1 on"):
        expect(model, TOKENS, PREFIX)


def test_penalties_of_the_checkpoint_are_left_out_and_come_back() -> None:
    model = gpt_neox()
    model.generation_config.repetition_penalty = 3.0
    check(model, extracted(model))
    assert model.generation_config.repetition_penalty == 3.0


def test_no_sequence_is_begun_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "SECONDS", -1.0)
    model, begun = gpt_neox(), time.monotonic()
    assert check(model, extracted(model)) == 1
    assert time.monotonic() - begun < 5
