"""The check against transformers: sound extractions pass, planted faults do not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, SPECIAL, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm import oracle
from engram.lm.attention import Extraction, extract
from engram.lm.oracle import compare_with_transformers

PREFIX, SUFFIX = 6, 6
TOKENS = random_tokens(3, PREFIX + SUFFIX)


def extracted(model: PreTrainedModel) -> Extraction:
    return next(extract(model, TOKENS, PREFIX))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ARCHITECTURES | SPECIAL)
def test_sound_extractions_pass(architecture: str, dtype: torch.dtype) -> None:
    model = (ARCHITECTURES | SPECIAL)[architecture]().to(dtype)
    assert 1 <= compare_with_transformers(model, TOKENS, PREFIX, extracted(model)) <= 3


FAULTS: dict[str, Callable[[Extraction], dict[str, Any]]] = {
    "mean attention of layer 2": lambda one: {"mean": one.mean + shift(one, 1)},
    "largest attention of layer 3": lambda one: {"max": one.max + shift(one, 2)},
    "the log-probability": lambda one: {"suffix_log_prob": one.suffix_log_prob - 0.05},
    "the matched fraction": lambda one: {"matched_fraction": one.matched_fraction + 0.5},
    "attention of layer": lambda one: {"mean": one.mean[::-1]},
}
"""What the message names, and the fault that is planted."""


def shift(one: Extraction, layer: int) -> np.ndarray:
    """A difference in one cell of a layer's maps."""
    off = np.zeros(one.mean.shape, np.float32)
    off[:, layer, 5] = 0.01
    return off


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_refused(name: str) -> None:
    model = gpt_neox()
    found = extracted(model)
    with pytest.raises(EngramError, match=f"{name}.*in float32; nothing was written"):
        compare_with_transformers(model, TOKENS, PREFIX, replace(found, **FAULTS[name](found)))


def test_another_continuation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(_model: PreTrainedModel, prefixes: np.ndarray, length: int) -> np.ndarray:
        return np.full((len(prefixes), length), 3, np.int32)

    model = gpt_neox()
    found = extracted(model)
    monkeypatch.setattr(oracle, "greedy_continuations", shifted)
    with pytest.raises(EngramError, match="continuation of a prefix differs from token"):
        compare_with_transformers(model, TOKENS, PREFIX, found)


def test_penalties_of_the_checkpoint_are_left_out_and_come_back() -> None:
    model = gpt_neox()
    model.generation_config.repetition_penalty = 3.0
    compare_with_transformers(model, TOKENS, PREFIX, extracted(model))
    assert model.generation_config.repetition_penalty == 3.0


def test_no_sequence_is_begun_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "SECONDS", -1.0)
    model, begun = gpt_neox(), time.monotonic()
    assert compare_with_transformers(model, TOKENS, PREFIX, extracted(model)) == 1
    assert time.monotonic() - begun < 5
