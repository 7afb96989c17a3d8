"""A tokenizer made in a moment, and a training that nothing stopped."""

import pytest
from tiny_nursery import TEXT, tiny_model
from tiny_training import ROWS, SETTINGS, Undisturbed, parameters
from transformers import PreTrainedTokenizerFast

from engram.nursery.tokenizer import train_tokenizer
from engram.nursery.training import train


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([TEXT], 480)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    model, state = tiny_model(), tmp_path_factory.mktemp("state")
    curve = train(model, ROWS, SETTINGS, state, "tiny")
    return Undisturbed(parameters(model), curve, state)
