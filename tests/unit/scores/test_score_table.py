"""The table of scores and its intervals: a plain loop, clusters, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest

from engram.io.errors import EngramError
from engram.scores.bootstrap import Interval
from engram.scores.metrics import class_scores, table_scores
from engram.scores.runs import Run, score_intervals
from engram.scores.score_table import score_table

CLASSES = ["Non-Memo", "Guess", "Recall"]


def simulate(
    random: np.random.Generator, groups: int, cnns: int = 4, strength: float = 1.2
) -> np.ndarray:
    """Counts (C, G, 3, 3): samples of a group share its difficulty, each CNN has its own bias."""
    sizes = np.minimum(random.geometric(0.6, groups), 6)
    label = random.integers(0, 3, groups)
    of_group = random.normal(size=(groups, 3)) + strength * np.eye(3)[label]
    of_cnn = random.normal(0, 0.15, size=(cnns, 3))
    counts = np.zeros((cnns, groups, 3, 3), dtype=np.int64)
    for member in range(6):
        present = np.flatnonzero(sizes > member)
        noise = random.normal(0, 0.5, (1, groups, 3)) + random.normal(0, 0.7, (cnns, groups, 3))
        predicted = (of_group[None] + of_cnn[:, None] + noise).argmax(axis=-1)[:, present]
        for cnn in range(cnns):
            np.add.at(counts[cnn], (present, label[present], predicted[cnn]), 1)
    return counts


def intervals(counts: np.ndarray, **settings: float) -> dict[str, Interval]:
    """Intervals of the run that has these counts, (C, G, K, K)."""
    cnns, groups = counts.shape[:2]
    run = Run(tuple(map(str, range(cnns))), tuple(range(groups)), counts)
    return score_intervals(run, table_scores, **settings)  # type: ignore[arg-type]


def plain_interval(counts: np.ndarray, name: str, resamples: int, seed: int) -> tuple[float, float]:
    """The basic interval on the logit scale from draws that are summed one by one."""
    cnns, groups = counts.shape[:2]
    random = np.random.default_rng(seed)
    of_cnns = random.multinomial(cnns, np.full(cnns, 1 / cnns), resamples)
    of_groups = random.multinomial(groups, np.full(groups, 1 / groups), resamples)
    values = []
    for draw in range(resamples):
        total = np.zeros((3, 3))
        for cnn in np.repeat(np.arange(cnns), of_cnns[draw]):
            for group in np.repeat(np.arange(groups), of_groups[draw]):
                total += counts[cnn, group]
        values.append(float(table_scores(total)[name]))
    low, high = np.quantile(values, [0.025, 0.975])
    value = float(table_scores(counts.sum((0, 1)))[name])
    odds = (value / (1 - value)) ** 2
    return odds / (odds + high / (1 - high)), odds / (odds + low / (1 - low))


@pytest.mark.parametrize("name", ["min_f1", "balanced_accuracy"])
def test_intervals_are_those_of_a_plain_loop(name: str) -> None:
    counts = simulate(np.random.default_rng(1), groups=30, cnns=2)
    found = intervals(counts, resamples=120, seed=7)[name]
    assert found[1:] == pytest.approx(plain_interval(counts, name, 120, 7))


def test_value_is_the_score_of_all_counts() -> None:
    counts = simulate(np.random.default_rng(1), groups=30)
    found = intervals(counts, resamples=100)
    assert {name: value for name, (value, _, _) in found.items()} == pytest.approx(
        table_scores(counts.sum((0, 1)))
    )


def test_value_lies_in_its_interval() -> None:
    for seed in range(20):
        for value, low, high in intervals(
            simulate(np.random.default_rng(seed), 12), resamples=100
        ).values():
            assert 0 <= low <= value <= high <= 1


def test_copies_within_a_group_add_no_certainty() -> None:
    counts = simulate(np.random.default_rng(1), groups=60, cnns=1)
    once, twice = (intervals(c, resamples=300)["balanced_accuracy"] for c in (counts, 2 * counts))
    assert twice == pytest.approx(once)


def test_new_groups_add_certainty() -> None:
    counts = simulate(np.random.default_rng(1), groups=60, cnns=1)
    small, large = (
        intervals(c, resamples=500)["balanced_accuracy"]
        for c in (counts, np.tile(counts, (1, 4, 1, 1)))
    )
    assert (large[2] - large[1]) / (small[2] - small[1]) == pytest.approx(0.5, abs=0.07)


def test_cnns_that_differ_widen_the_interval() -> None:
    alike = np.repeat(simulate(np.random.default_rng(1), groups=200, cnns=1), 2, axis=0)
    differing = alike.copy()
    differing[1] = 0
    differing[1, :, :, 0] = alike[1].sum(axis=-1)  # the second CNN always says class 0
    widths = [
        high - low
        for _, low, high in (intervals(c, resamples=300)["mean_f1"] for c in (alike, differing))
    ]
    assert widths[1] > 3 * widths[0]


def test_score_that_no_draw_changes_is_a_point_within_and_wilsons_at_the_ends() -> None:
    constant = np.zeros((2, 30, 3, 3), dtype=np.int64)
    constant[:, :, 1, 0] = 1
    never = intervals(constant, resamples=100)["min_f1"]
    assert never[:2] == (0.0, 0.0) and never.high == pytest.approx(0.114, abs=1e-3)  # of 30 texts


@pytest.mark.parametrize("strength", [0.0, 2.5])
def test_nominal_95_percent_intervals_cover_the_truth(strength: float) -> None:
    random = np.random.default_rng(5)
    truth = table_scores(
        sum(simulate(random, 4000, strength=strength).sum((0, 1)) for _ in range(10))
    )
    names = ("balanced_accuracy", "min_f1", "mean_f1", "min_recall")
    covered = dict.fromkeys(names, 0)
    for trial in range(150):
        found = intervals(simulate(random, 100, strength=strength), resamples=250, seed=trial)
        for name in names:
            covered[name] += bool(found[name][1] <= truth[name] <= found[name][2])
    # 150 trials at 95 %: three standard errors are 5.3 points.
    assert min(covered.values()) / 150 >= 0.89, covered


def predictions(seed: int = 0) -> pd.DataFrame:
    """Two CNNs and two epochs on attention, one CNN on token identity, of 40 test and 40 train
    samples in groups of two.
    """
    random = np.random.default_rng(seed)
    frames = []
    attention = [("attention", cnn, epoch) for cnn in "ab" for epoch in (1, 2)]
    for source, cnn, epoch in [*attention, ("token_identity", "a", 1)]:
        rows = {
            "sequence_id": np.arange(80),
            "content_group": np.arange(80) // 2,
            "split": np.repeat(["test", "train"], 40),
        }
        rows |= {
            "class": np.array(CLASSES)[np.arange(80) % 3],
            "input": source,
            "labels": "real",
            "cnn": cnn,
            "seed": 0,
            "epoch": epoch,
        }
        frames.append(
            pd.DataFrame({**rows, "logits": list(random.normal(size=(80, 3)).astype(np.float32))})
        )
    return pd.concat(frames, ignore_index=True)


def test_table_scores_the_summed_test_predictions() -> None:
    frame = predictions()
    attention = frame[(frame["split"] == "test") & (frame["input"] == "attention")]
    total = np.zeros((3, 3))
    for _, row in attention.iterrows():
        total[CLASSES.index(row["class"]), int(np.argmax(row["logits"]))] += 1
    row = score_table(frame, CLASSES, resamples=100).iloc[0]
    assert row[list(class_scores(total))].to_dict() == pytest.approx(class_scores(total))


def test_table_has_a_row_for_each_input_and_counts_samples_groups_and_cnns() -> None:
    table = score_table(predictions(), CLASSES, resamples=100)
    found = table[["input", "labels", "n", "groups", "cnns"]].to_numpy().tolist()
    assert found == [["attention", "real", 40, 20, 2], ["token_identity", "real", 40, 20, 1]]


def test_seed_decides_the_table() -> None:
    tables = [score_table(predictions(), CLASSES, resamples=100, seed=seed) for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert (tables[0]["min_f1_low"] != tables[2]["min_f1_low"]).any()


def test_wider_confidence_gives_wider_intervals() -> None:
    narrow, wide = (
        score_table(predictions(), CLASSES, resamples=300, confidence=c).iloc[0]
        for c in (0.5, 0.99)
    )
    assert (
        wide["mean_f1_low"] < narrow["mean_f1_low"] < narrow["mean_f1_high"] < wide["mean_f1_high"]
    )


def test_confusions_of_groups_sum_to_all() -> None:
    run = predictions().query("input == 'attention' and split == 'test'")
    counts = Run.of(run, CLASSES).counts
    assert counts.shape == (2, 20, 3, 3)
    assert (counts.sum(axis=(2, 3)) == 4).all()  # two samples a group, two epochs


def test_no_test_predictions_is_an_error() -> None:
    with pytest.raises(EngramError, match="no row of the test split"):
        score_table(predictions().query("split == 'train'"), CLASSES)


def test_unknown_class_is_an_error() -> None:
    with pytest.raises(EngramError, match="class Recall is not among"):
        score_table(predictions(), CLASSES[:2])


def test_logits_that_are_not_finite_are_an_error() -> None:
    frame = predictions()
    frame.at[3, "logits"] = np.array([np.nan, 0, 0], np.float32)
    with pytest.raises(EngramError, match="1 of 160 rows have logits that are not finite"):
        score_table(frame, CLASSES)
