"""The main result in two sentences, and how the report opens with it."""

from __future__ import annotations

import base64
from pathlib import Path

import pandas as pd
import pytest
from docutils.core import publish_parts
from jinja2 import Environment

from engram.crossed.findings import opening, sentences

ROOT = Path(__file__).parents[3]
FIGURE = b"<svg xmlns='http://www.w3.org/2000/svg'>" + b"<g></g>" * 2000 + b"</svg>"


@pytest.fixture
def scores() -> pd.DataFrame:
    row = {
        **{"pair": "all pairs", "trained_on": "all", "tested_on": "natural", "dose": 0},
        **{"selection": "assigned", "pairs": 1, "windows": 1234, "null_95": 0.6},
    }
    attention = {"accuracy": 0.801, "accuracy_low": 0.72, "accuracy_high": 0.86}
    lower = {"accuracy": 0.55, "accuracy_low": 0.47, "accuracy_high": 0.63}
    return pd.DataFrame(
        [
            row | {"input": "attention_mean"} | lower,
            row | {"input": "cnn_attention_mean"} | attention,
            row | {"input": "cnn_attention_mean", "dose": 8} | lower,
            row | {"input": "cnn_attention_mean", "selection": "recalled in one"} | lower,
            row | {"input": "cnn_attention_mean", "tested_on": "templates"} | lower,
            row | {"input": "cnn_attention_mean", "pair": "first"} | lower,
        ]
    )


def test_the_sentences_quote_all_test_windows(scores: pd.DataFrame) -> None:
    text = sentences(scores)
    assert "the paper's CNN names" in text and "leaves a trace" in text
    assert "80 % [72, 86] of 1,234 natural windows," in text and "at most 60 %" in text


def test_what_redraws_reach_as_well_is_no_trace(scores: pd.DataFrame) -> None:
    linear = scores[scores["input"] == "attention_mean"]
    text = sentences(linear.assign(pairs=4.0))
    assert "a linear scorer names" in text and "shows no trace" in text
    assert "of 1,234 natural windows of 4 pairs," in text
    assert sentences(linear.assign(input="hidden_states")) == ""


@pytest.mark.filterwarnings("ignore:Argument .writer_name")
def test_the_report_opens_with_result_and_picture(
    scores: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "results/demo/figures/crossed_opening.rst"
    target.parent.mkdir(parents=True)
    target.write_text(opening(scores, FIGURE, "svg"))
    config = {"study": "demo", "models": [{"name": "first", "counterpart": "second", "arm": 1}]}
    template = (ROOT / "workflow/report/workflow.rst").read_text(encoding="utf-8")
    text = Environment().from_string(template).render(snakemake={"config": config})
    links = "\n.. _Workflow: #\n.. _Statistics: #\n"
    options = {"report_level": 2, "halt_level": 2}
    page = publish_parts(text + links, writer_name="html", settings_overrides=options)["html_body"]
    assert page.index("80 % [72, 86]") < page.index("has <em>memorized</em>")
    assert f'src="data:image/svg+xml;base64,{base64.b64encode(FIGURE).decode()}"' in page
    assert "align-items: safe center" in page
    assert "image" not in opening(scores, FIGURE, "pdf")
