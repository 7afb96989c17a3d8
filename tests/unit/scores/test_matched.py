"""The matched comparison: what predictability explains disappears, what it does not stays."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from engram.io.errors import EngramError
from engram.scores.matched_pairs import imbalance, matched_pairs, strata
from engram.scores.matched_table import (
    COLUMNS,
    Margins,
    TwoClasses,
    matched_properties,
    matched_table,
    resampled,
)
from engram.scores.settings import MatchedSettings

NAMES = ["Non-Memo", "Guess", "Others"]
SETTINGS = MatchedSettings(columns=("suffix_log_prob", "characters"))
OPTIONS = {"resamples": 300, "confidence": 0.95, "seed": 1}


def study(n: int = 3000, own: float = 0.0, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of an input that sees predictability, and `own` that nothing else sees; and the
    samples' properties. Guess is more predictable than Others.
    """
    random = np.random.default_rng(seed)
    code = random.integers(0, 3, n)
    split = random.choice(["train", "validation", "test"], n, p=[0.4, 0.2, 0.4])
    predictable = random.normal(size=n) + 1.5 * (code == 1)
    known = own * np.where(code == 1, 1, -1) + random.normal(size=n)
    frames = []
    for number in range(2):
        seen = 2 * predictable - 1.5 + 2 * known * (own > 0) + 0.3 * random.normal(size=n)
        logits = np.stack([np.full(n, 9.0), seen / 2, -seen / 2], axis=1)  # class 0 always wins
        frames.append(
            pd.DataFrame(
                {
                    "sequence_id": np.arange(n)[::-1],
                    "content_group": np.arange(n) // 2,
                    "split": split,
                    "class": np.array(NAMES, object)[code],
                    "input": "attention",
                    "labels": "real",
                    "cnn": "k6",
                    "seed": number,
                    "logits": list(logits),
                }
            )
        )
    shuffled = frames[0].assign(labels="shuffled")
    properties = pd.DataFrame(
        {
            "suffix_log_prob": predictable,
            "characters": (100 + 20 * random.normal(size=n)).round(),
            "kind": np.where(random.random(n) < 0.5, "natural", "list"),
        },
        index=pd.Index(np.arange(n)[::-1], name="sequence_id"),
    )
    return pd.concat([*frames, shuffled], ignore_index=True), properties


def compared(own: float, **changes: object) -> pd.DataFrame:
    predictions, properties = study(own=own)
    pair = TwoClasses.of(predictions, NAMES, ("Guess", "Others"))
    settings = SETTINGS.replace(**changes)
    return matched_table(pair, properties, ["kind"], settings, **OPTIONS)


def one(table: pd.DataFrame, **values: str) -> pd.Series:
    for name, value in values.items():
        table = table[table[name] == value]
    (row,) = (row for _, row in table.iterrows())
    return row


def test_what_predictability_explains_disappears() -> None:
    table = compared(own=0.0)
    for score in ("balanced_accuracy", "auroc"):
        whole = one(table, matching="none", input="attention", score=score)
        same = one(table, matching="all", input="attention", score=score)
        assert whole["value"] > 0.7 and whole["imbalance"] > 1
        assert same["value"] == pytest.approx(0.5, abs=0.04) and same["imbalance"] < 0.1
        assert same["verdict"] == "equivalent" and same["n"] < whole["n"]


def test_what_it_does_not_explain_stays() -> None:
    table = compared(own=1.0)
    same = one(table, matching="all", input="attention", score="balanced_accuracy")
    assert same["value"] > 0.7 and same["verdict"] == "different"
    assert same["difference"] == pytest.approx(same["value"] - same["rival_value"])
    assert same["difference_low"] < same["narrow_low"] < same["difference"]


def test_scores_without_matching_are_those_of_scikit_learn() -> None:
    predictions, _ = study(own=0.5)
    table = compared(own=0.5)
    test = predictions.query("split == 'test' and labels == 'real' and `class` != 'Non-Memo'")
    accuracies, areas = [], []
    for _, part in test.groupby("seed"):
        logits = np.stack(part["logits"].tolist())
        margin, true = logits[:, 1] - logits[:, 2], part["class"] == "Guess"
        accuracies.append(balanced_accuracy_score(true, margin > 0))
        areas.append(roc_auc_score(true, margin))
    for score, values in (("balanced_accuracy", accuracies), ("auroc", areas)):
        row = one(table, matching="none", input="attention", score=score)
        assert row["value"] == pytest.approx(np.mean(values))
        assert row["value_low"] < row["value"] < row["value_high"]
        assert row["cnns"] == 2 and row["n"] == len(test) / 2


def test_every_matching_input_and_score_has_a_row() -> None:
    table = compared(own=0.0)
    assert len(table) == 3 * 2 * 2 and table.columns.tolist() == COLUMNS
    assert set(table["matching"]) == {"none", "suffix_log_prob", "all"}
    rival = table[table["input"] == "predictability"]
    assert rival["difference"].isna().all() and rival["value"].notna().all()
    assert rival.loc[rival["matching"] == "none", "value"].min() > 0.7
    assert (table["bound"] == 0.05).all()


def test_few_pairs_are_inconclusive() -> None:
    table = compared(own=0.0, caliper=1e-6)
    few = table[(table["matching"] == "all") & (table["input"] == "attention")]
    assert (few["n"] < 20).all() and few["verdict"].eq("inconclusive").all()
    assert few["value"].isna().all()


def test_the_same_seed_gives_the_same_table() -> None:
    pd.testing.assert_frame_equal(compared(own=0.0), compared(own=0.0))


