"""A tokenizer, a model folder with both, and its limits."""

from pathlib import Path

import pytest
from tiny_sources import TEXT, VOCABULARY, WINDOW, tiny_model
from transformers import PreTrainedTokenizerFast

from engram.nursery.tokenizer import train_tokenizer
from engram.sources.checks import Limits
from engram.sources.fit import model_limits


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([TEXT], VOCABULARY)


@pytest.fixture(scope="session")
def model_folder(
    tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def limits(model_folder: Path) -> Limits:
    return model_limits(model_folder, WINDOW)
