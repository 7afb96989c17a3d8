"""The figure of transfer, from a table as the script writes it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from run_script import run_script
from tiny_predictions import CLASSES, predictions

from engram.figures.style import FigureStyle
from engram.figures.transfer import transfer
from engram.io.artifacts import write_parquet
from engram.io.errors import EngramError

STYLE = FigureStyle()
KINDS = {"name": "code", "train": "is_code", "test": "not is_code", "classes": ["Others"]}
BACK = {**KINDS, "train": KINDS["test"], "test": KINDS["train"]}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return what `score_transfer` writes: two directions of one pair of kinds in one model, and
    two other models, one refused, tested on it."""
    folder = tmp_path_factory.mktemp("transfer")
    metadata = {"classes": list(CLASSES), "taxonomy": ", ".join(CLASSES)}
    files: dict[str, list[str]] = {"predictions": [], "reversed": [], "samples": []}

    def write(frame: pd.DataFrame, name: str, **more: Any) -> str:
        write_parquet(frame, folder / name, metadata | more)
        return str(folder / name)

    runs = []
    for number, kinds in enumerate((KINDS, BACK)):
        parts = [predictions(0.8, seed=number), predictions(0.5, run=("text", "real"))]
        frame = pd.concat([*parts, predictions(0.33, run=("attention", "shuffled"), seed=9)])
        ids = frame["sequence_id"].drop_duplicates()
        home = ids % 2 == number
        listed = pd.DataFrame({"sequence_id": ids, "at_home": home, "elsewhere": ~home})
        files["predictions"].append(write(frame, f"{number}.parquet"))
        files["samples"].append(write(listed, f"samples{number}.parquet"))
        runs.append({"model": "a", "protocol": "", "taxonomy": "t", "kinds": kinds})
    files["reversed"] = files["predictions"][::-1]
    moved = predictions(0.33, seed=4).assign(trained_on="b")
    facts = {"b": {"layers": 2, "refused": ""}, "c": {"layers": 2, "refused": "one more token"}}
    files["transferred"] = [write(moved, "moved.parquet", sources=facts, layers=4)]
    files["own"] = files["predictions"][:1]
    settings = {"kinds": runs, "models": [{"model": "a"}], "seed": 0}
    settings["statistics"] = {"resamples": 100, "confidence": 0.95}
    output = {"table": folder / "transfer.csv"}
    run_script("score_transfer", files, output, settings)
    return pd.read_csv(output["table"])


def test_the_table_names_where_classifiers_come_from(table: pd.DataFrame) -> None:
    rows = table[(table["score"] == "balanced_accuracy") & (table["input"] == "attention")]
    rows = rows[rows["labels"] == "real"].set_index(["trained_on", "tested_on"])
    elsewhere = rows.loc[("is_code", "not is_code")]
    assert (elsewhere["n"], elsewhere["classes"], elsewhere["transfer"]) == (60, "Others", "code")
    assert elsewhere["own"] > 0.6 and rows.loc[("is_code", "is_code")].isna()["own"]
    # What is at home in one direction is the rival of the other one.
    home = rows.loc[("not is_code", "not is_code"), "value"]
    assert elsewhere["own"] == pytest.approx(home)
    moved = rows.loc[("b", "a")]
    assert (moved["trained_layers"], moved["tested_layers"]) == (2, 4) and moved["p"] > 0.05
    assert table.set_index("trained_on").loc["c", "refused"] == "one more token"


def test_every_tested_kind_and_model_has_a_panel(table: pd.DataFrame) -> None:
    figure = transfer(table, style=STYLE)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "tested on is_code · a · n = 60",
        "tested on not is_code · a · n = 60",
        "tested on a · n = 120",
    ]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["attention", "shuffled labels", "text"]
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert legends[0] == ["from is_code", "from not is_code"]
    assert legends[2] == ["trained here", "from b"]


def test_where_every_model_is_refused_there_is_an_empty_figure(table: pd.DataFrame) -> None:
    refused = table[table["n"] == 0]
    assert not transfer(refused, style=STYLE).axes


def test_a_missing_column_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(EngramError, match="figure transfer: column null_95 is missing"):
        transfer(table.drop(columns="null_95"), style=STYLE)
