"""A tokenizer made in a moment."""

import pytest
from tiny_nursery import TEXT
from transformers import PreTrainedTokenizerFast

from engram.nursery.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([TEXT], 480)
