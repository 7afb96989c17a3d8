"""Other places of regions, against a search by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engram.auditing.documents import Document
from engram.auditing.occurrences import MOST, occurrences

RUN = 6


def document(name: str, tokens: np.ndarray) -> Document:
    return Document(name, "x" * len(tokens), tokens.astype(np.int32), np.arange(1, len(tokens) + 1))


@pytest.fixture
def texts() -> dict[str, np.ndarray]:
    """In `a`, tokens 20 to 40 are a region; they are again in `a`, a part of them is in `b`."""
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 5000, 100), generator.integers(0, 5000, 80)
    a[60:80] = a[20:40]
    b[10:18] = a[25:33]
    b[30:35] = a[25:30]  # shorter than a run
    return {"a": a, "b": b}


REGIONS = pd.DataFrame({"document": ["a"], "region": [1], "start": [20], "end": [40]})


def test_places_are_found_to_the_token(texts: dict[str, np.ndarray]) -> None:
    documents = [document(name, tokens) for name, tokens in texts.items()]
    places, counts = occurrences(documents, REGIONS, RUN, [])
    rows = places[["corpus", "found_in", "start", "tokens"]].to_numpy().tolist()
    assert rows == [["documents", "a", 60, 20], ["documents", "b", 10, 8]]
    assert counts.to_numpy().tolist() == [["a", 1, 2, 0]]


@pytest.mark.parametrize("size", [3, 7, 10, 50, 1000])
def test_pieces_of_a_text_make_no_difference(texts: dict[str, np.ndarray], size: int) -> None:
    reference = np.concatenate([texts["b"][:40], texts["a"][15:45], texts["a"][20:41], [1, 2]])
    pieces = [
        ("r", reference[first : first + size], first == 0)
        for first in range(0, len(reference), size)
    ]
    pieces += [("s", texts["a"][24:35], True), ("t", texts["a"][20:25], True)]
    places, counts = occurrences([document("a", texts["a"])], REGIONS, RUN, pieces)
    rows = places[places["corpus"] == "reference"]
    assert sorted(rows[["found_in", "start", "tokens"]].to_numpy().tolist()) == [
        ["r", 10, 8],
        ["r", 45, 20],
        ["r", 70, 20],
        ["s", 0, 11],
    ]
    assert counts["in_reference"].tolist() == [4]


def test_many_places_are_counted_and_some_listed(texts: dict[str, np.ndarray]) -> None:
    many = np.concatenate([np.append(texts["a"][20:30], 7) for _ in range(50)])
    regions = pd.concat([REGIONS, REGIONS.assign(region=2, start=60, end=80)], ignore_index=True)
    documents = [document("a", texts["a"])]
    places, counts = occurrences(documents, regions, RUN, [("m", many, True)])
    assert counts["in_reference"].tolist() == [50, 50]
    assert counts["in_documents"].tolist() == [1, 1]  # each is the other's
    assert (places["corpus"] == "reference").sum() == 2 * MOST


def test_no_region_is_nowhere(texts: dict[str, np.ndarray]) -> None:
    places, counts = occurrences([document("a", texts["a"])], REGIONS[:0], RUN, [])
    assert places.empty and counts.empty and "found_in" in places and "in_reference" in counts
