"""Paired cloze: answers against a plain greedy decoding, rates counted by hand, bad tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_script import run_script
from tiny_language_model import tiny_lm, tokenizer

import engram as eg
from engram.auditing.pair_rates import pair_bins, pair_rates
from engram.auditing.pairs import ask_pairs, lexical_overlap, read_pairs
from engram.auditing.settings import PairSettings
from engram.auditing.templates import prompt
from engram.figures.pair_accuracy import pair_accuracy
from engram.figures.style import FigureStyle
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations
from engram.run.config import complete

SETTINGS = PairSettings(forward="w1 {term} w2 {identifier} w9", backward="{identifier} w3 {term}")


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    """Twelve terms. The first four identifiers are what the model writes behind the prompt."""
    terms = [f"w{10 + i}" for i in range(12)]
    prompts = np.array(tokenizer()([f"w1 {term} w2" for term in terms])["input_ids"])
    written = greedy_continuations(tiny_lm().model, prompts, 2)
    wrong = (written[4:] + 1) % 90
    identifiers = [f"w{a} w{b}" for a, b in np.concatenate([written[:4], wrong]).tolist()]
    return pd.DataFrame(
        {
            "pair": range(1, 13),
            "term": terms,
            "identifier": identifiers,
            "popularity": [100.0, 90, 80, 70, *range(8)],
            "held_out": [True, False] * 6,
            "overlap": 0.0,
        }
    )


@pytest.fixture(scope="module")
def answers(pairs: pd.DataFrame) -> pd.DataFrame:
    return ask_pairs(tiny_lm().model, tokenizer(), pairs, SETTINGS, 8192)


def test_correct_is_what_greedy_decoding_writes(pairs, answers) -> None:
    forward = answers[answers["direction"] == "forward"]
    assert forward["pair"].tolist() == list(range(1, 13))
    assert forward["correct"].tolist() == [True] * 4 + [False] * 8
    assert (forward["tokens"] == 2).all() and (forward["log_p"] < 0).all()
    backward = answers[answers["direction"] == "backward"]
    texts = [f"{identifier} w3" for identifier in pairs["identifier"]]
    prompts = np.array(tokenizer()(texts)["input_ids"])
    written = greedy_continuations(tiny_lm().model, prompts, 1)[:, 0]
    expected = (f"w{token}" for token in written)
    matches = [a == b for a, b in zip(expected, pairs["term"], strict=True)]
    assert backward["correct"].tolist() == matches


def test_rates_are_counted_by_bin_and_kind(pairs, answers) -> None:
    known = pairs.drop(columns=["term", "identifier"])
    table = pair_rates(answers.merge(known, on="pair"), 3, 0.95)
    own = table[(table["direction"] == "forward") & (table["by"] == "all")].set_index("pairs")
    assert own.loc["all", ["n", "accuracy"]].tolist() == [12, 4 / 12]
    assert own.loc["held-out", ["n", "accuracy"]].tolist() == [6, 2 / 6]
    assert own.loc["shown", "accuracy_low"] < 2 / 6 < own.loc["shown", "accuracy_high"]
    popular = table.query("direction == 'forward' and by == 'popularity' and pairs == 'all'")
    assert popular["n"].tolist() == [4, 4, 4]
    assert popular["accuracy"].tolist() == [0, 0, 1]
    assert (popular["low"].iloc[0], popular["high"].iloc[-1]) == (0, 100)
    # All overlaps are equal: one bin holds everything.
    assert table[table["by"] == "overlap"]["n"].tolist() == [12, 6, 6] * 2


def test_bins_hold_equally_many_and_none_twice() -> None:
    assert pair_bins(np.array([np.nan, np.nan]), 4) == []
    third = pytest.approx(1 / 3)
    assert pair_bins(np.array([0.0, 0, 0, 0, 1, 2]), 3) == [(0, third), (third, 2)]


def test_overlap_is_that_of_the_writing() -> None:
    assert lexical_overlap("Insulin", "insulin") == 1
    assert lexical_overlap("tumor protein p53", "HP:0001250") == 0
    assert 0 < lexical_overlap("BRCA1", "BRCA2") < 1
    assert lexical_overlap("a", "b") == 0


def test_a_prompt_ends_before_the_answer() -> None:
    assert prompt("Code of {term} is {identifier}.", "forward") == ("Code of {term} is", " ")
    assert prompt("{identifier}{term}", "backward") == ("{identifier}", "")
    for template in ("{identifier} of {term}", "{term}", "{term} {term} {identifier}"):
        with pytest.raises(
            EngramError, match=r"audit\.pairs\.forward: .* does not have {term} once"
        ):
            prompt(template, "forward")


def test_a_study_with_such_a_template_is_refused() -> None:
    entry = {"name": "m", "source": "corpus", "package": "p==1", "documents": "docs"}
    audit = {"enabled": True, "pairs": {"table": "t.csv", "backward": "{term}"}}
    with pytest.raises(EngramError, match=r"audit\.pairs\.backward"):
        complete({"study": "s", "models": [entry], "audit": audit})


TABLE = "gene,code,seen,test\nBRCA1,HGNC:1100,12,no\ninsulin,INS,,true\n"
KEYS = {"term": "gene", "identifier": "code", "popularity": "seen", "held_out": "test"}


def test_pairs_are_read_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    table = read_pairs(PairSettings(table=str(path), **KEYS))
    assert table["term"].tolist() == ["BRCA1", "insulin"] and table["pair"].tolist() == [1, 2]
    assert table["held_out"].tolist() == [False, True]
    assert table["popularity"].iloc[0] == 12 and np.isnan(table["popularity"].iloc[1])
    assert table["overlap"].iloc[1] > table["overlap"].iloc[0] == 0
    bare = read_pairs(PairSettings(table=str(path), term="gene", identifier="code"))
    assert bare["popularity"].isna().all() and not bare["held_out"].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene,code,seen,test\n", "no pair in it"),
        ("gene,code,seen,test\nBRCA1,,1,no\n", "pair 1 has no identifier"),
        (TABLE.replace("12", "many"), "popularity of pair 1 is 'many', not a number"),
        (TABLE.replace("no", "perhaps"), "held_out of pair 1 is 'perhaps', not true or false"),
        ("gene,seen,test\nBRCA1,1,no\n", "code"),
    ],
)
def test_bad_tables_are_refused_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(EngramError, match=message) as error:
        read_pairs(PairSettings(table=str(path), **KEYS))
    assert "\n" not in str(error.value)


def test_the_scripts_ask_model_and_twin_and_write_no_text(pairs, tmp_path: Path) -> None:
    tiny_lm().model.save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    table = pairs.rename(columns={"held_out": "test"})[["term", "identifier", "test"]]
    table.to_csv(tmp_path / "t.csv", index=False)
    keys = {"table": str(tmp_path / "t.csv"), "held_out": "test"}
    templates = {key: getattr(SETTINGS, key) for key in ("forward", "backward")}
    files = {"answers": tmp_path / "pairs.parquet", "table": tmp_path / "pairs.csv"}
    settings = {"pairs": keys | templates, "dtype": "float32", "redact": False}
    config = tmp_path / "model" / "config.json"
    run_script("ask_pairs", {"model": config, "twin": [config]}, files, settings)
    answers = read_parquet(files["answers"])
    assert not {"term", "identifier"} & set(answers)
    settings = {"models": ["m"], "bins": 2, "confidence": 0.9}
    run_script("tabulate_pairs", {"answers": [files["answers"]]}, files, settings)
    rates = pd.read_csv(files["table"])
    both = rates[rates["by"] == "all"].groupby("weights")["accuracy"].apply(list)
    assert both["model"] == both["twin"] and set(rates["by"]) == {"all", "overlap"}


def test_the_front_door_asks_pairs_and_a_twin(pairs, answers) -> None:
    given = dict(zip(pairs["term"], pairs["identifier"], strict=True))
    templates = {key: getattr(SETTINGS, key) for key in ("forward", "backward")}
    result = eg.cloze(tiny_lm(), given, twin=tiny_lm(), **templates)
    assert result.answers["correct"].tolist()[: len(answers)] == answers["correct"].tolist()
    assert set(result.rates["weights"]) == {"model", "twin"}
    frame = pairs[["term", "identifier", "popularity", "held_out"]]
    result = eg.cloze(tiny_lm(), frame, bins=3, **templates)
    assert set(result.rates["pairs"]) == {"all", "shown", "held-out"}
    with pytest.raises(EngramError, match="pairs: a list; give a mapping"):
        eg.cloze(tiny_lm(), ["w1"])


def test_the_figure_draws_every_bin(pairs, answers) -> None:
    known = pairs.drop(columns=["term", "identifier"])
    table = pair_rates(answers.merge(known, on="pair"), 3, 0.95).assign(model="m", weights="model")
    figure = pair_accuracy(table, style=FigureStyle())
    assert len(figure.axes) == 4  # two directions, two measures
    lines = figure.axes[0].get_lines()
    assert any(len(line.get_xdata()) == 3 for line in lines)
