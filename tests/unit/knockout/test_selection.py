"""Which texts are measured: splits by class, and texts outside all samples."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from engram.knockout import selection
from engram.knockout.selection import unmemorized_texts

TOKENS = np.arange(40).reshape(10, 4)


def files(monkeypatch: pytest.MonkeyPatch, **columns: object) -> SimpleNamespace:
    """Paths of tables in memory: ten candidates, of which 0 to 2 are samples."""
    ids = np.arange(10)
    score = np.array([0.0, 1.0, 0.2, 1.0, 0.9, 0.0, 0.5, 0.4, 1.0, 0.1])
    tables = {
        "labels": pd.DataFrame({"sequence_id": ids, "memorization_score": score, **columns}),
        "samples": pd.DataFrame({"sequence_id": ids[:3]}),
        "candidates": pd.DataFrame({"sequence_id": ids[::-1], "tokens": [*TOKENS[::-1]]}),
    }

    def selected(path: Path, ids: np.ndarray, _columns: list[str]) -> pd.DataFrame:
        table = tables[str(path)]
        return table[table["sequence_id"].isin(ids)]

    monkeypatch.setattr(selection, "read_parquet", lambda path: tables[str(path)])
    monkeypatch.setattr(selection, "read_selected", selected)
    return SimpleNamespace(**{name: name for name in tables})


def test_other_texts_are_neither_samples_nor_memorized(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = unmemorized_texts(files(monkeypatch), 99, seed=1)
    assert drawn.dtype == np.int64
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, TOKENS[[4, 5, 6, 7, 9]]))
    few = unmemorized_texts(files(monkeypatch), 2, seed=1)
    np.testing.assert_array_equal(few, drawn[:2])
    assert len({unmemorized_texts(files(monkeypatch), 3, s).tobytes() for s in range(9)}) > 1


def test_in_the_nursery_they_were_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [0, 0, 0, 0, 3, 0, 1, 0, 0, 0]
    drawn = unmemorized_texts(files(monkeypatch, exposures=shown), 99, seed=1)
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, TOKENS[[5, 7, 9]]))
    assert len(unmemorized_texts(files(monkeypatch, exposures=[1] * 10), 99, seed=1)) == 0
