"""Runs resampled together: draws shared by text and by CNN, and sums over models."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_predictions

from engram.scores.metrics import table_scores
from engram.scores.runs import Run, resample, summed

CLASSES = tiny_predictions.CLASSES


def run(source: str = "", **settings: object) -> Run:
    return Run.of(tiny_predictions.predictions(**settings), CLASSES, source)  # type: ignore[arg-type]


def statistics(confusions: np.ndarray, run: Run) -> dict[str, np.ndarray]:
    return table_scores(confusions)


def test_counts_are_those_of_the_predictions() -> None:
    frame = tiny_predictions.predictions(per_class=6)
    counts = Run.of(frame, CLASSES).counts
    for (cnn, seed), part in frame.groupby(["cnn", "seed"], sort=False):
        place = list(dict.fromkeys(frame["cnn"] + "/" + frame["seed"].astype(str)))
        of_cnn = counts[place.index(f"{cnn}/{seed}")]
        for _, row in part.iterrows():
            group = list(dict.fromkeys(frame["content_group"])).index(row["content_group"])
            true, predicted = CLASSES.index(row["class"]), int(np.argmax(row["logits"]))
            of_cnn[group, true, predicted] -= 1
    assert not counts.any()


def test_drawn_confusions_are_sums_of_what_was_drawn() -> None:
    counts = run(per_class=6)
    random = np.random.default_rng(0)
    of_groups = random.integers(0, 3, (4, len(counts.groups))).astype(float)
    of_cnns = random.integers(0, 3, (4, len(counts.cnns))).astype(float)
    expected = np.einsum("rc,rg,cgkj->rkj", of_cnns, of_groups, counts.counts)
    np.testing.assert_allclose(counts.drawn(of_groups, of_cnns), expected)


def test_equal_runs_get_equal_draws_so_that_their_difference_is_0() -> None:
    values = resample({"a": run(), "b": run()}, statistics, resamples=50)["min_f1"]
    np.testing.assert_array_equal(values["a"].draws, values["b"].draws)
    assert values["a"].draws.std() > 0


def test_runs_without_a_shared_text_are_drawn_independently() -> None:
    apart = {"a": run("a", seeds=[0], cnns=["x"]), "b": run("b", seeds=[0], cnns=["y"])}
    values = resample(apart, statistics, resamples=2000)["balanced_accuracy"]
    assert abs(np.corrcoef(values["a"].draws, values["b"].draws)[0, 1]) < 0.1


def test_seed_decides_the_draws() -> None:
    first, again, other = (
        resample({0: run()}, statistics, resamples=30, seed=seed)["min_f1"][0].draws
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_summed_runs_have_the_groups_of_all_and_the_cnns_that_all_have() -> None:
    one = run("m", cnns=["a", "b"], seeds=[0])
    two = run("n", cnns=["b", "c"], seeds=[0], accuracy=0.4)
    both = summed([one, two])
    assert both.cnns == ("b/0",)
    assert both.groups == one.groups + two.groups
    np.testing.assert_array_equal(both.total, one.counts[1].sum(0) + two.counts[0].sum(0))


def test_a_text_that_several_models_have_is_drawn_once_for_all_of_them() -> None:
    """Three copies of one model are as sure as it is alone; drawn apart, they seem 1 / √3 as far
    from the truth.
    """
    one = run(per_class=40, accuracy=0.7, cnns=["k6"], seeds=[0])
    apart = [
        Run.of(
            tiny_predictions.predictions(per_class=40, accuracy=0.7, cnns=["k6"], seeds=[0]),
            CLASSES,
            model,
        )
        for model in "abc"
    ]
    runs = {"one": one, "shared": summed([one] * 3), "apart": summed(apart)}
    assert [part.smallest_class for part in runs.values()] == [40, 40, 120]
    values = resample(runs, statistics, resamples=1000)["balanced_accuracy"]
    spread = {name: value.draws.std() for name, value in values.items()}
    assert spread["shared"] == pytest.approx(spread["one"])
    assert spread["apart"] == pytest.approx(spread["one"] / np.sqrt(3), rel=0.1)
    assert values["one"].value == values["shared"].value == values["apart"].value
