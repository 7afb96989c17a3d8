"""The user's table: one content in three formats, texts cut into windows, and the reference code's
file.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_sources import PREFIX, TEXT, WINDOW, hub_rows, parquet
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import read_metadata, read_parquet
from engram.sources.checks import Limits
from engram.sources.entry import PRESETS
from engram.sources.table import TableReader, write_windows
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.labels import label

COLUMNS = {
    "sequence_id": "id",
    "tokens": "ids",
    "memorization_score": "score",
    "sequence_duplicates": "copies",
    "is_code": "code",
}


@pytest.fixture
def windows(tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    ids = tokenizer(TEXT)["input_ids"]
    return np.array(ids[: 12 * WINDOW]).reshape(12, WINDOW)


@pytest.fixture
def columns(windows: np.ndarray) -> dict[str, list]:
    """The user's names, and more columns than are asked for."""
    n = len(windows)
    return {
        "id": [9_000_000_000 + 7 * row for row in range(n)],
        "ids": windows.tolist(),
        "score": [row / n for row in range(n)],
        "copies": list(range(n)),
        "code": [row % 3 == 0 for row in range(n)],
        "remark": ['a, "b"\nc'] * n,
    }


def written(path: Path, columns: dict[str, list]) -> Path:
    """The columns as a file of the kind that its name says."""
    if path.suffix == ".parquet":
        return parquet(path, **columns)
    if path.suffix == ".csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["table.parquet", "table.csv", "table.jsonl"])
def test_every_format_gives_the_same_candidates(
    name: str,
    tmp_path: Path,
    columns: dict[str, list],
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
) -> None:
    reader = TableReader(COLUMNS, WINDOW, limits, tokenizer)
    write_windows(
        written(tmp_path / name, columns), reader, tmp_path / "out.parquet", {"source": "table"}
    )
    found = read_parquet(tmp_path / "out.parquet")
    assert found["sequence_id"].tolist() == columns["id"]
    assert [row.tolist() for row in found["tokens"]] == columns["ids"]
    assert found["memorization_score"].tolist() == columns["score"]
    assert found["sequence_duplicates"].tolist() == columns["copies"]
    assert found["is_code"].tolist() == columns["code"]
    assert found["text"].tolist() == tokenizer.batch_decode(columns["ids"])
    assert "remark" not in found
    assert read_metadata(tmp_path / "out.parquet")["source"] == "table"