def test_pairs_are_as_many_and_as_close_as_can_be() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        label = np.array([0, 0, 0, 1, 1, 1, 1])
        value, stratum = random.normal(size=7), random.integers(0, 2, 7)
        found = matched_pairs(label, value, value[:, None], stratum, caliper=0.8)
        limit = 0.8 * np.sqrt(np.mean([value[label == k].var() for k in (0, 1)]))

        def fits(a: int, b: int, value=value, stratum=stratum, limit=limit) -> bool:
            return bool(stratum[a] == stratum[b] and abs(value[a] - value[b]) <= limit)

        most = max(
            sum(fits(a, b) for a, b in zip(range(3), order, strict=False))
            for order in itertools.permutations(range(3, 7), 3)
        )
        assert found[label == 0].sum() == found[label == 1].sum() == most


def test_of_close_pairs_those_are_taken_whose_columns_are_closest() -> None:
    """Two columns on scales a thousand apart, of the same weight."""
    random = np.random.default_rng(0)
    label, columns = np.repeat([0, 1], 300), random.normal(size=(600, 2)) * [1, 1000]
    columns[label == 1] += [0.5, 500]
    columns = np.concatenate([columns, columns[:, :1]], axis=1)  # one twice: no inverse
    anything = matched_pairs(label, np.zeros(600), columns, np.zeros(600, int), 1.0)
    assert anything.all()  # all pairs are close enough, so that distances decide nothing
    few = np.r_[0:100, 300:600]
    kept = matched_pairs(label[few], np.zeros(400), columns[few], np.zeros(400, int), 1.0)
    apart = imbalance(label[few], pd.DataFrame(columns[few]), kept)
    assert kept.sum() == 200 and apart.max() < 0.12


def test_a_class_without_samples_has_no_pairs() -> None:
    ones = np.ones(4, int)
    assert not matched_pairs(ones, 1.0 * ones, ones[:, None], ones, 1.0).any()
    assert imbalance(ones, pd.DataFrame({"a": ones}), ones == 1).isna().all()


def test_strata_are_combinations() -> None:
    labels = pd.DataFrame({"a": ["x", "x", "y", None], "b": [1, 2, 1, 1]})
    assert len(set(strata(labels, ["a", "b"]))) == 4
    assert len(set(strata(labels, ["a"]))) == 3
    assert set(strata(labels, [])) == {0}


def test_whole_groups_are_drawn() -> None:
    """Copies of a sample add no certainty."""
    random = np.random.default_rng(0)
    label, value = random.integers(0, 2, 200), random.normal(size=(1, 200))
    spread = {}
    for copies in (1, 5):
        margins = {"a": Margins(("c/0",), np.repeat(value, copies, axis=1))}
        group = np.repeat(np.arange(200), copies)
        drawn = resampled(margins, np.repeat(label, copies), group, 500, 1)
        spread[copies] = drawn["a"]["auroc"][1:].std()
        assert drawn["a"]["auroc"][0] == pytest.approx(roc_auc_score(label, value[0]))
    assert spread[5] == pytest.approx(spread[1])


def test_the_text_shown_comes_before_the_true_text() -> None:
    measured = pd.DataFrame({"sequence_id": [1, 2], "suffix_log_prob": [-0.1, -0.2]})
    labels = pd.DataFrame(
        {
            "sequence_id": [3, 2, 1],
            "suffix_log_prob": [-9.0, -9, -9],
            "rouge_l": [0.3, 0.2, 0.1],
            "kind": ["a", "b", "c"],
        }
    )
    settings = SETTINGS.replace(columns=("suffix_log_prob", "rouge_l"), exact=("kind", "absent"))
    found, exact = matched_properties(measured, labels, settings)
    assert found["suffix_log_prob"].tolist() == [-0.1, -0.2] and exact == ["kind"]
    assert found["rouge_l"].tolist() == [0.1, 0.2] and found["kind"].tolist() == ["c", "b"]
    with pytest.raises(EngramError, match=r"matched\.columns: `kind` is a numeric column of"):
        matched_properties(measured, labels, SETTINGS.replace(columns=("kind",)))


def test_shuffled_labels_and_other_classes_do_not_count() -> None:
    predictions, _ = study()
    pair = TwoClasses.of(predictions, NAMES, ("Others", "Guess"))
    assert list(pair.inputs) == ["attention"]
    expected = predictions[predictions["class"] != "Non-Memo"]["sequence_id"].unique()
    assert pair.samples["sequence_id"].tolist() == sorted(expected)
    with pytest.raises(EngramError, match="Recall is not among the classes"):
        TwoClasses.of(predictions, NAMES, ("Guess", "Recall"))


def test_a_rival_that_was_not_trained_is_refused() -> None:
    with pytest.raises(EngramError, match=r"matched\.rival: scalar_features is not among"):
        compared(own=0.0, rival="scalar_features")


def test_the_regression_is_fitted_on_the_training_split() -> None:
    """Properties that separate the classes in the test split alone do not help it."""
    predictions, properties = study()
    test = predictions.query("split == 'test' and seed == 0").set_index("sequence_id")["class"]
    guess = test.index[test == "Guess"]
    properties = properties.assign(suffix_log_prob=0.0)
    properties.loc[guess, "suffix_log_prob"] = expit(1)
    pair = TwoClasses.of(predictions, NAMES, ("Guess", "Others"))
    table = matched_table(pair, properties, [], SETTINGS, **OPTIONS)
    row = one(table, matching="none", input="predictability", score="balanced_accuracy")
    assert row["value"] == pytest.approx(0.5, abs=0.06)
