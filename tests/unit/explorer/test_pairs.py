"""The page of crossed pairs: what it says is what the tables say."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from page_maps import dequantize, dequantize_signed
from synthetic_pair import INPUTS, LAYERS, write_pairs
from synthetic_study import TOKENS

from engram.crossed.settings import CrossedInput
from engram.explorer.page import PAIRS, render
from engram.explorer.pairs import (
    OUTCOMES,
    PairStudy,
    choose_windows,
    collect_pairs,
    outcome_names,
    report_edition,
)
from engram.io.artifacts import read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.io.hdf5 import open_hdf5, read_group
from engram.io.shipped import shipped_file
from engram.nursery.arms import BOTH, FIRST, NEITHER, SECOND
from engram.store.index import AttentionStore

Collected = tuple[dict, dict]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> PairStudy:
    return write_pairs(tmp_path_factory.mktemp("pairs"), {"a": "b", "c": "d"}, openings={"c": (0,)})


@pytest.fixture(scope="module")
def collected(written: PairStudy) -> Collected:
    return collect_pairs(written)


@pytest.fixture(scope="module")
def windows(written: PairStudy) -> pd.DataFrame:
    return read_parquet(written.root / "a" / "crossed" / "windows.parquet")


@pytest.fixture
def copy(written: PairStudy, tmp_path: Path) -> PairStudy:
    """The first pair, to be damaged."""
    for name in ("a", "b"):
        shutil.copytree(written.root / name, tmp_path / name)
    return replace(written, root=tmp_path, pairs={"a": "b"})


def rewrite(study: PairStudy, name: str, **columns: object) -> None:
    """Gives every row of a table of the pair another value in some columns."""
    path = study.root / "a" / "crossed" / f"{name}.parquet"
    write_parquet(read_parquet(path).assign(**columns), path)


def block(collected: Collected, name: str) -> np.ndarray:
    """A block's bytes."""
    return np.frombuffer(zlib.decompress(base64.b64decode(collected[1][name])), np.uint8)


def test_a_window_says_what_the_table_says(collected: Collected, windows: pd.DataFrame) -> None:
    known = windows.set_index("sequence_id")
    for entry in collected[0]["pairs"][0]["windows"]:
        row = known.loc[int(entry["id"])]
        assert row["split"] == "test"
        assert (entry["stratum"], entry["dose"]) == (row["stratum"], row["dose"])
        assert entry["arm"] == row["class"]
        assert entry["exposures"] == [row["exposures_1"], row["exposures_2"]]
        assert entry["extracted"] == [row["extracted_1"], row["extracted_2"]]
        assert entry["base_extracted"] == row["base_extracted"]
        measured = [row["suffix_log_prob_1"], row["suffix_log_prob_2"]]
        assert entry["suffix_log_prob"] == pytest.approx(measured, rel=1e-5)
        place = int(row["cluster"])
        assert dict(entry["facts"])["Source"] == f"folder/file_{place}.py:{10 * place}"


def test_scores_are_those_of_the_decisions(
    written: PairStudy, collected: Collected, windows: pd.DataFrame
) -> None:
    folder = written.root / "a" / "crossed"
    decisions = read_parquet(folder / "decisions.parquet").set_index(
        ["input", "trained_on", "sequence_id"]
    )["score"]
    table = pd.read_csv(folder / "scores.csv")
    pair = collected[0]["pairs"][0]
    assert {scorer["input"] for scorer in pair["scorers"]} == set(INPUTS)
    arm = windows.set_index("sequence_id")["arm"]
    asked = 0
    for entry in pair["windows"]:
        sequence = int(entry["id"])
        if arm[sequence] in (NEITHER, BOTH):
            assert entry["says"] is None
            continue
        asked += 1
        for scorer, said in zip(pair["scorers"], entry["says"], strict=True):
            score = decisions[scorer["input"], scorer["trained_on"], sequence]
            assert said["score"] == pytest.approx(score, rel=1e-5)
            assert said["right"] == 0.5 + 0.5 * np.sign(score) * (
                1 if arm[sequence] == FIRST else -1
            )
            assert abs(said["score"]) <= scorer["largest"]
    assert asked
    for scorer in pair["scorers"]:
        row = table.query(
            f"input == '{scorer['input']}' and trained_on == '{scorer['trained_on']}' and "
            "tested_on == 'all' and dose == 0 and selection == 'assigned'"
        )
        assert scorer["accuracy"] == row["accuracy"].item()


