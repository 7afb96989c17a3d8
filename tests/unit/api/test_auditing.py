"""`engram.audit`: a model drilled on one document of several reproduces exactly that one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language_model import some_tokens, tiny_lm, tokenizer
from tiny_models import gpt_neox

import engram as eg
from engram.api.auditing import DocumentAudit
from engram.api.language_model import LanguageModel

PREFIX, SUFFIX, LENGTH, DRILLED = 8, 8, 60, 3


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Ten documents of random words, and one that is too short."""
    rows = some_tokens(10, LENGTH, seed=5).tolist()
    documents = {f"d{i}": " ".join(f"w{token}" for token in row) for i, row in enumerate(rows)}
    return documents | {"short": "w1 w2 w3"}


@pytest.fixture(scope="module")
def drilled(texts: dict[str, str]) -> LanguageModel:
    """The tiny model, trained on windows of one document until it writes them."""
    model = gpt_neox()
    (ids,) = tokenizer()([texts[f"d{DRILLED}"]])["input_ids"]
    offsets = np.arange(LENGTH - PREFIX - SUFFIX + 1)
    windows = torch.tensor(np.array(ids)[offsets[:, None] + np.arange(PREFIX + SUFFIX)])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=windows, labels=windows).loss.backward()
        optimizer.step()
    return LanguageModel("drilled", model.eval(), tokenizer())


@pytest.fixture(scope="module")
def result(drilled: LanguageModel, texts: dict[str, str]) -> DocumentAudit:
    return eg.audit(drilled, texts, PREFIX, SUFFIX, stride=3)


def test_the_drilled_document_is_found_and_no_other(result: DocumentAudit) -> None:
    """Of 10 documents one is drilled: recall 1 of 1, false alarms 0 of 9."""
    table = result.documents.set_index("document")
    assert table.index[table["regions"] > 0].tolist() == [f"d{DRILLED}"]
    row = table.loc[f"d{DRILLED}"]
    assert (row["windows"], row["extracted"], row["share_extracted"]) == (15, 15, 1.0)
    others = table.drop([f"d{DRILLED}", "short"])
    assert (others["windows"] == 15).all() and (others["extracted"] == 0).all()
    assert table.loc["short", "windows"] == 0 and np.isnan(table.loc["short", "share_extracted"])


def test_its_region_is_known_to_the_token(result: DocumentAudit, texts: dict[str, str]) -> None:
    (region,) = result.regions.to_dict("records")
    text = texts[f"d{DRILLED}"]
    # Windows end at multiples of 3 behind 16: the last one ends at token 58 of 60.
    assert (region["start"], region["end"]) == (PREFIX, 58)
    assert text[region["char_start"] : region["char_end"]].split() == text.split()[PREFIX:58]
    assert region["written"] == 40  # the context of 48 tokens is full
    assert SUFFIX <= region["agreed"] <= 40
    assert region["agreed_text"].split() == text.split()[PREFIX : PREFIX + region["agreed"]]


def test_the_undrilled_model_reproduces_nothing(texts: dict[str, str]) -> None:
    undrilled = eg.audit(tiny_lm(), list(texts.values()), PREFIX, SUFFIX, stride=3)
    assert undrilled.regions.empty and not undrilled.windows["extracted"].any()
    assert undrilled.documents["document"].tolist()[0] == "text 1"


def test_likely_windows_need_few_samples(result: DocumentAudit) -> None:
    table = result.windows
    found = table["document"] == f"d{DRILLED}"
    assert table.loc[found, "p_z"].min() > 0.1 > table.loc[~found, "p_z"].max()
    assert table.loc[found, "n_0.9"].max() < 25 < table.loc[~found, "n_0.9"].min()
    assert set(table.loc[found, "class"]) == {"Others"}
    assert set(table.loc[~found, "class"]) == {"Non-Memo"}


