"""Every architecture of the page of models."""

import pytest
from model_table import BUILDS, PAGE, line, row

LINES = PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", BUILDS)
def test_the_page_says_what_is_found(name: str) -> None:
    assert line(name, row(name)) in LINES, "run `make models`, and look at what changed"