@pytest.mark.parametrize("number", [0, 1])
def test_maps_and_their_difference_are_the_stores(
    written: PairStudy, collected: Collected, number: int
) -> None:
    pair = collected[0]["pairs"][number]
    side = TOKENS + pair["opening"]
    assert pair["opening"] == number
    entry = pair["windows"][3]
    assert len(entry["tokens"]) == side
    levels = block(collected, entry["block"]).reshape(2, 3, LAYERS, side * (side + 1) // 2)
    stores = [
        AttentionStore(written.root / name / "crossed" / "attention" / "index.parquet")
        for name in pair["models"]
    ]
    for position, pooling in enumerate(pair["poolings"]):
        maxima = np.array(entry["maxima"][pooling], np.float32)
        stored = [
            store.read(np.array([int(entry["id"])]), pooling)[0].astype(np.float32)
            for store in stores
        ]
        for model in (0, 1):
            shown = dequantize(levels[position, model], maxima[model])
            assert np.abs(shown - stored[model]).max() < 1 / 255 + 1e-5
        difference = stored[0] - stored[1]
        shown = dequantize_signed(levels[position, 2], maxima[2])
        bound = np.sqrt(np.abs(difference) * maxima[2][:, None]) / 127 + maxima[2].max() / 60_000
        assert (np.abs(shown - difference) <= bound).all()


def test_delta_and_its_layers_are_the_pair_s(written: PairStudy, collected: Collected) -> None:
    pair, folder = collected[0]["pairs"][0], written.root / "a" / "crossed"
    with open_hdf5(folder / "delta.h5") as file:
        delta = read_group(file)[0]["delta"]
    levels = block(collected, pair["delta"]["block"]).reshape(delta.shape)
    shown = dequantize_signed(levels, np.array(pair["delta"]["maxima"], np.float32))
    assert np.abs(shown - delta).max() < np.abs(delta).max() / 120
    assert (np.sign(shown[np.abs(delta) > 0.1 * np.abs(delta).max()]) != 0).all()
    table = pd.read_csv(folder / "layers.csv").query("band == 'all' and layer > 0")
    assert pair["profile"]["share"] == pytest.approx(table["delta"].tolist())
    spread = np.subtract(pair["profile"]["high"], pair["profile"]["share"])
    assert spread == pytest.approx(table["delta_sd"].tolist(), rel=1e-4)


def test_every_stratum_arm_and_outcome_gets_as_many_windows(windows: pd.DataFrame) -> None:
    chosen = choose_windows(windows, 24, 0)
    shown = windows[windows["sequence_id"].isin(chosen)]
    cells = Counter(zip(shown["stratum"], shown["class"], outcome_names(shown), strict=True))
    test = windows[windows["split"] == "test"]
    held = Counter(zip(test["stratum"], test["class"], outcome_names(test), strict=True))
    assert len(chosen) == 24 and set(shown["split"]) == {"test"}
    assert cells.keys() == held.keys()
    # The last round may end within; a cell has fewer only where it has no more.
    most = max(cells.values())
    assert all(number >= min(held[cell], most - 1) for cell, number in cells.items())
    again = choose_windows(windows.sample(frac=1, random_state=3), 24, 0)
    assert chosen.tolist() == again.tolist()
    assert chosen.tolist() != choose_windows(windows, 24, 1).tolist()


@pytest.mark.parametrize(
    ("arm", "first", "second", "name"),
    [
        (FIRST, True, False, "recalled in one"),
        (FIRST, False, True, "drift"),
        (SECOND, False, True, "recalled in one"),
        (SECOND, True, False, "drift"),
        (SECOND, True, True, "extracted by both"),
        (NEITHER, False, False, "extracted by neither"),
        (NEITHER, True, False, "extracted by one"),
        (BOTH, False, True, "extracted by one"),
        (BOTH, True, True, "extracted by both"),
    ],
)
def test_outcomes_have_names(arm: int, first: bool, second: bool, name: str) -> None:
    row = pd.DataFrame({"arm": [arm], "extracted_1": [first], "extracted_2": [second]})
    assert outcome_names(row).tolist() == [name]
    assert name in OUTCOMES


def test_pairs_share_the_windows_of_the_page(collected: Collected) -> None:
    assert [len(pair["windows"]) for pair in collected[0]["pairs"]] == [12, 12]
    assert [pair["models"] for pair in collected[0]["pairs"]] == [["a", "b"], ["c", "d"]]


def test_the_page_asks_for_nothing_and_keeps_ids(written: PairStudy, collected: Collected) -> None:
    page = render(*collected, PAIRS)
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|url\(""", page)
    assert render(*collect_pairs(written), PAIRS) == page
    data = re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    assert data
    ids = [e["id"] for e in json.loads(data[1], parse_int=float)["pairs"][0]["windows"]]
    assert ids == [entry["id"] for entry in collected[0]["pairs"][0]["windows"]]
    assert min(map(int, ids)) > 2**53


def test_both_pages_have_one_shell() -> None:
    """What is not a page's own is in both: style, theme, keys, maps."""
    pages = [
        render({"study": "s"}, {}),
        render({"study": "s"}, {}, PAIRS),
    ]
    for part in (
        "function paint(",
        "class TextView",
        "function listenToKeys(",
        'id="theme"',
        "@media print",
    ):
        assert all(page.count(part) == 1 for page in pages), part


def test_the_report_s_edition_has_the_first_windows_that_fit(collected: Collected) -> None:
    whole = len(render(*collected, PAIRS))
    study, blocks = report_edition(*collected, megabytes=whole / 2e6)
    left = len(study["pairs"][0]["windows"])
    assert 1 < left < 12 and study["whole"] == 12
    assert len(render(study, blocks, PAIRS)) <= whole / 2
    more, _ = report_edition(*collected, megabytes=whole / 2e6 * (left + 1) / left)
    assert len(more["pairs"][0]["windows"]) > left
    for pair, entire in zip(study["pairs"], collected[0]["pairs"], strict=True):
        assert pair["windows"] == entire["windows"][:left]
        assert {pair["delta"]["block"], *(entry["block"] for entry in pair["windows"])} <= set(
            blocks
        )
    assert len(blocks) == 2 * (1 + left)
    assert report_edition(*collected, megabytes=25) == collected


def test_an_edition_has_a_window_of_every_pair_at_least(collected: Collected) -> None:
    study, _ = report_edition(*collected, megabytes=0.001)
    assert [len(pair["windows"]) for pair in study["pairs"]] == [1, 1]


def test_windows_that_do_not_fit_are_left_out(written: PairStudy, collected: Collected) -> None:
    whole = sum(map(len, collected[1].values()))
    small = written.page.model_copy(update={"megabytes": 0.6 * whole / 1e6})
    study, blocks = collect_pairs(replace(written, page=small))
    assert sum(map(len, blocks.values())) <= 0.6 * whole
    for pair, entire in zip(study["pairs"], collected[0]["pairs"], strict=True):
        left = len(pair["windows"])
        assert 1 < left < 12 == pair["wanted"] == entire["wanted"]
        assert pair["windows"] == entire["windows"][:left]


def test_where_not_one_window_fits_it_is_an_error(written: PairStudy) -> None:
    small = written.page.model_copy(update={"megabytes": 0.01})
    with pytest.raises(EngramError, match=r"fill its 0.01 MB; lower explorer\.samples"):
        collect_pairs(replace(written, page=small))


def test_a_pair_without_test_windows_is_an_error(copy: PairStudy) -> None:
    rewrite(copy, "windows", split="train")
    with pytest.raises(EngramError, match=r"windows\.parquet: it has no test window"):
        collect_pairs(copy)


@pytest.mark.parametrize(
    ("name", "column"), [("windows", "suffix_log_prob_1"), ("decisions", "score")]
)
def test_nan_in_a_table_is_refused(copy: PairStudy, name: str, column: str) -> None:
    rewrite(copy, name, **{column: np.nan})
    with pytest.raises(EngramError, match="look for NaN"):
        render(*collect_pairs(copy), PAIRS)


def test_layers_that_are_not_the_attention_s_are_an_error(copy: PairStudy) -> None:
    path = copy.root / "a" / "crossed" / "layers.csv"
    pd.read_csv(path).query("layer < 3").to_csv(path, index=False)
    with pytest.raises(EngramError, match=r"has the layers \[1, 2\], the attention has 3"):
        collect_pairs(copy)


def test_the_page_names_every_input_of_a_scorer() -> None:
    script = shipped_file("workflow/explorer/scorers.js").read_text(encoding="utf-8")
    (named,) = re.findall(r"const INPUTS = \{(.*?)\};", script)
    assert re.findall(r"(\w+): ", named) == list(get_args(CrossedInput))
