"""The page of models says what the tests find, here for a part of it; tests/models has all."""

import pytest
from model_table import BUILDS, PAGE, RIGHT, WRONG, line, row

LINES = PAGE.read_text(encoding="utf-8").splitlines()
HERE = ("gpt_bigcode", "olmo", "olmo3", "gemma3_text", "llama_tied", "mamba")


@pytest.mark.parametrize("name", HERE)
def test_the_page_says_what_is_found(name: str) -> None:
    assert line(name, row(name)) in LINES, "run `make models`, and look at what changed"


def test_the_page_names_enough_architectures_and_no_fault() -> None:
    rows = [
        text for text in LINES if (text.startswith("| ") and RIGHT in text) or "refused |" in text
    ]
    assert len(rows) == len(BUILDS) >= 20
    assert not [text for text in LINES if text.startswith("| ") and WRONG in text]
