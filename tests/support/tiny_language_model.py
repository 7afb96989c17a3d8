"""A tiny language model with a tokenizer, as `engram.load` would return it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from tiny_models import VOCABULARY, gpt_neox
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from engram.api.language_model import LanguageModel

PREFIX, SUFFIX = 8, 8


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Words `w0` to `w96`, one token each, with blanks between them."""
    return word_tokenizer()


def word_tokenizer(first: Sequence[int] = (), **special: str) -> PreTrainedTokenizerFast:
    """Words `w0` to `w96`, one token each; `first` are put in front of a text."""
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, "w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if first:
        names = [(f"w{token}", token) for token in first]
        words.post_processor = processors.TemplateProcessing(
            single=" ".join([*(name for name, _ in names), "$A"]), special_tokens=names
        )
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", **special)


@cache
def tiny_lm() -> LanguageModel:
    """A GPT-NeoX of random weights."""
    return LanguageModel("tiny", gpt_neox(), tokenizer())


def some_tokens(n: int, length: int = PREFIX + SUFFIX, seed: int = 0) -> np.ndarray:
    """Random windows, int64 (n, length)."""
    return np.random.default_rng(seed).integers(1, VOCABULARY, (n, length))