def test_the_page_is_one_file(result: DocumentAudit, tmp_path: Path) -> None:
    path = result.write_page(tmp_path / "audit.html")
    page = path.read_text()
    assert page.count("application/octet-stream") == 11
    assert "http://" not in page and "https://" not in page
    assert "DocumentAudit of drilled: texts 11" in repr(result)
    assert "10 windows" not in result._repr_html_()


def test_the_prior_says_what_the_own_prefix_adds(
    drilled: LanguageModel, texts: dict[str, str]
) -> None:
    result = eg.audit(drilled, texts, PREFIX, SUFFIX, stride=22, unrelated=8)
    table = result.windows
    np.testing.assert_allclose(
        table["log_prior_ratio"], table["log_p_z"] - table["prior_log_prob"], rtol=1e-9
    )
    ratio = table["log_prior_ratio"].groupby(table["document"] == f"d{DRILLED}")
    assert ratio.min()[True] > 4 > ratio.max()[False]
    assert result.regions["log_prior_ratio"].min() > 3


BOOKS = {"prefix": PREFIX, "step": SUFFIX, "longest": 44}


def test_the_drilled_book_is_reconstructed_and_no_other(
    drilled: LanguageModel, texts: dict[str, str]
) -> None:
    """Of 10 books one is drilled. Steps behind true text are windows of the drilling; behind the
    model's own output the book has to hold together.
    """
    rebuilt = eg.audit(drilled, texts, PREFIX, SUFFIX, stride=44, books=BOOKS).books
    assert rebuilt is not None
    books = rebuilt.books.set_index(["document", "continued"])
    assert len(books) == 20 and "short" not in books.index.get_level_values(0)
    drilled_name = f"d{DRILLED}"
    for way in ("true", "own"):
        table = books.xs(way, level="continued")
        assert table.index[table["rouge_l"] > 0.5].tolist() == [drilled_name]
        row = table.loc[drilled_name]
        assert (row["tokens"], row["steps"], row["exact_steps"], row["agreed"]) == (44, 6, 1, 44)
        assert (row["jaccard"], row["levenshtein"], row["longest_common_run"]) == (1, 1, 44)
        assert table.drop(drilled_name)["longest_common_run"].max() < 5
    missed = books.loc[("d0", "own")]
    true = texts["d0"].split()[PREFIX + missed["agreed"] : PREFIX + 44]
    assert missed["true_text"].split() == true != missed["written_text"].split()


def test_the_undrilled_model_reconstructs_nothing(texts: dict[str, str]) -> None:
    rebuilt = eg.audit(tiny_lm(), texts, PREFIX, SUFFIX, stride=44, books=BOOKS).books
    assert rebuilt is not None and rebuilt.books["rouge_l"].max() < 0.5
    assert rebuilt.books["exact_steps"].max() == 0


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts: empty"),
        ("one text", {}, "texts: one str; give a list of texts"),
        (["w1", 2], {}, "texts: text 2 is a int, not a text"),
        (["w1 w2"], {}, "texts: none has 16 tokens"),
        (pd.Series(["w1", "w2"], index=["a", "a"]), {}, "texts: two are named a"),
        (["w1 \ud800"], {}, "texts: row text 1 holds half a character"),
        (["w1"], {"stride": 0}, "stride: 0; give a number of tokens, 1 or more"),
        ([" ".join(["w1"] * 60)], {"suffix": 45}, "windows of 53 tokens are longer"),
        ([" ".join(["w1"] * 60)], {"books": {}}, "a prefix of 500 and a step of 30 tokens are lon"),
        (["w1"], {"unrelated": 3}, "prefixes: 3 is too few"),
        (["w1"], {"books": {"step": 0}}, "books.step: 0 is less than the minimum, 1"),
    ],
)
def test_bad_input_is_one_line(texts: object, options: dict[str, int], message: str) -> None:
    with pytest.raises(eg.EngramError, match=message) as error:
        eg.audit(tiny_lm(), texts, **{"prefix": PREFIX, "suffix": SUFFIX, **options})
    assert "\n" not in str(error.value)
