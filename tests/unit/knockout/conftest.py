"""A knock-out that has run, and its folder."""

from pathlib import Path

import pandas as pd
import pytest
from tiny_knockout import CLASSES, SETTINGS, runner, samples, some_delta

from engram.knockout.experiment import run


@pytest.fixture(scope="session")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame, Path]:
    folder = tmp_path_factory.mktemp("parts")
    return *run(
        runner(folder), samples(8, 1), samples(6, 2), some_delta(), CLASSES, SETTINGS, 5
    ), folder
