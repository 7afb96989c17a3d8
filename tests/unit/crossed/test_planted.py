"""One planted pair through everything: exposure raises one band of one layer, and the scorer, Δ and
the knock-out name it; windows that neither or both models were shown are at chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from crossed_design import made_design

from engram.crossed.differences import (
    DELTA,
    difference_table,
    knockout_rows,
    measured_windows,
    trials,
)
from engram.crossed.localization import layer_table, paired_delta
from engram.crossed.null import redrawn, try_scorer
from engram.crossed.pair import control_rows
from engram.crossed.scorer import inner_products
from engram.io.packing import packed_length, query_key
from engram.lm.conditions import Condition
from engram.nursery.arms import ARMS, BOTH, FIRST, NEITHER, SECOND

TOKENS, PREFIX, LAYERS, LAYER = 12, 6, 3, 1
BANDS = ((0, 0), (1, 2), (3, 5), (6, 11))
QUERIES, KEYS = query_key(TOKENS)
PLANTED = np.zeros((LAYERS, packed_length(TOKENS)), bool)
PLANTED[LAYER] = (QUERIES - KEYS >= 3) & (QUERIES - KEYS <= 5)


def design_of(clusters: int, seed: int) -> pd.DataFrame:
    """Return a design in which every second cluster without an arm is shown to both models."""
    design = made_design(clusters, seed)
    idle = design.loc[design["arm"] == NEITHER, "cluster"].unique()
    design.loc[design["cluster"].isin(idle[::2]), "arm"] = BOTH
    design["class"] = np.array(ARMS, object)[design["arm"]]
    return design


def difference_of(design: pd.DataFrame, effect: float, seed: int) -> np.ndarray:
    """Return map of model 1 − map of model 2, each with a fingerprint and noise of its own."""
    random = np.random.default_rng([7, seed])
    shape = (len(design), *PLANTED.shape)
    maps = []
    for model in (FIRST, SECOND):
        own = random.normal(size=shape) + 3 * random.normal(size=(1, *PLANTED.shape))
        shown = design["arm"].isin([model, BOTH]).to_numpy()
        maps.append(own + effect * shown[:, None, None] * PLANTED)
    return (maps[0] - maps[1]).astype(np.float32)


def test_scorer_delta_and_knock_out_name_the_planted_layer_and_band() -> None:
    design = design_of(160, 1)
    difference, arms = difference_of(design, 1.2, 1), redrawn(design, 39, 0)
    everything = np.ones(len(design), bool)
    products = inner_products(difference.reshape(len(design), -1), arms.windows)
    reached = try_scorer(products, arms, everything, {"all": everything})["all"]
    assert reached.accuracy[0] >= 0.9 and reached.p == 1 / 40

    delta = paired_delta(difference, replace(arms, drawn=arms.drawn[:, :7]), 4, 0, 4)
    table = layer_table(difference, delta, arms, BANDS).set_index(["layer", "band"])
    cells = [(layer, band) for layer, band in table.index if layer and band != "all"]
    named = (LAYER + 1, "3-5")
    assert table.loc[cells, "delta"].idxmax() == table.loc[cells, "accuracy"].idxmax() == named

    # The knock-out: the exposed model loses nats with planted cells, and both lose with any cells.
    windows = measured_windows(design, 40, 0)
    mass = np.ones(PLANTED.shape)
    size = PLANTED.mean() / 2
    names, conditions = trials(delta.delta, delta.redrawn, mass, PREFIX, [size], 6, 0)
    region = conditions[int(names.index[names["kind"] == DELTA][0])].cells
    assert region is not None and PLANTED[region].mean() > 0.9
    rows = knockout_rows(names, windows, measured(conditions, windows), TOKENS - PREFIX)
    found = difference_table(rows, 0.95).set_index(["stratum", "control"])
    for control in ("cells", "mass", "redrawn"):
        row = found.loc[("all", control)]
        assert row["difference_low"] > 0 and row["rank"] == pytest.approx(1 / 7)


def measured(conditions: list[Condition], windows: pd.DataFrame) -> list[np.ndarray]:
    """Return measures of both models, (C, n, 3) each, as `knock_out` gives them."""
    removed = np.array([0 if c.cells is None else c.cells[PLANTED].mean() for c in conditions])
    anything = np.array([0 if c.cells is None else c.cells.mean() for c in conditions])
    noise = 0.05 * np.random.default_rng(3).random((len(conditions), len(windows)))
    found = []
    for model in (FIRST, SECOND):
        shown = (windows["arm"] == model).to_numpy()
        nats = -1 - removed[:, None] * shown - 2 * anything[:, None] - noise
        found.append(np.stack([np.zeros(nats.shape)] * 2 + [nats], axis=2))
    return found


def test_windows_of_neither_and_of_both_models_are_at_chance() -> None:
    """Mean over designs: exposure that both models share separates them no more than none."""
    rows = []
    for seed in range(24):
        design = design_of(80, seed)
        difference = difference_of(design, 1.2, seed).reshape(len(design), -1)
        arms = redrawn(design, 0, seed)
        rows += control_rows(design, arms, {"attention_mean": difference}, 0.95)
    values = pd.DataFrame(rows).groupby("check")["value"]
    assert set(values.groups) == {f"model 1 called exposed: {arm}" for arm in ("placebo", "both")}
    errors = values.std() / np.sqrt(values.size())
    assert ((values.mean() - 0.5).abs() < 3 * errors).all()
    assert (errors < 0.05).all()  # a fingerprint would make each design all or nothing
