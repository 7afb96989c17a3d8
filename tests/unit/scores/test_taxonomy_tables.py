"""Tables of taxonomies: the same numbers as scikit-learn from predictions.parquet, published rows
next to them, aliases relabelled.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_predictions
from scipy.special import softmax
from scored_taxonomies import DRAWS, NAMES, read
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from engram.io.artifacts import write_parquet
from engram.io.errors import EngramError
from engram.scores import taxonomy_tables
from engram.scores.metrics import class_scores
from engram.scores.trained import Trained, read_trained, score_together, text_keys
from engram.taxonomy.partitions import Named, merge_equal
from engram.taxonomy.taxonomy import Taxonomy

PUBLISHED = Path(__file__).parents[3] / "resources" / "published"
PUBLISHED_TABLE = pd.read_csv(PUBLISHED / "taxonomy_scores.csv")


@pytest.fixture(scope="module")
def table(trained: list[Trained], names: list[Named]) -> pd.DataFrame:
    return taxonomy_tables.taxonomy_table(
        score_together(trained, **DRAWS), names, pd.read_csv(PUBLISHED / "taxonomy_scores.csv")
    )


def row_of(table: pd.DataFrame, models: str, taxonomy: str) -> pd.Series:
    found = table[(table["models"] == models) & (table["taxonomy"] == taxonomy)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("models", ["pythia-12b-deduped-v0", "other", "all"])
@pytest.mark.parametrize("taxonomy", NAMES[:2])
def test_scores_equal_scikit_learn(
    files: list[Path], table: pd.DataFrame, models: str, taxonomy: str
) -> None:
    mine = [
        path
        for path in files
        if Taxonomy.parse(taxonomy).slug in path.parts and models in (path.parts[-5], "all")
    ]
    frame = pd.concat([pd.read_parquet(path) for path in mine])
    frame = frame[(frame["input"] == "attention") & (frame["labels"] == "real")]
    classes = taxonomy.split(", ")
    true = frame["class"].map(classes.index).to_numpy()
    logits = np.stack(frame["logits"].tolist())
    predicted, row = logits.argmax(axis=1), row_of(table, models, taxonomy)
    for name, function in (
        ("f1", f1_score),
        ("precision", precision_score),
        ("recall", recall_score),
    ):
        values = function(true, predicted, average=None)
        assert row[f"min_{name}"] == pytest.approx(values.min(), abs=1e-12)
        assert row[f"mean_{name}"] == pytest.approx(values.mean(), abs=1e-12)
    assert row["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(true, predicted), abs=1e-12
    )
    weights = np.array([800, {"Guess": 50, "Recite[5]": 100}[classes[1]], 150])[true]
    assert row["natural_mean_f1"] == pytest.approx(
        f1_score(true, predicted, average="macro", sample_weight=weights), abs=1e-12
    )
    assert row["log_loss"] == pytest.approx(
        log_loss(true, softmax(logits.astype(float), axis=1)), rel=1e-9
    )
    areas = []
    for _, part in frame.assign(model=np.repeat(range(len(mine)), len(frame) // len(mine))).groupby(
        ["model", "cnn", "seed"]
    ):
        probabilities = softmax(np.stack(part["logits"].tolist()).astype(float), axis=1)
        areas.append(
            roc_auc_score(
                part["class"].map(classes.index), probabilities, multi_class="ovr", average="macro"
            )
        )
    assert row["auroc"] == pytest.approx(np.mean(areas), abs=1e-12)


def test_intervals_and_ranks_hold_their_values(table: pd.DataFrame) -> None:
    for name in (
        "min_f1",
        "mean_f1",
        "balanced_accuracy",
        "natural_accuracy",
        "rank",
        "natural_min_f1",
    ):
        assert (table[f"{name}_low"] <= table[name]).all(), name
        assert (table[name] <= table[f"{name}_high"]).all(), name


def test_an_alias_has_the_scores_of_what_was_trained(
    table: pd.DataFrame, trained: list[Trained], names: list[Named]
) -> None:
    own, alias = (row_of(table, "other", name) for name in NAMES[1:])
    assert alias["trained_as"] == NAMES[1]
    assert (own["min_f1"], own["rank"]) == (alias["min_f1"], alias["rank"])
    classes = taxonomy_tables.class_table(score_together(trained, **DRAWS), names)
    f1 = {
        name: part.set_index("class")["f1"]
        for name, part in classes[classes["models"] == "other"].groupby("taxonomy")
    }
    assert f1[NAMES[2]]["Recollect[5]"] == f1[NAMES[1]]["Others"]
    assert f1[NAMES[2]]["Others"] == f1[NAMES[1]]["Recite[5]"]


def test_published_rows_stand_beside_the_same_model(table: pd.DataFrame) -> None:
    published = pd.read_csv(PUBLISHED / "taxonomy_scores.csv").set_index(["models", "taxonomy"])[
        "min_f1"
    ]
    for models, label in (("pythia-12b-deduped-v0", "12b"), ("other", "all"), ("all", "all")):
        row = row_of(table, models, NAMES[2])
        assert row["published_models"] == label
        assert row["published_min_f1"] == pytest.approx(published[label, NAMES[2]] / 100)


def test_every_published_matrix_gives_the_published_row() -> None:
    rows = pd.read_csv(PUBLISHED / "taxonomy_scores.csv")
    rows = rows[rows["models"] == "all"].set_index("taxonomy")
    matrices = json.loads((PUBLISHED / "confusions_3_classes.json").read_text())
    assert len(matrices) == 27
    for entry in matrices:
        scores = class_scores(np.array(entry["confusion"]))
        for name, value in scores.items():
            assert f"{100 * value:.1f}" == f"{rows.loc[entry['taxonomy'], name]:.1f}", (
                entry["taxonomy"],
                name,
            )


def test_thresholds_stand_beside_the_published_ones(tmp_path: Path) -> None:
    rho = {"rouge_l": [0.6], "rouge_3": [], "both": [0.6]}
    taxonomies = [
        Taxonomy.parse(f"Non-Memo, Guess[{value}], Others") for value in ("0.6-*", "0.6-0.6")
    ]
    parts = []
    for taxonomy in taxonomies:
        path = tiny_predictions.write(
            [tiny_predictions.predictions(classes=taxonomy.class_names)],
            tmp_path,
            taxonomy.name,
            taxonomy.slug,
        )
        parts.append(read(path, dict.fromkeys(taxonomy.class_names, 10)))
    table = taxonomy_tables.rho_table(
        score_together(parts, **DRAWS),
        merge_equal(taxonomies),
        rho,
        pd.read_csv(PUBLISHED / "rho_scores.csv"),
    )
    assert table[["kind", "rho", "published_min_f1"]].to_numpy().tolist() == [
        ["rouge_l", 0.6, 0.89],
        ["both", 0.6, 0.892],
    ]


@pytest.mark.parametrize("models", ["pythia-12b-deduped-v0", "other", "all"])
def test_confusions_are_those_of_scikit_learn(
    files: list[Path], trained: list[Trained], models: str
) -> None:
    table = taxonomy_tables.confusion_table(score_together(trained, **DRAWS))
    slug = Taxonomy.parse(NAMES[0]).slug
    chosen = [path for path in files if slug in path.parts and models in (path.parts[-5], "all")]
    frame = pd.concat([pd.read_parquet(path) for path in chosen])
    classes, panels = taxonomy_tables.confusion_panels(table, models, "engram", slug)
    assert classes == NAMES[0].split(", ")
    assert list(panels) == ["attention", "shuffled labels", "token identity"]
    for run, counts in zip(
        [("attention", "real"), ("attention", "shuffled"), ("token_identity", "real")],
        panels.values(),
        strict=True,
    ):
        rows = frame[(frame["input"] == run[0]) & (frame["labels"] == run[1])]
        predicted = np.array(classes)[np.stack(rows["logits"].tolist()).argmax(axis=1)]
        np.testing.assert_array_equal(
            counts, confusion_matrix(rows["class"], predicted, labels=classes)
        )
    own = table[(table["models"] == models) & (table["slug"] == slug)]
    of_classes = own.groupby(["input", "labels", "class"])["share"].sum()
    assert of_classes.to_numpy() == pytest.approx(1)


def test_summed_confusions_give_the_scores_of_all_models(
    trained: list[Trained], table: pd.DataFrame
) -> None:
    confusions = taxonomy_tables.confusion_table(score_together(trained, **DRAWS))
    for name in NAMES[:2]:
        slug = Taxonomy.parse(name).slug
        _, panels = taxonomy_tables.confusion_panels(confusions, "all", "engram", slug)
        expected = class_scores(panels["attention"])["min_f1"]
        assert row_of(table, "all", name)["min_f1"] == pytest.approx(expected)


def test_calibration_counts_every_prediction(trained: list[Trained], names: list[Named]) -> None:
    table = taxonomy_tables.calibration_table(trained, names)
    assert (table.groupby(["model", "taxonomy"])["predictions"].sum() == 120 * 4).all()
    assert table["confidence"].between(table["bin"] - 0.1, table["bin"]).all()


def test_predictions_without_attention_are_refused(tmp_path: Path) -> None:
    path = tiny_predictions.write(
        [tiny_predictions.predictions(run=("token_identity", "real"))], tmp_path, NAMES[0], "slug"
    )
    with pytest.raises(EngramError, match="no test prediction on attention"):
        read(path, dict.fromkeys(tiny_predictions.CLASSES, 1))


def test_models_share_the_texts_whose_suffix_they_have_in_common(tmp_path: Path) -> None:
    """Content groups are numbered by each model for itself; the tokens decide."""
    tokens = np.random.default_rng(0).integers(0, 99, (4, 12))
    keys = {}
    for model, order in (("a", [0, 1, 2]), ("b", [2, 3, 0, 0])):
        ids = np.arange(len(order)) + 50
        table = pd.DataFrame({"sequence_id": ids, "tokens": list(tokens[order])})
        write_parquet(table, tmp_path / f"{model}.parquet")
        groups = pd.Series(pd.factorize(np.array(order))[0], index=ids)
        keys[model] = text_keys(tmp_path / f"{model}.parquet", groups, prefix=4)
    assert keys["a"].index.tolist() == [0, 1, 2] and keys["b"].index.tolist() == [0, 1, 2]
    assert keys["a"][2] == keys["b"][0] and keys["a"][0] == keys["b"][2]
    assert len({*keys["a"], *keys["b"]}) == 4
    frame = tiny_predictions.predictions(0.8, per_class=1)
    frame = frame.assign(content_group=frame["sequence_id"].rank(method="dense").astype(int) - 1)
    sizes = dict.fromkeys(tiny_predictions.CLASSES, 10)
    runs = []
    for model in "ab":
        slug = Taxonomy.parse(NAMES[0]).slug
        path = tiny_predictions.write([frame], tmp_path, NAMES[0], slug, model=model)
        runs.append(
            read_trained(path, model, "engram", slug, sizes, keys[model], confidence=0.95, **DRAWS)
        )
    first, second = (set(part.runs["attention", "real"].groups) for part in runs)
    assert len(first) == len(second) == 3 and len(first & second) == 2
    (both,) = (part for part in score_together(runs, **DRAWS) if part.models == "all")
    sizes_of = taxonomy_tables.taxonomy_table(
        [both], merge_equal([Taxonomy.parse(NAMES[0])]), PUBLISHED_TABLE
    )
    assert sizes_of["groups"].iloc[0] == 4 and sizes_of["n"].iloc[0] == 6


def test_natural_scores_are_those_of_a_plain_draw(files: list[Path], names: list[Named]) -> None:
    sizes = {"Non-Memo": 800, "Guess": 50, "Others": 150}
    plain = {"Non-Memo": 97, "Guess": 1, "Others": 2}
    run = files[0].parts[-5], files[0].parts[-4], files[0].parts[-2]
    for natural in (plain, None, dict.fromkeys(sizes, 0)):
        part = read_trained(files[0], *run, sizes, natural=natural, confidence=0.95, **DRAWS)
        scores = score_together([part], **DRAWS)
        table = taxonomy_tables.taxonomy_table(scores, names, PUBLISHED_TABLE)
        classes = taxonomy_tables.class_table(scores, names)
        assert classes["candidates"].tolist() == list(sizes.values())
        known = natural is plain
        assert ("natural_accuracy" in table) is known
        assert classes["natural_share"].notna().all() == known
        if known:
            assert classes["natural_share"].tolist() == [0.97, 0.01, 0.02]
            recall = classes["recall"].to_numpy()
            expected = float(recall @ [0.97, 0.01, 0.02])
            assert table["natural_accuracy"].iloc[0] == pytest.approx(expected)
