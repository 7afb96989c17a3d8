"""Bases: what they are trained on, and what two of them share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.shipped import ROOT
from engram.nursery import corpus
from engram.nursery.base import train_base, without_windows
from engram.nursery.settings import BaseSettings
from engram.nursery.shipped import BASE

WINDOW = (8, 8)
SMALL = {
    **{"layers": 1, "width": 16, "heads": 2, "vocabulary": 400, "replay_rows": 50},
    "text": {"row_tokens": 32, "tokens": 30_000, "package_bytes": 0},
    "training": {"warmup_steps": 2},
    "windows": {"natural": 60, "overlapping": 20, "per_family": 3},
}
OTHERS = [path.parent for path in sorted(ROOT.glob(f"{BASE}/*/base.json"))]


@pytest.fixture(scope="module")
def few_files() -> Iterator[None]:
    """A corpus of the standard library's `json` and `email` alone."""
    whole = corpus.standard_library

    def some(held_out: float) -> Iterator[corpus.Document]:
        names = ("stdlib/json/", "stdlib/email/")
        return (document for document in whole(held_out) if document.path.startswith(names))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "standard_library", some)
        yield


@pytest.fixture(scope="module")
def first(few_files: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base."""
    return trained(tmp_path_factory.mktemp("first"), 1)


def trained(folder: Path, seed: int, **changed: object) -> Path:
    settings = BaseSettings.model_validate({**SMALL, **changed})
    train_base(settings, WINDOW, seed, folder, folder / "state")
    return folder


def test_a_second_base_shares_the_text_and_not_the_weights(first: Path, tmp_path: Path) -> None:
    second = trained(tmp_path / "second", 2, name="second", shared=str(first))
    for name in ("tokenizer.json", "tokenizer_config.json", "replay.parquet", "config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "model.safetensors").read_bytes() != (second / "model.safetensors").read_bytes()
    one, two = read_parquet(first / "windows.parquet"), read_parquet(second / "windows.parquet")
    own = one.columns.drop("base_extracted")
    assert one[own].map(str).equals(two[own].map(str))
    described = json.loads((second / "base.json").read_text())
    assert described["settings"]["shared"] == str(first) and described["settings"]["seed"] == 2


def test_another_vocabulary_cannot_share_the_tokenizer(first: Path, tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"the tokenizer of .*first\d has 400 tokens"):
        trained(tmp_path / "second", 2, shared=str(first), vocabulary=420)


def test_a_window_fits_into_a_row(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match="row_tokens: 32 is less than prefix"):
        train_base(BaseSettings.model_validate(SMALL), (24, 9), 1, tmp_path, tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_rows_that_hold_a_windows_suffix_are_left_out() -> None:
    random = np.random.default_rng(0)
    rows = random.integers(0, 400, (50, 32)).astype(np.uint16)
    tokens = random.integers(0, 400, (4, 16)).astype(np.uint16)
    rows[3, 5:13] = tokens[1, 8:]  # a suffix
    rows[7, 24:] = tokens[2, 8:]  # at the end of a row
    rows[9, 28:], rows[10, :4] = tokens[3, 8:12], tokens[3, 12:]  # over the edge of two rows
    rows[11, :8] = tokens[0, :8]  # a prefix
    kept = without_windows(rows, pd.DataFrame({"tokens": list(tokens)}), WINDOW)
    assert np.array_equal(kept, np.delete(rows, [3, 7], axis=0))


@pytest.mark.parametrize("folder", OTHERS, ids=lambda path: path.name)
def test_bases_that_ship_share_windows_tokenizer_and_replay(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "replay.parquet", "config.json"):
        assert (ROOT / BASE / name).read_bytes() == (folder / name).read_bytes()
    first, other = (read_parquet(path / "windows.parquet") for path in (ROOT / BASE, folder))
    own = ["sequence_id", "kind", "source"]
    assert first[own].equals(other[own])
    assert np.array_equal(np.stack(first["tokens"].tolist()), np.stack(other["tokens"].tolist()))
    assert not first["base_extracted"].equals(other["base_extracted"])


def test_all_bases_that_ship_are_within_24_megabytes() -> None:
    files = [path for path in (ROOT / BASE).rglob("*") if path.is_file()]
    bases = [path for path in files if "drilled" not in path.parts]
    assert sum(path.stat().st_size for path in bases) <= 24_000_000
