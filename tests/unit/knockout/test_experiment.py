"""The experiment: regions and their controls, rankings on other samples, resuming, effects and
tables.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from tiny_models import HEADS, LAYERS, gpt_neox, random_tokens

from engram.figures.knockout import PLOTS
from engram.figures.style import FigureStyle
from engram.io.artifacts import read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.io.packing import pack, packed_length, query_key
from engram.io.spans import Spans
from engram.knockout import experiment, kept_conditions
from engram.knockout.causal_agreement import causal_agreement, permutation_test
from engram.knockout.dissociation import POOLED, dissociations
from engram.knockout.effects import effect_table
from engram.knockout.experiment import Runner, Samples, choose, run
from engram.knockout.kept_conditions import condition_digest
from engram.knockout.regions import blocks, distance_band, random_region, top_cells
from engram.knockout.trials import (
    COLUMNS,
    KnockoutSettings,
    rank_units,
    region_trials,
    single_trials,
    units,
)
from engram.lm.conditions import MEASURES, Condition
from engram.lm.inputs import begin_with
from engram.lm.interventions import average, knock_out

WINDOW, PREFIX, CLASSES = 16, 8, ["A", "B"]
CELLS = packed_length(WINDOW)
SETTINGS = KnockoutSettings(
    samples_per_class=4,
    sizes=[0.02, 0.2],
    draws=3,
    operations=["remove", "mean"],
    bands=[[0, 0], [1, 3], [4, 99], [50, 60]],
    curve_points=3,
)
STATISTICS = {"resamples": 200, "confidence": 0.95, "seed": 0}
AGREEMENT = {"confidence": 0.95, "seed": 0}


def samples(rows: int, seed: int) -> Samples:
    number = np.arange(rows)
    return Samples(100 * seed + number, number // 2, number % 2, random_tokens(rows, WINDOW, seed))


def some_delta(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((len(CLASSES), LAYERS, CELLS))


def runner(folder: Path) -> Runner:
    return Runner(gpt_neox(), "abc", PREFIX, 64 * WINDOW, folder, "code")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame, Path]:
    folder = tmp_path_factory.mktemp("parts")
    return *run(
        runner(folder), samples(8, 1), samples(6, 2), some_delta(), CLASSES, SETTINGS, 5
    ), folder


# --- regions
# --------------------------------------------------------------------------------------------------


def test_top_cells_are_those_of_largest_delta_and_never_of_none() -> None:
    delta = some_delta()[0]
    region = top_cells(delta, 0.1)
    assert region.sum() == round(0.1 * delta.size)
    assert delta[region].min() >= delta[~region].max()
    assert top_cells(np.where(region, delta, 0), 0.5).sum() == region.sum()


def layout(region: np.ndarray) -> np.ndarray:
    """Cells of a region per layer and block, (L, 3)."""
    return np.stack(
        [[(row & (blocks(WINDOW, PREFIX) == part)).sum() for part in range(3)] for row in region]
    )


@pytest.mark.parametrize("share", [0.02, 0.2, 0.8])
def test_controls_of_equal_count_have_the_layers_and_blocks_of_the_region(share: float) -> None:
    region = top_cells(some_delta()[0], share)
    draws = [random_region(region, PREFIX, np.random.default_rng(seed)) for seed in range(3)]
    for drawn in draws:
        np.testing.assert_array_equal(layout(drawn), layout(region))
        assert share > 0.5 or not (drawn & region).any()
    assert (draws[0] != draws[1]).any()


def test_controls_of_equal_attention_come_as_near_as_one_cell() -> None:
    mass = np.random.default_rng(1).random((LAYERS, CELLS))
    region = top_cells(mass, 0.05)
    drawn = random_region(region, PREFIX, np.random.default_rng(0), mass)
    assert not (drawn & region).any()
    assert drawn.sum() > region.sum()
    for layer in range(LAYERS):
        for part in range(3):
            here = blocks(WINDOW, PREFIX) == part
            assert (
                abs(
                    mass[layer, drawn[layer] & here].sum() - mass[layer, region[layer] & here].sum()
                )
                <= 0.5 * mass.max()
            )


def test_bands_hold_their_distances() -> None:
    queries, keys = query_key(WINDOW)
    band = distance_band(1, 3, 2, WINDOW)
    np.testing.assert_array_equal(band[1], np.isin(queries - keys, [1, 2, 3]))


def test_regions_know_what_the_model_reads_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noted(*arguments: object) -> list:
        asked.append(arguments[3])  # type: ignore[arg-type]
        return region_trials(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(experiment, "region_trials", noted)
    other = runner(tmp_path)
    begin_with(other.model, (5,))
    cells = packed_length(1 + WINDOW)
    delta = np.random.default_rng(0).random((len(CLASSES), LAYERS, cells))
    conditions, results = run(other, samples(4, 1), samples(4, 2), delta, CLASSES, SETTINGS, 5)
    assert asked == [1 + PREFIX]
    assert (conditions["kind"] == "delta").any()
    assert len(results) == 4 * len(conditions)
    with pytest.raises(EngramError, match="Δ has shape"):
        run(other, samples(4, 1), samples(4, 2), some_delta(), CLASSES, SETTINGS, 5)


# --- trials
# --------------------------------------------------------------------------------------------------


def test_every_layer_head_and_band_is_tried_alone() -> None:
    found = units(LAYERS, HEADS, WINDOW, SETTINGS.bands)
    assert [len(found[kind]) for kind in ("layer", "head", "band")] == [
        LAYERS,
        LAYERS * HEADS,
        3,
    ]  # one band lies beyond the window
    assert np.sum(list(found["head"].values()), axis=0).tolist() == [[1] * HEADS] * LAYERS
    trials = single_trials(found, ["remove"])
    assert [trial.kind for trial in trials].count("head") == LAYERS * HEADS
    assert found["head"]["2.3"].nonzero() == ([1], [2])


def test_units_are_ranked_by_cost_for_each_class() -> None:
    trials = single_trials(units(LAYERS, HEADS, WINDOW, SETTINGS.bands), ["remove"])
    cost = np.zeros((len(trials), 2))
    for position, trial in enumerate(trials):
        if trial.kind == "layer":
            cost[position] = [int(trial.region), -int(trial.region)]
    rankings = rank_units(trials, cost, CLASSES)
    assert rankings["layer", "A", "remove"] == ["3", "2", "1"]
    assert rankings["layer", "B", "remove"] == ["1", "2", "3"]


def test_samples_are_chosen_by_split_class_and_priority() -> None:
    split, label = np.array(["test", "test", "train", "test", "test"]), np.array([0, 0, 0, 1, 0])
    np.testing.assert_array_equal(
        choose(split, label, np.array([0.5, 0.1, 0.0, 0.9, 0.2]), "test", 2), [1, 3, 4]
    )


# --- the experiment
# --------------------------------------------------------------------------------------------------


def test_every_trial_has_a_row_per_sample(outcome: tuple[pd.DataFrame, pd.DataFrame, Path]) -> None:
    conditions, results, _ = outcome
    assert len(results) == 8 * len(conditions)
    assert not conditions.duplicated(list(COLUMNS)).any()
    counts = conditions["kind"].value_counts()
    assert counts["delta"] == 2 * 2 * 2
    assert counts["control_cells"] == counts["control_mass"] == 2 * 2 * 2 * 3
    assert counts["cumulative_layer"] == 2 * 2 * 3
    assert (results.groupby("condition")["kind"].first() == conditions["kind"]).all()


def test_results_are_those_of_the_conditions_they_name(
    outcome: tuple[pd.DataFrame, pd.DataFrame, Path],
) -> None:
    _, results, _ = outcome
    heads = np.zeros((LAYERS, HEADS), bool)
    heads[1, 2] = True
    means = average(gpt_neox(), samples(6, 2).tokens, 64 * WINDOW)
    ((_, expected),) = knock_out(
        gpt_neox(), samples(8, 1).tokens, PREFIX, [Condition("mean", heads=heads)], means
    )
    found = results.query("kind == 'head' and region == '2.3' and operation == 'mean'")
    np.testing.assert_allclose(found[list(MEASURES)].to_numpy(float), expected, atol=1e-5)


def test_a_second_run_computes_nothing_and_gives_the_same(
    outcome: tuple[pd.DataFrame, pd.DataFrame, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions, results, folder = outcome
    asked: list[int] = []

    def watch(model: object, tokens: object, prefix: int, todo: list, *rest: object) -> list:
        asked.append(len(todo))
        return []

    monkeypatch.setattr(kept_conditions, "knock_out", watch)
    again = run(runner(folder), samples(8, 1), samples(6, 2), some_delta(), CLASSES, SETTINGS, 5)
    assert asked == [0, 0]
    pd.testing.assert_frame_equal(again[0], conditions)
    pd.testing.assert_frame_equal(again[1], results)


def test_a_killed_experiment_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, limit = kept_conditions.knock_out, 5

    def dies(model: object, tokens: object, prefix: int, todo: list, *rest: object):  # type: ignore[no-untyped-def]
        for count, found in enumerate(original(model, tokens, prefix, todo, *rest)):  # type: ignore[arg-type]
            if count == limit:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(kept_conditions, "PART_SECONDS", 0.0)
    monkeypatch.setattr(kept_conditions, "knock_out", dies)
    tokens, conditions = (
        samples(3, 1).tokens,
        [Condition(cells=some_delta(seed)[0] > 0.8) for seed in range(8)],
    )
    means = average(gpt_neox(), tokens, 999)
    with pytest.raises(KeyboardInterrupt):
        runner(tmp_path).measure(tokens, conditions, means)
    limit = 99
    counted = []
    monkeypatch.setattr(
        kept_conditions, "knock_out", lambda *a: counted.append(len(a[3])) or original(*a)
    )
    resumed = runner(tmp_path).measure(tokens, conditions, means)
    assert counted == [3]
    np.testing.assert_allclose(
        resumed, runner(tmp_path / "fresh").measure(tokens, conditions, means), atol=1e-6
    )


def test_regions_of_blockwise_maps_are_whole_blocks_of_tokens(tmp_path: Path) -> None:
    spans = Spans(0, PREFIX, WINDOW - PREFIX, 3)
    delta = np.random.default_rng(3).random((len(CLASSES), LAYERS, spans.packed))
    few = SETTINGS.model_copy(update={"draws": 1, "operations": ["remove"], "curve_points": 1})
    own, test, ranking = runner(tmp_path), samples(4, 1), samples(4, 2)
    conditions, results = run(own, test, ranking, delta, CLASSES, few, 5, block=3)
    means = average(own.model, ranking.tokens, 64 * WINDOW)
    mass = pack(means.weights.mean(1)).numpy()
    region = spans.expand(top_cells(delta[1], 0.2))
    (row,) = conditions.query("kind == 'delta' and region == 'B' and size == 0.2").to_dict(
        "records"
    )
    assert row["cells"] == region.sum()
    assert row["mass"] == pytest.approx(mass[region].sum(), rel=1e-4)
    ((_, expected),) = knock_out(own.model, test.tokens, PREFIX, [Condition(cells=region)])
    found = results[results["condition"] == row["condition"]]
    np.testing.assert_allclose(found[list(MEASURES)].to_numpy(float), expected, atol=1e-5)
    bands = conditions.query("kind == 'band' and region == '0-0'")
    assert bands["cells"].tolist() == [LAYERS * WINDOW]
    with pytest.raises(EngramError, match="Δ has shape"):
        run(own, test, ranking, delta, CLASSES, few, 5)


def test_equal_cells_of_other_blocks_are_another_condition() -> None:
    cells = some_delta()[0] > 0.8
    conditions = [
        Condition(cells=cells, spans=Spans(0, 16, 16, block)) if block else Condition(cells=cells)
        for block in (0, 12, 14)
    ]
    assert len({condition_digest(condition, None) for condition in conditions}) == 3


def test_a_class_without_samples_is_named(tmp_path: Path) -> None:
    test = samples(4, 1)
    with pytest.raises(EngramError, match="class B has no test sample"):
        run(
            runner(tmp_path),
            Samples(test.sequence_id, test.content_group, 0 * test.label, test.tokens),
            test,
            some_delta(),
            CLASSES,
            SETTINGS,
            5,
        )


# --- effects and tables
# ------------------------------------------------------------------------------------------------


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
