"""Files of a trained grid: what others read, and what is left of CNNs that diverged."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open
from tiny_grid import DATA, DIVERGING, KEY, train

from engram.cnn.checkpoints import load_cnns
from engram.cnn.grid import GridResult
from engram.cnn.key import CnnKey
from engram.cnn.results import write_results
from engram.cnn.training import predict
from engram.io.artifacts import read_metadata, read_parquet
from engram.io.schema import SCHEMA_VERSION
from engram.scores.score_table import score_table


def test_checkpoints_give_the_predictions_on_disk(written: Path) -> None:
    predictions = read_parquet(written / "predictions.parquet")
    for key, cnn in load_cnns(written / "checkpoints.safetensors").items():
        mine = predictions[(predictions[list(vars(key))] == pd.Series(vars(key))).all(axis=1)]
        maps = DATA.maps(key.input, key.cnn.rsplit("-", 1)[1])
        rows = mine["sequence_id"].to_numpy() - 1000
        np.testing.assert_allclose(
            np.stack(mine["logits"].tolist()), predict(cnn, maps, rows), rtol=0, atol=1e-6
        )


def test_predictions_have_the_columns_that_others_read(written: Path) -> None:
    frame = read_parquet(written / "predictions.parquet")
    columns = [
        "sequence_id",
        "content_group",
        "split",
        "class",
        "input",
        "labels",
        "cnn",
        "seed",
        "epoch",
        "logits",
    ]
    assert list(frame.columns) == columns
    assert read_metadata(written / "predictions.parquet") == {
        "schema_version": SCHEMA_VERSION,
        "classes": ["Class 0", "Class 1", "Class 2"],
        "taxonomy": "A, B",
        "selection": "best_epoch",
        "diverged": [],
    }
    assert frame["logits"].iloc[0].dtype == np.float32


def test_predictions_name_the_true_class_under_shuffled_labels_too(written: Path) -> None:
    frame = read_parquet(written / "predictions.parquet").query("labels == 'shuffled'")
    expected = np.array(DATA.classes)[DATA.label[frame["sequence_id"] - 1000]]
    np.testing.assert_array_equal(frame["class"].to_numpy().astype(str), expected)


def test_history_has_the_columns_that_others_read(written: Path) -> None:
    history = pd.read_csv(written / "history.csv")
    assert list(history.columns) == [
        "input",
        "labels",
        "cnn",
        "seed",
        "epoch",
        "split",
        "loss",
        "accuracy",
        "selected",
    ]
    assert history["selected"].dtype == bool


def test_header_of_the_checkpoints_says_how_to_build_them(written: Path) -> None:
    with safe_open(written / "checkpoints.safetensors", "pt") as file:
        header = json.loads(file.metadata()["engram"])
    assert (header["layers"], header["tokens"], header["classes"]) == (
        2,
        16,
        ["Class 0", "Class 1", "Class 2"],
    )
    assert set(header["architectures"]) == {"k3-f6-mean", "k3-f6-max", "k3-f6"}


def test_results_can_be_scored(written: Path) -> None:
    path = written / "predictions.parquet"
    table = score_table(
        read_parquet(path), read_metadata(path)["classes"], resamples=100
    ).set_index(["input", "labels"])
    assert table.loc[("attention", "real"), "min_f1"] > 0.9
    assert table.loc[("attention", "shuffled"), "balanced_accuracy_low"] < 1 / 3


def test_diverged_cnn_is_in_the_history_alone(result: GridResult, tmp_path: Path) -> None:
    trained = {**result.trained, KEY: train(settings=DIVERGING)}
    paths = [
        tmp_path / name
        for name in ("checkpoints.safetensors", "history.csv", "predictions.parquet")
    ]
    write_results(replace(result, trained=trained), *paths, "A, B")
    assert KEY not in load_cnns(paths[0])
    assert (
        pd.read_csv(paths[1]).query("cnn == 'k3-f6-mean' and labels == 'real'")["loss"].isna().any()
    )
    assert not len(read_parquet(paths[2]).query("cnn == 'k3-f6-mean' and labels == 'real'"))


def test_diverged_cnns_are_counted_in_the_scores(result: GridResult, tmp_path: Path) -> None:
    """One of two CNNs on attention, and all of the control: neither may look as if nothing had
    happened.
    """
    lost = train(settings=DIVERGING)
    shuffled = [key for key in result.trained if key.labels == "shuffled"]
    paths = [
        tmp_path / name
        for name in ("checkpoints.safetensors", "history.csv", "predictions.parquet")
    ]
    write_results(
        replace(result, trained=result.trained | dict.fromkeys([KEY, *shuffled], lost)),
        *paths,
        "A, B",
    )
    keys = [CnnKey.of_path(key) for key in read_metadata(paths[2])["diverged"]]
    diverged = [(key.input, key.labels) for key in keys]
    table = score_table(read_parquet(paths[2]), DATA.classes, diverged, resamples=100).set_index(
        ["input", "labels"]
    )
    assert table[["cnns", "diverged"]].T.to_dict("list") == {
        ("attention", "real"): [1, 1],
        ("token_identity", "real"): [1, 0],
        ("attention", "shuffled"): [0, 2],
    }
    assert np.isnan(table.loc[("attention", "shuffled"), "min_f1"])
