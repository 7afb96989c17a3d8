"""Batches that are kept: a job that is killed finds them again, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from engram.lm import kept_batches as module
from engram.lm.kept_batches import Kept, kept_batches

TEXTS = np.arange(30).reshape(10, 3)
CPU = torch.device("cpu")


class Runs:
    """Sums of rows, with the slices that were asked for."""

    def __init__(self, fails_at: int = 99) -> None:
        self.slices: list[tuple[int, int]] = []
        self.fails_at = fails_at

    def __call__(self, part: slice) -> Sequence[np.ndarray]:
        if part.start >= self.fails_at:
            raise KeyboardInterrupt
        self.slices.append((part.start, part.stop))
        return TEXTS[part].sum(1), TEXTS[part] * 2


def collected(run: Runs, kept: Kept | None, texts: np.ndarray = TEXTS) -> list[np.ndarray]:
    batches = kept_batches(run, texts, 3, "sums", CPU, kept)
    arrays = [values for _, values in batches]
    return [np.concatenate(values) for values in zip(*arrays, strict=True)]


def test_what_was_finished_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_SECONDS", 0.0)
    kept, first, second = Kept(tmp_path, "weights and code"), Runs(fails_at=6), Runs()
    with pytest.raises(KeyboardInterrupt):
        collected(first, kept)
    assert first.slices[:2] == [(0, 3), (3, 6)]
    values = collected(second, kept)
    assert second.slices == [(6, 9), (9, 10)]
    expected = collected(Runs(), None)
    for own, other in zip(values, expected, strict=True):
        np.testing.assert_array_equal(own, other)
    third = Runs()
    collected(third, kept)
    assert third.slices == []


def test_other_texts_and_other_code_find_nothing(tmp_path: Path) -> None:
    collected(Runs(), Kept(tmp_path, "code"))
    for decided, texts in (("other code", TEXTS), ("code", TEXTS + 1)):
        run = Runs()
        collected(run, Kept(tmp_path, decided), texts)
        assert len(run.slices) == 4


def test_a_damaged_piece_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_SECONDS", 0.0)
    collected(Runs(), Kept(tmp_path, "code"))
    pieces = sorted(tmp_path.rglob("*.safetensors"))
    pieces[1].write_bytes(pieces[1].read_bytes()[:-4])
    run = Runs()
    values = collected(run, Kept(tmp_path, "code"))
    assert run.slices == [(3, 6), (6, 9), (9, 10)]
    np.testing.assert_array_equal(values[1], TEXTS * 2)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np, torch
from engram.lm import kept_batches as module
module.PART_SECONDS = 0.0
texts = np.arange(30).reshape(10, 3)
def run(part):
    return [texts[part].sum(1)]
kept = module.Kept(Path(sys.argv[1]), "code")
for part, _ in module.kept_batches(run, texts, 3, "sums", torch.device("cpu"), kept):
    if part.start == 6:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_sigkill_leaves_what_was_written(tmp_path: Path) -> None:
    package = str(Path(module.__file__).parents[2])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": package},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    run = Runs()
    values = [part for part, _ in kept_batches(run, TEXTS, 3, "sums", CPU, Kept(tmp_path, "code"))]
    assert run.slices == [(9, 10)]
    assert [part.stop for part in values] == [3, 6, 9, 10]
