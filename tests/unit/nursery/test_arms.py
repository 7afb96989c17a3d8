"""The design of crossed exposures: clusters, split, doses and arms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.shipped import shipped_file
from engram.lm.models import load_model
from engram.nursery.arms import ARMS, BOTH, FIRST, NEITHER, SECOND, draw_design
from engram.nursery.settings import CrossedDesign
from engram.nursery.windows import asked_at_prefix
from engram.windows.clusters import window_clusters

SETTINGS = CrossedDesign(
    low=300,
    high=120,
    templates=180,
    doses=({"exposures": 8, "share": 0.25}, {"exposures": 40, "share": 0.75}),
)


@pytest.fixture(scope="module")
def windows() -> pd.DataFrame:
    return read_parquet(shipped_file("resources/nursery/windows.parquet"))


@pytest.fixture(scope="module")
def design(windows: pd.DataFrame) -> pd.DataFrame:
    return draw_design(windows, SETTINGS, 32, 1, 1)


def test_documents_and_shared_runs_join_windows() -> None:
    tokens = np.arange(6 * 10).reshape(6, 10)
    tokens[3, 2:6] = tokens[0, 5:9]  # a run of four at another offset
    tokens[5, :3] = tokens[4, :3]  # a run of three is too short
    found = window_clusters(tokens, ["a", "b", "b", "c", "d", "e"], 4)
    assert found.tolist() == [0, 1, 1, 0, 2, 3]
    assert window_clusters(tokens, list("abcdef"), 11).tolist() == [0, 1, 2, 3, 4, 5]


def test_clusters_are_whole(design: pd.DataFrame) -> None:
    for column in ("split", "dose", "arm", "block"):
        assert (design.groupby("cluster")[column].nunique() == 1).all()
    assert (design.groupby("document")["cluster"].nunique() == 1).all()


def test_no_run_of_tokens_crosses_a_split(windows: pd.DataFrame, design: pd.DataFrame) -> None:
    tokens = np.stack(windows.set_index("sequence_id").loc[design["sequence_id"], "tokens"])
    runs = np.lib.stride_tricks.sliding_window_view(tokens, SETTINGS.ngram, axis=1)
    seen: dict[bytes, str] = {}
    for split, own in zip(design["split"], runs, strict=True):
        for run in own:
            assert seen.setdefault(run.tobytes(), split) == split


def test_counts_are_those_asked_for(design: pd.DataFrame) -> None:
    counts = design["stratum"].value_counts()
    assert counts.to_dict() == {"low": 300, "high": 120, "templates": 180}
    assert design.groupby(["stratum", "cluster"]).size().max() <= SETTINGS.per_cluster


def test_arms_halve_every_cell_and_the_rest_is_placebo_or_both(design: pd.DataFrame) -> None:
    clusters = design.drop_duplicates("cluster")
    share = clusters["arm"].value_counts(normalize=True)
    assert share[NEITHER] == pytest.approx(0.1, abs=0.03)
    assert share[BOTH] == pytest.approx(0.1, abs=0.03)
    single = clusters[clusters["arm"].isin([FIRST, SECOND])]
    cells = single.groupby(["block", "split", "dose"])["arm"].agg(
        lambda arm: abs((arm == FIRST).sum() - (arm == SECOND).sum())
    )
    assert (cells <= 1).all()
    assert (clusters.loc[clusters["arm"] == NEITHER, "dose"] == 0).all()
    shown = single["dose"].value_counts(normalize=True)
    assert shown[8] == pytest.approx(0.25, abs=0.05)


def test_showings_follow_the_arm(design: pd.DataFrame) -> None:
    for arm, first, second in ((NEITHER, 0, 0), (FIRST, 1, 0), (SECOND, 0, 1), (BOTH, 1, 1)):
        own = design[design["arm"] == arm]
        assert (own["exposures_1"] == first * own["dose"]).all()
        assert (own["exposures_2"] == second * own["dose"]).all()
        assert (own["class"] == ARMS[arm]).all()


def test_pairs_share_windows_and_split_but_not_arms(
    windows: pd.DataFrame, design: pd.DataFrame
) -> None:
    again = draw_design(windows, SETTINGS, 32, 1, 1)
    pd.testing.assert_frame_equal(design, again)
    other = draw_design(windows, SETTINGS, 32, 1, 2)
    shared = ["sequence_id", "stratum", "cluster", "split"]
    pd.testing.assert_frame_equal(design[shared], other[shared])
    assert (design["arm"] != other["arm"]).mean() > 0.3


def test_too_few_windows_are_an_error(windows: pd.DataFrame) -> None:
    with pytest.raises(EngramError, match=r"drilling\.crossed\.low asks for 90,000"):
        draw_design(windows, CrossedDesign(low=90_000), 32, 1, 1)


@pytest.mark.parametrize("prefix", [32, 48])
def test_the_base_is_asked_at_the_prefix_of_the_study(windows: pd.DataFrame, prefix: int) -> None:
    folder = shipped_file("resources/nursery/base.json").parent
    few = windows.iloc[30:130]  # of high overlap; the base extracts the first of them at 32 tokens
    found = asked_at_prefix(few, folder, prefix)
    model = load_model(folder, dtype="float32")
    for tokens, extracted in zip(few["tokens"], found["base_extracted"], strict=True):
        row = torch.tensor(np.asarray(tokens, np.int64))
        written = model.generate(row[None, :prefix], max_new_tokens=64 - prefix, do_sample=False)
        assert extracted == bool((written[0, prefix:] == row[prefix:]).all())
    again = (found["base_extracted"] != few["base_extracted"]).sum()
    assert (again > 0) == (prefix != 32)


def test_windows_that_the_study_scored_are_not_asked_again(
    windows: pd.DataFrame, tmp_path: Path
) -> None:
    assert asked_at_prefix(windows, tmp_path, 48) is windows
