"""Headline: order, points, chance."""

import numpy as np
import pandas as pd
import pytest

from engram.figures.headline import headline
from engram.io.errors import EngramError

BEST_FIRST = [
    "Non-Memo, Guess, Others",
    "Non-Memo, Reconstruct-or-Recollect[50], Others",
    "Non-Memo, Recite[1k], Code, Others",
]


def test_taxonomies_stand_best_first(scores, style):
    axes = headline(scores, style=style).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == BEST_FIRST
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_points_and_intervals_are_the_scores_in_percent(scores, style):
    axes = headline(scores, style=style).axes[0]
    for title, share in (("attention", 1), ("shuffled labels", 0.3), ("token identity", 0.6)):
        points = next(line.get_xydata() for line in axes.lines if line.get_label() == title)
        expected = {row: 100 * share * value for row, value in enumerate((0.9, 0.7, 0.5))}
        assert {int(row): x for x, row in points} == pytest.approx(expected)
    intervals = [segment[:, 0].tolist() for segment in axes.collections[-1].get_segments()]
    assert sorted(intervals) == [
        pytest.approx([100 * value - 3, 100 * value + 3]) for value in (0.5, 0.7, 0.9)
    ]


def test_a_run_whose_cnns_all_diverged_is_left_out(scores, style):
    lost = scores["labels"] == "shuffled"
    scores.loc[lost, "n"] = 0
    axes = headline(scores, style=style).axes
    assert "shuffled labels" not in [line.get_label() for line in axes[0].lines]
    assert axes[1].get_title(loc="left") == "n = 240"


def test_chance_is_one_over_the_number_of_classes(scores, style):
    axes = headline(scores, style=style).axes[0]
    marks = next(lines for lines in axes.collections if lines.get_label().startswith("chance"))
    drawn = {round(segment[:, 1].mean()): segment[0, 0] for segment in marks.get_segments()}
    assert drawn == pytest.approx({0: 100 / 3, 1: 100 / 3, 2: 25})


def test_every_model_and_protocol_has_both_metrics(scores, style):
    both = np.concatenate(
        [
            [axes.get_title(loc="left"), axes.get_xlabel()]
            for axes in headline(scores, style=style).axes
        ]
    )
    expected = [
        (model, "minimum F1 over classes (%)", "n = 240", "balanced accuracy (%)")
        for model in ("pythia-12b-deduped-v0", "nursery")
    ]
    assert both.tolist() == [text for group in expected for text in group]


def test_many_taxonomies_do_not_overlap(scores, style, overlapping):
    rows = scores[(scores["model"] == "nursery") & (scores["taxonomy"] == BEST_FIRST[1])]
    many = pd.concat(
        [
            rows.assign(taxonomy=f"Non-Memo, Reconstruct-or-Recollect[{i}], Others")
            for i in range(54)
        ]
    )
    assert overlapping(headline(many, style=style)) == []


def test_what_cannot_be_drawn_is_named(scores, style):
    with pytest.raises(EngramError, match="headline: the table has no rows"):
        headline(scores[:0], style=style)
    with pytest.raises(EngramError, match="headline: column min_f1_low is missing"):
        headline(scores.drop(columns="min_f1_low"), style=style)
    with pytest.raises(EngramError, match="no row has input attention and labels real"):
        headline(scores[scores["labels"] == "shuffled"], style=style)
