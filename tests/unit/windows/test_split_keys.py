"""What must stay in one split: documents, equal suffixes, near-duplicates."""

import numpy as np
import pandas as pd

from engram.windows.clusters import NEAR_RUN, known_documents, split_keys

PREFIX, WINDOW = 20, 40


def windows() -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Six windows: 0 and 1 of one document, 2 with the suffix of 1, 3 with a run of 4's prefix."""
    tokens = np.random.default_rng(0).integers(0, 9999, (6, WINDOW))
    tokens[2, PREFIX:] = tokens[1, PREFIX:]
    tokens[3, 2 : 2 + NEAR_RUN] = tokens[4, 7 : 7 + NEAR_RUN]
    documents = pd.Series(["a", "a", "b", "c", "d", "e"])
    return np.array([50, 40, 30, 20, 10, 60]), tokens, documents


def test_documents_and_equal_suffixes_stay_together() -> None:
    ids, tokens, documents = windows()
    keys = split_keys(ids, tokens, documents, PREFIX, near=False)
    assert keys.tolist() == [30, 30, 30, 20, 10, 60]


def test_near_duplicates_do_too() -> None:
    ids, tokens, documents = windows()
    keys = split_keys(ids, tokens, documents, PREFIX, near=True)
    assert keys.tolist() == [30, 30, 30, 10, 10, 60]


def test_the_order_changes_nothing() -> None:
    ids, tokens, documents = windows()
    order = np.random.default_rng(1).permutation(6)
    keys = split_keys(ids[order], tokens[order], documents.iloc[order], PREFIX, near=True)
    assert keys.tolist() == split_keys(ids, tokens, documents, PREFIX, near=True)[order].tolist()


def test_documents_are_those_that_the_source_knows() -> None:
    plain = pd.DataFrame({"sequence_id": [1, 2, 3]})
    assert known_documents(plain).nunique() == 3
    corpus = plain.assign(document=["a", None, None])
    assert known_documents(corpus).nunique() == 3
    nursery = plain.assign(source=["f.py:0", "f.py:9", "template"], kind=["natural"] * 2 + ["list"])
    assert known_documents(nursery).tolist() == ["f.py", "f.py", "template 3"]
