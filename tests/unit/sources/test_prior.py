"""The prior of candidates: one row each, in batches or not, and labels that take it over."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tiny_sources import PREFIX, VOCABULARY, WINDOW, tiny_model

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_batches, stream_parquet
from engram.lm.prior import PRIOR_COLUMNS
from engram.run.config import complete
from engram.sources import prior
from engram.sources.candidates import window_table
from engram.taxonomy.sampling import matched_columns
from engram.taxonomy.settings import MatchSettings
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config
from engram.windows.labelling import write_labels

ROWS, PREFIXES = 30, 8
MODEL = {"name": "a", "source": "nursery"}


def candidates(path: Path, scored: np.ndarray | None = None) -> Path:
    draw = np.random.default_rng(0)
    columns = {
        "sequence_id": draw.permutation(ROWS),
        "text": ["text"] * ROWS,
        "document": [f"d{row // 2}" for row in range(ROWS)],
        "sequence_duplicates": np.ones(ROWS, np.int64),
        "memorization_score": np.ones(ROWS),
    }
    if scored is not None:
        columns |= {"scored": scored}
    tokens = draw.integers(1, VOCABULARY, (ROWS, WINDOW), dtype=np.int32)
    with stream_parquet(path, {"source": "table"}) as stream:
        stream.append(window_table(tokens, columns))
    return path


def written(file: Path, output: Path) -> pd.DataFrame:
    prior.write_prior(file, output, tiny_model(), PREFIX, PREFIXES, 1, {"model_revision": "r"})
    return read_parquet(output)


def test_batches_of_candidates_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = candidates(tmp_path / "c.parquet")
    whole = written(file, tmp_path / "p.parquet")
    assert whole["sequence_id"].tolist() == read_parquet(file)["sequence_id"].tolist()
    assert whole.notna().all(axis=None)
    monkeypatch.setattr(prior, "read_batches", lambda *given: read_batches(*given, rows=7))
    pd.testing.assert_frame_equal(written(file, tmp_path / "b.parquet"), whole)
    metadata = read_metadata(tmp_path / "b.parquet")
    assert (metadata["prefixes"], metadata["model_revision"]) == (PREFIXES, "r")


def test_windows_that_left_early_are_not_read(tmp_path: Path) -> None:
    scored = np.arange(ROWS) % 3 == 0
    some = written(candidates(tmp_path / "s.parquet", scored), tmp_path / "s_p.parquet")
    every = written(candidates(tmp_path / "c.parquet"), tmp_path / "p.parquet")
    assert some["prior_log_prob"].notna().tolist() == scored.tolist()
    pd.testing.assert_frame_equal(some[scored], every[scored])


def test_labels_take_it_over_for_categories_and_matching(tmp_path: Path) -> None:
    file, output = candidates(tmp_path / "c.parquet"), tmp_path / "l.parquet"
    found = written(file, tmp_path / "p.parquet")
    write_labels(file, output, PREFIX, prior=tmp_path / "p.parquet")
    labels = read_parquet(output)
    pd.testing.assert_frame_equal(labels[list(PRIOR_COLUMNS)], found[list(PRIOR_COLUMNS)])
    assert read_metadata(output)["prior"] == {"prefixes": PREFIXES, "seed": 1}
    middle = float(labels["log_prior_ratio"].median())
    entry = {"name": "Own", "where": "log_prior_ratio > nats", "parameters": ("nats",)}
    taxonomy = Taxonomy.parse(f"Own[{max(middle, 0):.3f}], Others", categories_from_config([entry]))
    holds = labels["log_prior_ratio"] > float(f"{max(middle, 0):.3f}")
    assert (taxonomy.codes(labels) == np.where(holds, 0, 1)).all()
    matched = matched_columns(labels, MatchSettings(columns=("prior_log_prob",)))
    assert matched["prior_log_prob"].tolist() == labels["prior_log_prob"].tolist()


def test_the_prior_of_other_candidates_is_refused(tmp_path: Path) -> None:
    file, output = candidates(tmp_path / "c.parquet"), tmp_path / "p.parquet"
    other = written(file, output)
    with stream_parquet(output, {"prefixes": PREFIXES, "seed": 1}) as stream:
        stream.append(pa.Table.from_pandas(other[::-1], preserve_index=False))
    with pytest.raises(EngramError, match=r"p\.parquet: not the prior of these candidates"):
        write_labels(file, tmp_path / "l.parquet", PREFIX, prior=output)


def test_too_few_prefixes_are_a_mistake() -> None:
    config = {"study": "s", "models": [MODEL], "taxonomies": ["Non-Memo, Guess, Others"]}
    assert complete(config)["prior"]["prefixes"] == 0
    with pytest.raises(EngramError, match=r"prior\.prefixes: 3 is too few"):
        complete(config | {"prior": {"prefixes": 3}})
