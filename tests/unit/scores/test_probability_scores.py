"""Log-loss, AUROC and calibration with intervals: a plain loop, clusters, CNNs."""

import numpy as np
import pandas as pd
import pytest
import tiny_predictions

from engram.scores.bootstrap import logit_basic_interval
from engram.scores.probability_metrics import (
    auroc_one_vs_rest,
    calibration_error,
    log_loss,
    reliability_sums,
)
from engram.scores.probability_scores import ProbabilityScores, probability_scores

CLASSES = tiny_predictions.CLASSES
RUN = tiny_predictions.predictions(per_class=10, cnns=["a", "b"], seeds=[0])


def scores(run: pd.DataFrame = RUN, **changes: float) -> ProbabilityScores:
    return probability_scores(run, CLASSES, **({"resamples": 200, "seed": 3} | changes))  # type: ignore[arg-type]


def test_values_are_means_over_cnns() -> None:
    found, label = scores(), RUN["class"].map(CLASSES.index).to_numpy()[: len(RUN) // 2]
    logits = [np.stack(part["logits"].tolist()) for _, part in RUN.groupby("cnn")]
    assert found.log_loss[0] == pytest.approx(np.mean([log_loss(own, label) for own in logits]))
    assert found.auroc[0] == pytest.approx(
        np.mean([auroc_one_vs_rest(own, label) for own in logits])
    )
    assert found.ece[0] == pytest.approx(
        np.mean([calibration_error(reliability_sums(own, label)) for own in logits])
    )
    assert [area[0] for area in found.areas] == pytest.approx(
        np.mean([auroc_one_vs_rest(own, label) for own in logits], axis=0)
    )


def test_intervals_are_those_of_a_plain_loop() -> None:
    """Draws repeated row by row and scored by the unweighted functions."""
    found, random, resamples = scores(), np.random.default_rng(3), 200
    group, groups = pd.factorize(RUN["content_group"])
    of_cnns = random.multinomial(2, [0.5, 0.5], resamples)
    of_groups = random.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), resamples)
    drawn: dict[str, list[float]] = {"auroc": [], "ece": []}
    for draw in range(resamples):
        values: dict[str, list[float]] = {"auroc": [], "ece": []}
        for cnn, times in zip("ab", of_cnns[draw], strict=True):
            rows = np.flatnonzero(RUN["cnn"] == cnn)
            rows = np.repeat(rows, of_groups[draw][group[rows]])
            logits, label = (
                np.stack(RUN["logits"].iloc[rows].tolist()),
                RUN["class"].iloc[rows].map(CLASSES.index).to_numpy(),
            )
            values["auroc"] += times * [
                np.nan_to_num(auroc_one_vs_rest(logits, label), nan=0.5).mean()
            ]  # a class may be missing
            values["ece"] += times * [calibration_error(reliability_sums(logits, label))]
        for name, parts in values.items():
            drawn[name].append(float(np.mean(parts)))
    for name, parts in drawn.items():
        assert getattr(found, name) == pytest.approx(
            logit_basic_interval(getattr(found, name)[0], np.array(parts), 0.95, 1 / 60)
        )


def test_ends_surround_the_value_within_the_scale() -> None:
    for value, low, high in (*(found := scores()).areas, found.auroc, found.ece):
        assert 0 <= low <= value <= high <= 1
    assert found.log_loss[1] < found.log_loss[0] < found.log_loss[2]


def test_copies_within_a_group_add_no_certainty() -> None:
    once, twice = scores(), scores(pd.concat([RUN, RUN]))
    assert twice.log_loss == pytest.approx(once.log_loss)
    assert twice.auroc == pytest.approx(
        once.auroc, abs=1e-3
    )  # half a sample, the end of the scale, differs


def test_cnns_that_differ_widen_the_interval() -> None:
    alike = pd.concat([RUN[RUN["cnn"] == "a"].assign(cnn=name) for name in "ab"])
    differing = pd.concat(
        [
            RUN[RUN["cnn"] == "a"],
            tiny_predictions.predictions(1 / 3, per_class=10, cnns=["b"], seeds=[0], seed=9),
        ]
    )
    widths = [found.auroc[2] - found.auroc[1] for found in (scores(alike), scores(differing))]
    assert widths[1] > 1.3 * widths[0]
