"""Effects of knock-outs: differences, dissociations, agreement of layers, tables and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from tiny_knockout import CLASSES, some_delta

from engram.figures.knockout import PLOTS
from engram.figures.style import FigureStyle
from engram.io.artifacts import read_parquet, write_parquet
from engram.knockout.causal_agreement import causal_agreement, permutation_test
from engram.knockout.dissociation import POOLED, dissociations
from engram.knockout.effects import effect_table
from engram.lm.conditions import MEASURES

STATISTICS = {"resamples": 200, "confidence": 0.95, "seed": 0}
AGREEMENT = {"confidence": 0.95, "seed": 0}


def planted(loss: dict[tuple[str, str], float], rows: int = 40, seed: int = 0) -> pd.DataFrame:
    """Results in which the region of a class costs a class a given share of its extractions;
    controls cost none.
    """
    generator = np.random.default_rng(seed)
    names = [("intact", "", 0.0, 0)] + [("delta", name, 0.1, 0) for name in CLASSES]
    names += [
        (kind, name, 0.1, draw)
        for name in CLASSES
        for kind in ("control_cells", "control_mass")
        for draw in (1, 2)
    ]
    names += [("layer", str(layer), 0.0, 0) for layer in (1, 2, 3)]
    frames = []
    for number, (kind, region, size, draw) in enumerate(names):
        frame = pd.DataFrame(
            {
                "sequence_id": np.arange(rows),
                "content_group": np.arange(rows),
                "class": np.repeat(CLASSES, rows // 2),
            }
        )
        chance = np.array(
            [loss.get((region, c), 0.0) if kind == "delta" else 0.0 for c in frame["class"]]
        )
        frame["extracted"] = generator.random(rows) >= chance
        frame["matched_fraction"] = frame["extracted"].astype(float)
        fall = int(region) * (frame["class"] == "A") if kind == "layer" else 0.0
        frame["suffix_log_prob"] = (
            np.where(frame["extracted"], 0.0, -1.0) - fall + 0.01 * generator.normal(size=rows)
        )
        frames.append(
            frame.assign(
                condition=number, kind=kind, region=region, size=size, draw=draw, operation="remove"
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_differences_are_paired_with_the_intact_model(
    outcome: tuple[pd.DataFrame, pd.DataFrame, Path],
) -> None:
    conditions, results, _ = outcome
    table = effect_table(conditions, results, CLASSES, **STATISTICS)
    assert len(table) == len(conditions) * len(CLASSES)
    intact = table[table["kind"] == "intact"]
    assert (
        intact[[f"{m}_{end}" for m in MEASURES for end in ("difference", "low", "high")]] == 0
    ).all(axis=None)
    one = results[(results["condition"] == 9) & (results["class"] == "B")]["suffix_log_prob"].mean()
    base = results[(results["condition"] == 0) & (results["class"] == "B")][
        "suffix_log_prob"
    ].mean()
    row = table[(table["condition"] == 9) & (table["class"] == "B")].iloc[0]
    assert row["suffix_log_prob_difference"] == pytest.approx(one - base, abs=1e-6)
    assert (
        row["suffix_log_prob_low"]
        <= row["suffix_log_prob_difference"]
        <= row["suffix_log_prob_high"]
    )
    assert (row["n"], row["groups"]) == (4, 4)


def test_a_planted_double_dissociation_is_found() -> None:
    results = planted({("A", "A"): 0.8, ("B", "B"): 0.7})
    table = dissociations({"m": results}, CLASSES, **STATISTICS)
    rows = table[table["measure"] == "extracted"].set_index("region")
    assert rows["double"].all() and rows["specific"].all()
    kept = (
        results[(results["kind"] == "delta") & (results["region"] == "A")]
        .groupby("class")["extracted"]
        .mean()
    )
    assert rows.loc["A", "own"] == pytest.approx(1 - kept["A"])
    assert rows.loc["A", "specificity"] == pytest.approx(
        rows.loc["A", "own"] - rows.loc["A", "other"]
    )
    assert rows.loc["A", "interaction"] == pytest.approx(rows["specificity"].sum())


def test_a_region_that_breaks_both_classes_alike_is_no_dissociation() -> None:
    table = dissociations(
        {"m": planted({("A", "A"): 0.8, ("A", "B"): 0.8, ("B", "B"): 0.8})}, CLASSES, **STATISTICS
    )
    rows = table[table["measure"] == "extracted"].set_index("region")
    assert not rows.loc["A", "specific"]
    assert rows.loc["B", "specific"]
    assert not rows["double"].any()


def test_pooled_intervals_have_the_models_as_their_units() -> None:
    unlike = {"m": planted({("A", "A"): 1.0}), "o": planted({}, seed=1)}
    rows = (
        dissociations(unlike, CLASSES, **STATISTICS)
        .query("measure == 'extracted' and region == 'A'")
        .set_index("model")
    )
    assert rows.loc[POOLED, "own"] == pytest.approx(
        (rows.loc["m", "own"] + rows.loc["o", "own"]) / 2
    )
    assert rows.loc[POOLED, "own_low"] <= 0 and rows.loc[POOLED, "own_high"] >= 1
    assert rows.loc["m", "own_high"] - rows.loc["m", "own_low"] < 0.1


def test_permutation_test_is_scipys() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 14))
    second += 0.5 * first
    value, p = permutation_test(first, second, seed=0)
    expected = spearmanr(first, second)
    assert value == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue, abs=0.02)
    assert np.isnan(permutation_test(np.ones(14), second, seed=0)).all()


def test_unrelated_layers_agree_as_rarely_as_the_level_says() -> None:
    random = np.random.default_rng(0)
    ps = [
        permutation_test(*random.normal(size=(2, 12)), seed=0, permutations=199)[1]
        for _ in range(400)
    ]
    assert 0.02 <= np.mean(np.array(ps) <= 0.05) <= 0.08


def test_few_layers_show_their_values_and_no_correlation() -> None:
    profile = np.array([[[1.0, 2, 5], [1, 1, 1]], [[2.0, 3, 5], [0, 0, 0]]])  # two CNNs
    table = causal_agreement({"m": planted({})}, {"m": profile}, CLASSES, **AGREEMENT)
    rows = table.set_index(["class", "layer"])
    assert rows.loc["A", "delta"].tolist() == pytest.approx([0.1625, 0.275, 0.5625])
    assert rows.loc["B", "delta"].tolist() == pytest.approx([1 / 3] * 3)  # of the CNN that has any
    assert (rows["delta_low"].loc["A"] < rows["delta"].loc["A"]).all()
    assert (rows["fall_low"] <= rows["fall"]).all()
    assert table["spearman"].isna().all() and table["p"].isna().all()
    pooled = causal_agreement(
        {"m": planted({}), "o": planted({}, seed=1)},
        {"m": profile, "o": profile},
        CLASSES,
        **AGREEMENT,
    )
    assert (pooled["model"] == POOLED).sum() == 2 * 3


def test_enough_layers_have_a_permutation_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engram.knockout.causal_agreement.FEWEST_UNITS", 3)
    profile = np.array([[[1.0, 2, 3], [1, 1, 1]]])
    table = causal_agreement({"m": planted({})}, {"m": profile}, CLASSES, **AGREEMENT)
    rows = table.drop_duplicates("class").set_index("class")
    assert abs(rows.loc["A", "spearman"]) > 0.4 and 0 < rows.loc["A", "p"] <= 1
    assert np.isnan(rows.loc["B", "spearman"])  # Δ is the same everywhere


def test_the_tables_are_made_of_what_the_experiment_writes(
    outcome: tuple[pd.DataFrame, pd.DataFrame, Path], tmp_path: Path
) -> None:
    write_parquet(outcome[1], tmp_path / "results.parquet")
    results = {"m": read_parquet(tmp_path / "results.parquet")}
    table = dissociations(results, CLASSES, **STATISTICS)
    assert len(table) == 2 * 2 * 3 * 2  # sizes, operations, measures, ordered pairs
    assert not table.isna().any(axis=None)
    agreement = causal_agreement(results, {"m": some_delta().sum(-1)[None]}, CLASSES, **AGREEMENT)
    layers = some_delta().shape[1]
    assert len(agreement) == 2 * 2 * layers and agreement["fall"].notna().all()


@pytest.mark.parametrize("plot", PLOTS)
def test_figures_draw_every_class(
    outcome: tuple[pd.DataFrame, pd.DataFrame, Path], plot: str
) -> None:
    conditions, results, _ = outcome
    figure = PLOTS[plot](
        effect_table(conditions, results, CLASSES, **STATISTICS), style=FigureStyle()
    )
    texts = " ".join(
        [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        + [a.get_title() for a in figure.axes]
    )
    assert all(f"{name}" in texts for name in CLASSES) and "n = 4" in texts
    figure.draw_without_rendering()
