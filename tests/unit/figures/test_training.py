"""Training curves: lines, means, reported epochs."""

import numpy as np
import pandas as pd
import pytest

from engram.figures.training import nursery_training, training_curves
from engram.io.errors import EngramError


def test_bold_lines_are_means_over_cnns(history, style):
    axes = training_curves(history, style=style).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    for split in ("train", "validation"):
        mine = history[
            (history["input"] == "attention")
            & (history["labels"] == "real")
            & (history["split"] == split)
        ]
        np.testing.assert_allclose(drawn[split], mine.groupby("epoch")["loss"].mean())


def test_dots_are_the_reported_epochs_of_every_cnn(history, style):
    dots = [
        line.get_xdata().tolist()
        for line in training_curves(history, style=style).axes[0].lines
        if line.get_marker() == "o"
    ]
    assert dots == [[2], [2], [2]]


def test_without_validation_the_test_split_is_drawn(history, style):
    axes = training_curves(history.replace({"split": {"validation": "test"}}), style=style).axes[0]
    assert {"train", "test"} == {
        line.get_label() for line in axes.lines if not line.get_label().startswith("_")
    }


def test_columns_are_the_runs_and_rows_loss_and_accuracy(history, style):
    figure = training_curves(history, style=style)
    assert [axes.get_title().strip() for axes in figure.axes] == [
        "attention",
        "shuffled labels",
        "token identity",
        "",
        "",
        "",
    ]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == [
        "loss (nats per sample)",
        "accuracy (%)",
    ]


def test_accuracy_is_in_percent(history, style):
    axes = training_curves(history[history["labels"] == "real"], style=style).axes[2]
    drawn = next(line.get_ydata() for line in axes.lines if line.get_label() == "train")
    np.testing.assert_allclose(drawn, [100 * (1 - 0.6 / epoch) for epoch in range(1, 5)])


def test_what_cannot_be_drawn_is_named(history, style):
    with pytest.raises(EngramError, match="training_curves: the table has no rows"):
        training_curves(history[:0], style=style)
    with pytest.raises(EngramError, match="training_curves: input pixels"):
        training_curves(history.assign(input="pixels"), style=style)
    with pytest.raises(EngramError, match="no loss curve"):
        nursery_training({}, style=style)
    with pytest.raises(EngramError, match="nursery_training: column tokens is missing"):
        nursery_training({"base": pd.DataFrame({"loss": [1.0]})}, style=style)


def test_nursery_loss_is_drawn_over_millions_of_tokens(style):
    curve = pd.DataFrame({"tokens": [1_000_000, 2_000_000], "loss": [5.0, 2.5]})
    figure = nursery_training({"base": curve, "drilling": curve / 2}, style=style)
    assert [axes.lines[0].get_xydata().tolist() for axes in figure.axes] == [
        [[1, 5], [2, 2.5]],
        [[0.5, 2.5], [1, 1.25]],
    ]
