"""Tokens to texts where the embedding has more rows than the tokenizer has tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_language_model import tokenizer
from tiny_models import VOCABULARY
from tiny_sources import byte_tokenizer
from transformers import PreTrainedTokenizer, PreTrainedTokenizerBase

from engram.explorer.text import Words
from engram.io.errors import EngramError
from engram.lm.tokens import decode, has_text, refuse_half_characters


class Slow(PreTrainedTokenizer):
    """Words `w0` to `w96` without a compiled backend."""

    def __init__(self, **options: Any) -> None:
        self._words = [f"w{number}" for number in range(VOCABULARY)]
        super().__init__(unk_token="w0", **options)

    @property
    def vocab_size(self) -> int:
        return len(self._words)

    def get_vocab(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self._words)}

    def _tokenize(self, text: str, **_options: Any) -> list[str]:
        return text.split()

    def _convert_token_to_id(self, token: str) -> int:
        return self._words.index(token)

    def _convert_id_to_token(self, index: int) -> str | None:
        return self._words[index] if index < len(self._words) else None


TOKENIZERS = [tokenizer(), Slow()]
BEYOND = VOCABULARY + 3


@pytest.mark.parametrize("each", TOKENIZERS, ids=["compiled", "slow"])
def test_tokens_beyond_the_tokenizer_have_no_text(each: PreTrainedTokenizerBase) -> None:
    windows = np.array([[5, 6, 7], [5, BEYOND, 7]])
    assert decode(each, windows) == ["w5 w6 w7", "w5 w7"]
    assert decode(each, [[], [6]]) == ["", "w6"]
    assert decode(each, windows[:0]) == []
    assert has_text(each, windows).tolist() == [True, False]


@pytest.mark.parametrize("each", TOKENIZERS, ids=["compiled", "slow"])
def test_the_explorer_shows_their_number(each: PreTrainedTokenizerBase) -> None:
    assert Words(each).of([5, BEYOND, 5]) == ["w5", f"⟨token {BEYOND}⟩", "w5"]


def test_a_part_of_a_character_shows_its_name() -> None:
    letter, *parts = byte_tokenizer()("aé")["input_ids"]
    assert Words(byte_tokenizer()).of([letter, *parts]) == ["a", "⟨Ã⟩", "⟨©⟩"]


def test_half_a_character_is_refused_with_its_row() -> None:
    refuse_half_characters(["a", "é", "∂ 😀"], "xyz", "texts")
    with pytest.raises(EngramError, match=r"texts: row y holds half a character \(a lone surr"):
        refuse_half_characters(["a", "half \ud83d"], "xy", "texts")
