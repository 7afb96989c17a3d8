"""What is known of documents, and how what is reproduced goes with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engram.auditing.facts import numbers_of, read_facts
from engram.auditing.popularity import popularity_table
from engram.io.errors import EngramError


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_columns_of_tables_have_the_documents_names(tmp_path: Path) -> None:
    rows = [{"text": "a", "readers": 3, "ward": "A"}, {"text": "b", "readers": None, "ward": "B"}]
    write_lines(tmp_path / "b.jsonl", rows)
    (tmp_path / "a.csv").write_text("text,readers,ward\nc,1.5,C\n")
    facts = read_facts(tmp_path, "*", ["readers", "ward"])
    assert facts["document"].tolist() == ["a.csv#0", "b.jsonl#1", "b.jsonl#2"]
    assert facts["ward"].tolist() == ["C", "A", "B"]
    numbers = numbers_of(facts, "readers", ["b.jsonl#2", "b.jsonl#1", "a.csv#0", "unknown"])
    np.testing.assert_array_equal(numbers, [np.nan, 3, 1.5, np.nan])


def test_text_files_have_a_table_next_to_them(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("text")
    table = tmp_path.parent / "facts.csv"
    table.write_text("document,readers\none.txt,many\n")
    facts = read_facts(tmp_path, "*", ["readers"], str(table))
    assert facts.to_dict("records") == [{"document": "one.txt", "readers": "many"}]
    with pytest.raises(EngramError, match=r"column readers: 'many' of document one\.txt is not a"):
        numbers_of(facts, "readers", ["one.txt"])
    with pytest.raises(EngramError, match="a text file has no column readers; give a table"):
        read_facts(tmp_path, "*", ["readers"])
    table.write_text("document,readers\none.txt,1\none.txt,2\n")
    with pytest.raises(EngramError, match=r"document one\.txt has two rows"):
        read_facts(tmp_path, "*", ["readers"], str(table))
    with pytest.raises(EngramError, match="column ward is missing"):
        read_facts(tmp_path, "*", ["ward"], str(table))


def test_what_grows_with_popularity_correlates_with_it() -> None:
    names = [f"d{i}" for i in range(12)]
    popularity = np.arange(12.0)
    popularity[11] = np.nan
    summary = pd.DataFrame(
        {"document": names, "share_in_regions": np.arange(12.0) ** 2, "share_p_0.5": -popularity}
    )
    books = pd.DataFrame({"document": names[::-1], "continued": "own", "rouge_l": np.arange(12.0)})
    columns = ["matched", "jaccard", "levenshtein", "longest_common_run", "exact_steps"]
    table = popularity_table(summary, books.assign(**dict.fromkeys(columns, 1.0)), popularity, 0.95)
    rows = table.set_index("measure")
    assert rows.loc["share_in_regions", "spearman"] == 1
    assert rows.loc["share_p_0.5", "spearman"] == rows.loc["own_rouge_l", "spearman"] == -1
    assert rows.loc["own_rouge_l", "documents"] == 11
    assert np.isnan(rows.loc["own_matched", "spearman"])
