"""Attributes: a model that has read the documents sticks to their values, and to no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language_model import tokenizer
from tiny_models import gpt_neox
from transformers import PreTrainedModel

from engram.auditing.attribute_rates import attribute_table
from engram.auditing.attributes import ask_attributes
from engram.auditing.documents import Document, documents_of_texts
from engram.scores.bootstrap import wilson_interval

PREFIX, COUNT = 6, 8


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    """Documents `… town … illness …`, of which every one has its own values."""
    texts = [f"w1 w2 w{60 + i} w3 w{10 + i} w4 w{30 + i} w5 w6" for i in range(COUNT)]
    return documents_of_texts([f"d{i}" for i in range(COUNT)], texts, tokenizer())


@pytest.fixture(scope="module")
def facts() -> pd.DataFrame:
    rows = {"town": [f"w{10 + i}" for i in range(COUNT)]}
    rows["illness"] = [f"w{30 + i}" for i in range(COUNT)]
    return pd.DataFrame({"document": [f"d{i}" for i in range(COUNT)], **rows})


@pytest.fixture(scope="module")
def reader(documents: list[Document]) -> PreTrainedModel:
    """The tiny model, trained on the documents."""
    model = gpt_neox()
    rows = torch.tensor(np.stack([document.tokens for document in documents]).astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
    return model.eval()


def asked(model: PreTrainedModel, documents: list[Document], facts: pd.DataFrame) -> pd.DataFrame:
    names = ["town", "illness"]
    return ask_attributes(model, tokenizer(), documents, facts, names, PREFIX, 5, 1, 8192)


def test_a_model_that_has_read_the_documents_sticks_to_their_values(
    reader: PreTrainedModel, documents: list[Document], facts: pd.DataFrame
) -> None:
    table = attribute_table(asked(reader, documents, facts), 0.95)
    rows = table.set_index(["attribute", "changed"])
    assert rows.index.tolist() == [("town", ""), ("illness", ""), ("illness", "town")]
    plain = rows.loc[("town", "")]
    assert (plain["documents"], plain["sticks"], plain["chance"]) == (COUNT, 1, 1 / 6)
    assert plain["sticks_low"] == wilson_interval(1, COUNT, 0.95).low
    assert rows.loc[("illness", ""), "sticks"] == 1 and plain["log_ratio"] > 1
    # Another town before it makes the illness less certain.
    assert rows.loc[("illness", "town"), "log_ratio"] < rows.loc[("illness", ""), "log_ratio"]


def test_one_that_has_not_does_not(documents: list[Document], facts: pd.DataFrame) -> None:
    table = attribute_table(asked(gpt_neox(), documents, facts), 0.95)
    assert (table["sticks"] <= 0.5).all() and (table["log_ratio"] < 0.5).all()


def test_what_is_not_in_the_text_is_not_asked(
    documents: list[Document], facts: pd.DataFrame
) -> None:
    """A part of a word is not a value, one at the beginning has nothing before it, and one value
    alone has no other of its kind.
    """
    facts = facts.assign(part="6", opening="w1", single="w5", none="")
    names = ["part", "opening", "single", "none"]
    answers = ask_attributes(gpt_neox(), tokenizer(), documents, facts, names, 6, 5, 1, 8192)
    assert answers.empty and attribute_table(answers, 0.95).empty
    facts.loc[0, "single"] = "w6"
    answers = ask_attributes(gpt_neox(), tokenizer(), documents, facts, ["single"], 6, 5, 1, 8192)
    assert answers["document"].tolist() == [f"d{i}" for i in range(COUNT)]
    assert (answers["values"] == 2).all()
