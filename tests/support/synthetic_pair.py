"""Crossed pairs without their work: real windows, made-up attention and extractions, of any number
of layers; designs, scores and Δ by the code that makes them in a study."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from synthetic_study import FIRST_ID, NURSERY, PREFIX, write_attention

from engram.crossed.effects import outcomes
from engram.crossed.inputs import Differences, attention_difference
from engram.crossed.localization import layer_table, paired_delta
from engram.crossed.null import redrawn
from engram.crossed.pair import score_pair
from engram.explorer.pairs import PairStudy
from engram.explorer.settings import ExplorerSettings
from engram.io.artifacts import read_parquet, write_csv, write_parquet
from engram.io.hdf5 import new_hdf5, write_group
from engram.nursery.arms import ARMS, BOTH, FIRST, NEITHER, SECOND

LAYERS = 3
INPUTS = ("attention_mean", "suffix_log_prob")
"""Inputs of the scorers of the first pair; other pairs have the first one."""


def write_pairs(
    root: Path,
    pairs: dict[str, str],
    per_stratum: int = 30,
    samples: int = 24,
    openings: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> PairStudy:
    """Writes results/<study> of crossed pairs under `root`, `per_stratum` windows of each stratum.
    `openings`: special tokens that both models of a pair read, by the pair's first model.
    """
    for number, (first, second) in enumerate(pairs.items()):
        opening = openings.get(first, ())
        _write_pair(root, (first, second), per_stratum, number, opening)
    page = ExplorerSettings(samples=samples)
    return PairStudy(root, "synthetic", PREFIX, 0, pairs, page)


def made_windows(per_stratum: int, seed: int) -> pd.DataFrame:
    """Windows of the nursery with strata, splits, doses and arms, each a cluster of its own."""
    rows = 3 * per_stratum
    windows = read_parquet(NURSERY / "windows.parquet").sample(
        rows, random_state=seed, ignore_index=True
    )
    number = np.arange(rows) // 3  # within the stratum
    arm = np.array([FIRST, SECOND, FIRST, SECOND, FIRST, SECOND, FIRST, SECOND, NEITHER, BOTH])
    arms = arm[number % 10]
    dose = np.where(arms == NEITHER, 0, np.array([8, 32])[number // 2 % 2])
    return windows.assign(
        sequence_id=windows["sequence_id"] + FIRST_ID,
        kind=np.where(np.arange(rows) % 3 == 2, "count", "natural"),
        source=[f"folder/file_{i}.py:{10 * i}" for i in range(rows)],
        stratum=np.array(["low", "high", "templates"])[np.arange(rows) % 3],
        overlap=np.linspace(0, 1, rows),
        cluster=np.arange(rows),
        block=np.array(["low", "high", "templates"])[np.arange(rows) % 3],
        split=np.array(["train", "test", "validation"])[number // 10 % 3],
        dose=dose,
        arm=arms,
        exposures_1=np.where(np.isin(arms, (FIRST, BOTH)), dose, 0),
        exposures_2=np.where(np.isin(arms, (SECOND, BOTH)), dose, 0),
        **{"class": np.array(ARMS)[arms]},
    )


def _write_pair(
    root: Path, models: tuple[str, str], per_stratum: int, seed: int, opening: tuple[int, ...]
) -> None:
    random = np.random.default_rng(seed)
    windows = made_windows(per_stratum, seed)
    tokens = np.stack(windows["tokens"].tolist())  # (n, T)
    ids = windows["sequence_id"].to_numpy()
    measured = []
    for number, name in enumerate(models, start=1):
        shown = windows[f"exposures_{number}"].to_numpy() > 0
        scores = pd.DataFrame(
            {
                "sequence_id": ids,
                # Most of what a model was shown, and a little of what it was not: drift.
                "extracted": random.random(len(ids)) < np.where(shown, 0.7, 0.2),
                "suffix_log_prob": -random.exponential(np.where(shown, 0.5, 2.0)),
                "twin_extracted": np.arange(len(ids)) % 7 == 0,
            }
        )
        measured.append(scores)
        candidates = windows[["sequence_id", "tokens", "kind", "source"]]
        write_parquet(candidates.merge(scores), root / name / "candidates.parquet")
        (root / name / "model").mkdir()
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(NURSERY / file, root / name / "model")
        write_attention(root / name / "crossed" / "attention", ids, tokens, LAYERS, random, opening)
    inputs = INPUTS[: 1 if seed else None]
    _analyse(
        root,
        models,
        inputs,
        outcomes(windows.drop(columns=["tokens", "source", "kind"]), *measured),
    )


def _analyse(
    root: Path, models: tuple[str, str], inputs: Sequence[str], windows: pd.DataFrame
) -> None:
    folder = root / models[0] / "crossed"
    arms = redrawn(windows, 19, 0)
    indexes = [root / name / "crossed" / "attention" / "index.parquet" for name in models]
    scores = score_pair(windows, arms, Differences(inputs, windows, indexes), 0.95)
    difference = attention_difference(indexes, windows["sequence_id"].to_numpy(), "mean")
    delta = paired_delta(difference, arms, 4, 0, 1)
    write_parquet(windows, folder / "windows.parquet")
    write_csv(scores.rows, folder / "scores.csv")
    write_parquet(scores.decisions, folder / "decisions.parquet")
    write_csv(layer_table(difference, delta, arms, [(0, 3), (4, 63)]), folder / "layers.csv")
    with new_hdf5(folder / "delta.h5") as file:
        arrays = {"delta": delta.delta, "redrawn": delta.redrawn}
        write_group(file, arrays, {"pooling": "mean"})