def test_tokens_of_a_csv_file_may_be_words(
    tmp_path: Path, columns: dict, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    pd.DataFrame({"ids": [" ".join(map(str, row)) for row in columns["ids"]]}).to_csv(
        tmp_path / "t.csv"
    )
    write_windows(
        tmp_path / "t.csv",
        TableReader({"tokens": "ids"}, WINDOW, limits, tokenizer),
        tmp_path / "out.parquet",
        {},
    )
    assert [row.tolist() for row in read_parquet(tmp_path / "out.parquet")["tokens"]] == columns[
        "ids"
    ]


def test_a_folder_is_one_table_and_rows_without_a_number_get_one(
    tmp_path: Path, columns: dict, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    (tmp_path / "tables").mkdir()
    written(tmp_path / "tables" / "b.csv", {name: values[5:] for name, values in columns.items()})
    written(
        tmp_path / "tables" / "a.parquet", {name: values[:5] for name, values in columns.items()}
    )
    (tmp_path / "tables" / "notes.txt").write_text("no table")
    write_windows(
        tmp_path / "tables",
        TableReader({"tokens": "ids"}, WINDOW, limits, tokenizer),
        tmp_path / "out.parquet",
        {},
    )
    found = read_parquet(tmp_path / "out.parquet")
    assert [row.tolist() for row in found["tokens"]] == columns["ids"]
    assert found["sequence_id"].tolist() == list(range(12))


def test_texts_are_cut_to_windows_and_short_ones_left_out(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    texts = [TEXT[:200], "short", TEXT[300:600], ""]
    parquet(tmp_path / "t.parquet", body=texts, copies=[1, 2, 3, 4])
    reader = TableReader(
        {"text": "body", "sequence_duplicates": "copies"}, WINDOW, limits, tokenizer
    )
    write_windows(tmp_path / "t.parquet", reader, tmp_path / "out.parquet", {})
    found = read_parquet(tmp_path / "out.parquet")
    expected = [tokenizer(texts[row])["input_ids"][:WINDOW] for row in (0, 2)]
    assert [row.tolist() for row in found["tokens"]] == expected
    assert found["text"].tolist() == tokenizer.batch_decode(expected)
    assert found["sequence_id"].tolist() == [0, 2]
    assert found["sequence_duplicates"].tolist() == [1, 3]


def test_a_tokenizer_that_cuts_by_itself_is_not_obeyed(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    cutting = type(tokenizer)(
        tokenizer_object=type(tokenizer.backend_tokenizer).from_str(
            tokenizer.backend_tokenizer.to_str()
        )
    )
    cutting.backend_tokenizer.enable_truncation(3)
    parquet(tmp_path / "t.parquet", body=[TEXT[:200]])
    write_windows(
        tmp_path / "t.parquet",
        TableReader({"text": "body"}, WINDOW, limits, cutting),
        tmp_path / "out.parquet",
        {},
    )
    assert len(read_parquet(tmp_path / "out.parquet")) == 1


def test_the_reference_codes_file_is_a_preset_and_its_classes_are_ours(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    rows = hub_rows(60).drop(columns="frequencies")
    rows["text"] = tokenizer.batch_decode(np.stack(rows["tokens"].tolist()).tolist())
    rows["is_code"] = rows["sequence_id"] % 7 == 0
    # Its columns of classes, for `merge_2_other_recite_reconstruct_recollect` at a duplicates
    # threshold of 50.
    memorized = rows["memorization_score"] == 1
    recited = rows["sequence_duplicates"] > 50
    rows["cat_0"], rows["cat_1"], rows["cat_2"] = (
        ~memorized,
        memorized & recited,
        memorized & ~recited,
    )
    rows["part_train"], rows["part_eval"] = rows.index % 3 > 0, rows.index % 3 == 0
    rows["rouge_3_prefix_to_suffix"] = rows["rouge_L_prefix_to_suffix"] = 0.0
    rows.to_parquet(tmp_path / "train_eval_test.parquet")
    reader = TableReader(PRESETS["train_eval_test"], WINDOW, limits, tokenizer)
    write_windows(tmp_path / "train_eval_test.parquet", reader, tmp_path / "candidates.parquet", {})
    labels, _ = label(read_parquet(tmp_path / "candidates.parquet"), PREFIX)
    classes = Taxonomy.parse("Non-Memo, Recite[50], Others").assign(labels)
    expected = np.select([rows["cat_0"], rows["cat_1"]], ["Non-Memo", "Recite[50]"], "Others")
    assert classes.tolist() == expected.tolist()
    assert labels["trains"].tolist() == rows["part_train"].tolist()


@pytest.mark.parametrize("name", ["table.parquet", "table.csv", "table.jsonl"])
def test_a_score_that_rounding_keeps_from_1_is_1(
    name: str,
    tmp_path: Path,
    columns: dict[str, list],
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
) -> None:
    """A mean of 1/49 is 0.9999999999999999, as a user's own count of matches may be."""
    near = [sum([1 / 49] * 49), np.nextafter(1, 0), np.nextafter(1, 2), 0.9999997, -1e-17]
    columns["score"] = [*near, *[0.984375] * (len(columns["id"]) - len(near))]
    reader = TableReader(COLUMNS, WINDOW, limits, tokenizer)
    write_windows(written(tmp_path / name, columns), reader, tmp_path / "out.parquet", {})
    found = read_parquet(tmp_path / "out.parquet")["memorization_score"]
    assert found.tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, *columns["score"][len(near) :]]
