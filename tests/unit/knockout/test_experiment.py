"""The experiment: what is tried and on which samples, rankings on other samples, resuming."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_knockout import CLASSES, PREFIX, SETTINGS, WINDOW, runner, samples, some_delta
from tiny_models import HEADS, LAYERS, gpt_neox

from engram.io.errors import EngramError
from engram.io.packing import pack
from engram.io.spans import Spans
from engram.knockout import kept_conditions
from engram.knockout.experiment import Samples, choose, run
from engram.knockout.kept_conditions import condition_digest
from engram.knockout.regions import top_cells
from engram.knockout.trials import COLUMNS, rank_units, single_trials, units
from engram.lm.conditions import MEASURES, Condition
from engram.lm.interventions import average, knock_out


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
