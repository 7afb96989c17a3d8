"""The tokenizer loses nothing and leaves every digit a token of its own."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from engram.nursery.tokenizer import END_OF_TEXT, template_words, train_tokenizer

TEXTS = [
    "the boat and the honey and the money 123 456",
    "naïve → 12345678",
    "the the the boat boat",
]
SMALL = train_tokenizer(TEXTS, 270)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_survives(text: str) -> None:
    assert (
        SMALL.decode(SMALL.backend_tokenizer.encode(text).ids, clean_up_tokenization_spaces=False)
        == text
    )


@pytest.mark.parametrize("text", ["123", "x12 456", "0x1f2a 99", "123 456 12345678"])
def test_every_digit_is_a_token(text: str) -> None:
    tokens = [SMALL.decode([token]) for token in SMALL.backend_tokenizer.encode(text).ids]
    assert [token for token in tokens if re.search(r"\d", token)] == re.findall(r"\d", text)


def test_the_vocabulary_has_the_size_asked_for() -> None:
    assert len(SMALL) == 270


def test_end_of_text_is_token_zero() -> None:
    assert (SMALL.eos_token, SMALL.eos_token_id, SMALL.bos_token_id) == (END_OF_TEXT, 0, 0)


def test_the_same_texts_give_the_same_tokenizer() -> None:
    assert (
        train_tokenizer(TEXTS, 270).backend_tokenizer.to_str() == SMALL.backend_tokenizer.to_str()
    )


def test_template_words_are_plain_words(tokenizer: PreTrainedTokenizerFast) -> None:
    words = template_words(tokenizer)
    assert words == sorted(set(words))
    assert len(words) > 20
    assert all(re.fullmatch(r"[A-Za-z]{3,}", word) for word in words)
