"""Labels: every row's labels are those of its own text and tokens."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from engram.io.errors import EngramError
from engram.taxonomy.taxonomy import PAPER_CATEGORIES, Taxonomy
from engram.windows.labels import label

PREFIX, LENGTH = 8, 20

TEXTS = {
    "abcabcabcabcabcabc": "repeating",
    "a1 a2 a3 a4 a5 a6 a7": "incrementing",
    "def f(x_1):\n    return x_1[0] == {};\n": "code",
    "The end of the story was that they were not in it.": "prose",
}
"""Texts that are one thing and nothing else."""


def candidates(n: int = 40, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """Random windows over few tokens, with equal suffixes now and then, and an index that is not 0
    … n - 1.
    """
    random = np.random.default_rng(seed)
    tokens = random.integers(0, 4, (n, LENGTH), dtype=np.int32)
    tokens[:, PREFIX:] = tokens[random.integers(0, n, n), PREFIX:]
    frame = pd.DataFrame(
        {
            "sequence_id": random.permutation(1000)[:n],
            "tokens": list(tokens),
            "text": random.choice(list(TEXTS), n),
            "sequence_duplicates": random.integers(1, 100, n),
            "memorization_score": random.choice([0.0, 0.5, 1.0], n),
            **columns,
        }
    )
    return frame.set_axis(random.permutation(n) + 7, axis=0)


def test_rows_keep_their_order_and_get_a_plain_index() -> None:
    frame = candidates()
    labels, _ = label(frame, PREFIX)
    assert labels["sequence_id"].tolist() == frame["sequence_id"].tolist()
    assert labels.index.tolist() == list(range(len(frame)))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000))
def test_content_groups_are_equal_iff_the_suffixes_are(n: int, seed: int) -> None:
    frame = candidates(n, seed)
    group = label(frame, PREFIX)[0]["content_group"].to_numpy()
    assert group.dtype == np.int64
    suffixes = np.stack(frame["tokens"].tolist())[:, PREFIX:]
    equal = (suffixes[:, None] == suffixes[None]).all(axis=2)  # (n, n)
    assert ((group[:, None] == group[None]) == equal).all()


def test_rouge_is_between_prefix_and_suffix() -> None:
    frame = candidates()
    labels, _ = label(frame, PREFIX)
    scorer = RougeScorer(["rougeL", "rouge3"], use_stemmer=False)
    scores = [
        scorer.score(" ".join(map(str, row[:PREFIX])), " ".join(map(str, row[PREFIX:])))
        for row in frame["tokens"]
    ]
    assert labels["rouge_l"].tolist() == [score["rougeL"].fmeasure for score in scores]
    assert labels["rouge_3"].tolist() == [score["rouge3"].fmeasure for score in scores]


def test_the_prefix_decides_what_is_compared() -> None:
    window = np.array([[1, 2, 3, 1, 2, 3, 4, 5, 6, 7]], dtype=np.int32)
    frame = candidates(1).assign(tokens=list(window))
    assert label(frame, 3)[0]["rouge_l"][0] == pytest.approx(2 * 1 * (3 / 7) / (1 + 3 / 7))
    assert label(frame, 6)[0]["rouge_l"][0] == 0


@pytest.mark.parametrize("kind", ["repeating", "incrementing", "code"])
def test_detectors_read_the_text_of_their_row(kind: str) -> None:
    frame = candidates()
    labels, _ = label(frame, PREFIX)
    assert labels[f"is_{kind}"].dtype == bool
    assert labels[f"is_{kind}"].tolist() == [TEXTS[text] == kind for text in frame["text"]]


def test_features_are_of_their_row() -> None:
    labels, _ = label(
        candidates(2).assign(text=["aabb", "aaaa"], tokens=[[1] * LENGTH, [1, 2] * (LENGTH // 2)]),
        PREFIX,
    )
    assert labels["huffman_coding_length"].tolist() == [1, 0]
    assert labels["token_entropy"].tolist() == [0, 1]


SOURCE = {
    "exposures": np.arange(40, dtype=np.int32),
    "twin_extracted": np.arange(40) % 2 == 0,
    "kind": ["natural", "counter"] * 20,
    "prompt_perplexity": np.linspace(1, 9, 40, dtype=np.float32),
    "matched_fraction": np.linspace(0, 1, 40),
    "extracted": np.arange(40) % 3 == 0,
    "suffix_log_prob": -np.linspace(0, 1, 40),
}


@pytest.mark.parametrize("column", ["sequence_duplicates", "memorization_score", *SOURCE])
def test_what_the_source_measured_is_carried_over(column: str) -> None:
    frame = candidates(**SOURCE)
    labels, _ = label(frame, PREFIX)
    assert labels[column].tolist() == frame[column].tolist()
    assert labels[column].dtype == frame[column].dtype


def test_text_and_tokens_stay_with_the_candidates() -> None:
    labels, _ = label(candidates(source="x", prompt="y", **SOURCE), PREFIX)
    assert {"text", "tokens", "source", "prompt"} & set(labels) == set()


def test_columns_that_the_source_lacks_are_not_invented() -> None:
    labels, _ = label(candidates(), PREFIX)
    assert set(SOURCE) & set(labels) == set()


@pytest.mark.parametrize("category", [category.name for category in PAPER_CATEGORIES])
def test_labels_have_what_the_papers_categories_read(category: str) -> None:
    name = (
        f"{category}[5]" if category.startswith("Rec") and category != "Reconstruct" else category
    )
    labels, _ = label(candidates(), PREFIX)
    assert len(Taxonomy.parse(f"{name}, Others").assign(labels)) == len(labels)


def test_tokens_are_counted_in_the_candidates_where_the_source_counted_none() -> None:
    frame = candidates()
    labels, found = label(frame, PREFIX)
    plain = np.bincount(np.stack(frame["tokens"].tolist()).ravel())
    assert labels["max_frequency"].tolist() == [plain[row].max() for row in frame["tokens"]]
    assert found["token_frequencies"] == "candidates"


def test_metadata_say_how_code_was_found() -> None:
    assert label(candidates(), PREFIX)[1]["is_code"] == "offline"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (candidates().head(0), "candidates: the table is empty"),
        (candidates(2).assign(sequence_id=[4, 4]), "candidates: sequence_id 4 stands twice"),
        (
            candidates(2).assign(sequence_id=[8, 9], memorization_score=[1, None]),
            "memorization_score of sequence_id 9 is missing",
        ),
        (candidates(2).assign(tokens=[[1, 2, 3], [1, 2]]), "candidates: windows of 2 to 3 tokens"),
        (candidates(2).assign(tokens=[[1] * PREFIX] * 2), "windows of 8 tokens leave no suffix"),
    ],
    ids=["empty", "repeated", "no score", "ragged", "short"],
)
def test_wrong_candidates_are_explained(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(EngramError, match=re.escape(message)):
        label(frame, PREFIX)


def test_windows_that_were_not_decoded_have_all_other_labels() -> None:
    frame = candidates(extracted=True)
    labels, _ = label(frame.drop(columns="memorization_score"), PREFIX)
    expected, _ = label(frame, PREFIX)
    pd.testing.assert_frame_equal(labels, expected.drop(columns="memorization_score"))
