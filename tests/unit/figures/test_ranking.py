"""Ranking, pairs, thresholds, what attention adds, protocols, reliability: drawn from tables as the
benchmark makes them.
"""

import numpy as np
import pandas as pd
import pytest

from engram.figures.contrasts import attention_adds, protocols, reliability
from engram.figures.ranking import comparisons, ranking, thresholds
from engram.io.errors import EngramError

NAMES = [
    "Non-Memo, Guess, Others",
    "Non-Memo, Reconstruct-or-Recollect[50], Others",
    "Non-Memo, Recite[1k], Code, Others",
]
GROUPS = [("pythia-12b-deduped-v0", "engram"), ("all", "engram")]


def spread(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - 0.05, f"{name}_high": value + 0.05}


@pytest.fixture
def table() -> pd.DataFrame:
    rows = []
    for models, protocol in GROUPS:
        for rank, name in enumerate(NAMES, 1):
            row = {
                "models": models,
                "protocol": protocol,
                "taxonomy": name,
                "rank": rank,
                "rank_low": 1,
                "rank_high": 3,
            }
            rows.append(
                row
                | spread("min_f1", 0.9 - 0.2 * rank)
                | {"published_min_f1": 0.8 if rank < 3 else np.nan}
            )
    return pd.DataFrame(rows)


def pairs(count: int) -> pd.DataFrame:
    names = [f"Non-Memo, Recite[{i}], Others" for i in range(count)]
    rows = [
        {
            "models": "m",
            "protocol": "engram",
            "score": "min_f1",
            "first": a,
            "second": b,
            "difference": 0.1 * (j - i),
            "different": j > i + 1,
        }
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i < j
    ]
    return pd.DataFrame(rows)


def test_ranking_draws_every_taxonomy_best_first(table, style, overlapping):
    figure = ranking(table, style=style)
    for axes in figure.axes:
        assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
        own = next(line for line in axes.lines if line.get_label() == "here")
        assert own.get_xdata() == pytest.approx([70, 50, 30])
    assert overlapping(figure) == []


def test_pairs_that_differ_are_framed(style):
    figure = comparisons(pairs(4), "min_f1", style=style)
    assert len(figure.axes[0].patches) == 2 * 3
    values = np.asarray(figure.axes[0].images[0].get_array())
    assert values[0, 3] == pytest.approx(30)
    assert values[3, 0] == pytest.approx(-30)


def test_a_difference_that_rounds_to_nothing_has_no_sign(style):
    table = pairs(4).assign(difference=0.004)
    assert {
        text.get_text() for text in comparisons(table, "min_f1", style=style).axes[0].texts
    } == {"0"}


def test_many_pairs_are_drawn_without_numbers(style):
    assert len(comparisons(pairs(30), "min_f1", style=style).axes[0].texts) == 0


def test_thresholds_have_a_line_per_kind(style, overlapping):
    rows = [
        {
            "models": "m",
            "protocol": "engram",
            "kind": kind,
            "rho": rho,
            "published_min_f1": 0.8,
            "published_mean_f1": 0.9,
        }
        | spread("min_f1", 0.5 + rho / 10)
        | spread("mean_f1", 0.6)
        for kind in ("rouge_l", "both")
        for rho in (0.3, 0.5)
    ]
    figure = thresholds(pd.DataFrame(rows), style=style)
    assert len(figure.axes[0].containers) == 2
    assert overlapping(figure) == []


def test_attention_adds_has_a_mark_per_baseline(style):
    rows = [
        {
            "model": "m",
            "protocol": "engram",
            "taxonomy": name,
            "input": run[0],
            "labels": run[1],
            "score": score,
        }
        | {"difference": 0.1, "simultaneous_low": -0.1, "simultaneous_high": 0.3}
        for name in NAMES
        for run in (
            ("attention", "shuffled"),
            ("token_identity", "real"),
            ("hidden_states", "real"),
            ("text", "real"),
        )
        for score in ("balanced_accuracy", "min_f1")
    ]
    figure = attention_adds(pd.DataFrame(rows), style=style)
    labels = [
        line.get_label() for line in figure.axes[0].lines if not line.get_label().startswith("_")
    ]
    assert labels == ["shuffled labels", "token identity", "hidden states", "text, attention added"]


def test_protocols_are_drawn_beside_one_another(style, overlapping):
    rows = [
        {"model": "m", "taxonomy": name, "protocol": protocol}
        | spread("min_f1", 0.5)
        | spread("balanced_accuracy", 0.6)
        for name in NAMES
        for protocol in ("engram", "paper")
    ]
    figure = protocols(pd.DataFrame(rows), style=style)
    assert [line.get_label() for line in figure.axes[0].lines] == ["engram", "paper"]
    assert overlapping(figure) == []


def test_reliability_has_a_line_per_taxonomy(style):
    rows = [
        {
            "model": "m",
            "protocol": "engram",
            "taxonomy": name,
            "bin": 0.1 * i,
            "predictions": 10,
            "confidence": 0.1 * i,
            "accuracy": 0.5,
        }
        for name in NAMES
        for i in range(4, 11)
    ]
    assert len(reliability(pd.DataFrame(rows), style=style).axes[0].lines) == 1 + len(NAMES)


@pytest.mark.parametrize("draw", [ranking, thresholds, attention_adds, protocols, reliability])
def test_an_empty_table_is_refused(draw, style):
    with pytest.raises(EngramError, match="figure"):
        draw(pd.DataFrame(), style=style)
