"""Labels: those of the rooms, in one table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm
from tiny_models import VOCABULARY, gpt_neox

from engram.api.labelling import label
from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations, memorization_scores
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.labels import label as label_candidates
from engram.windows.rouge import prefix_suffix_rouge


def windows() -> np.ndarray:
    """Eight windows; the model writes the suffix of the first four itself."""
    tokens = some_tokens(8)
    tokens[:4, PREFIX:] = greedy_continuations(tiny_lm().model, tokens[:4, :PREFIX], SUFFIX)
    return tokens


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return label(tiny_lm(), windows(), PREFIX, SUFFIX)


def test_scores_are_those_of_the_model(table: pd.DataFrame) -> None:
    scores = memorization_scores(tiny_lm().model, windows(), PREFIX)
    for column in scores:
        np.testing.assert_array_equal(table[column], scores[column], err_msg=column)
    assert table["extracted"].tolist() == [True] * 4 + [False] * 4


def test_the_continuation_is_what_the_model_writes(table: pd.DataFrame) -> None:
    continuation = np.array(table["continuation"].tolist())
    np.testing.assert_array_equal(continuation[:, :PREFIX], windows()[:, :PREFIX])
    written = greedy_continuations(tiny_lm().model, windows()[:, :PREFIX], SUFFIX)
    np.testing.assert_array_equal(continuation[:, PREFIX:], written)
    assert table["tokens"].tolist() == windows().tolist()


def test_labels_of_the_text_are_those_of_the_studies(table: pd.DataFrame) -> None:
    candidates = pd.DataFrame(
        {
            "sequence_id": range(8),
            "tokens": list(windows()),
            "text": tiny_lm().decode(windows()),
            "memorization_score": table["memorization_score"].to_numpy(),
        }
    )
    expected, _ = label_candidates(candidates, PREFIX)
    for column in expected.columns.drop("sequence_id"):
        np.testing.assert_array_equal(table[column], expected[column], err_msg=column)
    rouge_l, rouge_3 = prefix_suffix_rouge(windows(), PREFIX)
    np.testing.assert_array_equal(table["rouge_l"], rouge_l)
    np.testing.assert_array_equal(table["rouge_3"], rouge_3)


@pytest.mark.parametrize("name", ["Non-Memo, Guess, Others", "Non-Memo, Reconstruct, Others"])
def test_the_class_is_that_of_the_taxonomy(name: str) -> None:
    taxonomy = Taxonomy.parse(name)
    for given in (name, taxonomy):
        labels = label(tiny_lm(), windows(), PREFIX, SUFFIX, taxonomy=given)
        assert labels["class"].astype(object).tolist() == taxonomy.assign(labels).tolist()
        assert labels["class"].cat.categories.tolist() == taxonomy.class_names
        assert (labels["class"][4:] == "Non-Memo").all()


def test_texts_and_tokens_are_labelled_alike(table: pd.DataFrame) -> None:
    texts = tiny_lm().decode(windows())
    pd.testing.assert_frame_equal(label(tiny_lm(), texts, PREFIX, SUFFIX), table)
    longer = [f"{text} w9 w9" for text in texts]
    pd.testing.assert_frame_equal(label(tiny_lm(), longer, PREFIX, SUFFIX), table)


def test_a_frame_keeps_its_index_and_brings_labels() -> None:
    frame = pd.DataFrame(
        {
            "tokens": windows().tolist(),
            "sequence_duplicates": range(8),
            "is_code": True,
            "note": "mine",
        },
        index=[f"row {i}" for i in range(8)],
    )
    labels = label(tiny_lm(), frame, PREFIX, SUFFIX, taxonomy="Non-Memo, Recite[2], Others")
    assert labels.index.equals(frame.index)
    assert labels["is_code"].all() and "note" not in labels
    assert labels["class"].tolist() == ["Others"] * 3 + ["Recite[2]"] + ["Non-Memo"] * 4


def test_short_texts_keep_the_names_of_the_others() -> None:
    texts = tiny_lm().decode(windows())
    with pytest.warns(UserWarning, match="dropped 1 of 9"):
        labels = label(tiny_lm(), ["w1", *texts], PREFIX, SUFFIX, short="drop")
    assert labels.index.tolist() == list(range(1, 9))


def test_errors_come_before_the_model_runs() -> None:
    lm = tiny_lm()
    for arguments, options, message in (
        ((lm, windows(), PREFIX), {}, r"row 0 has 16 tokens, prefix \+ suffix need 40"),
        ((lm, windows(), 1, 8), {}, "prefix: 1 token; label needs 2 or more"),
        ((lm, [[VOCABULARY] * 16], 8, 8), {}, "texts: token 97 in row 0 is outside the vocabulary"),
        ((lm, [[1] * 64], 32, 32), {}, "longer than the model's context of 48"),
        ((lm, windows(), 8, 8), {"taxonomy": "Non-Memo, Recite[5], Others"}, "counts duplicates"),
        ((lm, windows(), 8, 8), {"taxonomy": "Non-Memo, Nonsense"}, "unknown class `Nonsense`"),
        ((gpt_neox(), windows(), 8, 8), {}, "lm: a GPTNeoXForCausalLM"),
    ):
        with pytest.raises(EngramError, match=message) as error:
            label(*arguments, **options)
        assert "\n" not in str(error.value)
