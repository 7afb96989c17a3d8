"""A trained grid, and its files."""

from pathlib import Path

import pytest
from tiny_grid import DATA, SETTINGS

from engram.cnn.grid import GridResult, train_grid
from engram.cnn.results import write_results


@pytest.fixture(scope="session")
def result() -> GridResult:
    return train_grid(DATA, SETTINGS.replace(epochs=12), "best_epoch")


@pytest.fixture
def written(result: GridResult, tmp_path: Path) -> Path:
    write_results(
        result,
        *(
            tmp_path / name
            for name in ("checkpoints.safetensors", "history.csv", "predictions.parquet")
        ),
        "A, B",
    )
    return tmp_path
