"""Files as people have them: each read rightly, or refused in one line; nothing lost in silence."""

from __future__ import annotations

import copy
import decimal
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tiny_sources import PREFIX, SUFFIX, TEXT, WINDOW, hub_rows, parquet, write_split
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.sources import corpus, hub, table, text_tables
from engram.sources.checks import Limits
from engram.sources.documents import read_documents
from engram.sources.files import read_rows
from engram.sources.fit import check_tokenizer

DOCUMENTS = [f"Document {number}: {TEXT[100 * number : 100 * number + 300]}" for number in range(6)]


def texts(path: Path, column: str = "text", rows: int = 1000) -> list[Any]:
    """One column of a table."""
    batches = read_rows(path, [column], rows)
    return [value for batch in batches for value in batch.table[column].to_pylist()]


def put(path: Path, content: str | bytes) -> Path:
    """A file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def documents(path: Path) -> list[str]:
    """The texts of the documents of a file."""
    return [piece.text for piece in read_documents(path, path.name, "text")]


def cut(
    source: Path, output: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits, pattern: str
) -> pd.DataFrame:
    """Windows of a corpus."""
    settings = corpus.CorpusSettings(PREFIX, SUFFIX, stride=8, candidates=1000, seed=0)
    corpus.write_windows(source, pattern, "text", tokenizer, limits, settings, output, {})
    return read_parquet(output)


OBJECTS = [{"text": text} for text in DOCUMENTS]
JSON_FILES = {
    "array.json": json.dumps(OBJECTS),
    "indented.json": json.dumps(OBJECTS, indent=2),
    "lines.json": "\n".join(map(json.dumps, OBJECTS)),
    "joined.json": "".join(json.dumps(one, indent=1) for one in OBJECTS),
    "UPPER.JSON": "\ufeff" + json.dumps(OBJECTS) + "\n\n",
    "lines.ndjson": "\n".join(map(json.dumps, OBJECTS)),
    "Lines.JSONL": "\n".join(map(json.dumps, OBJECTS)) + "\n\n \n",
    "bom.jsonl": "\ufeff" + "\r\n".join(map(json.dumps, OBJECTS)),
    "Table.CSV": pd.DataFrame(OBJECTS).to_csv(index=False),
}


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize("name", JSON_FILES)
def test_six_documents_are_six_whatever_their_file(
    name: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_tables, "CHUNK", chunk)
    path = put(tmp_path / name, JSON_FILES[name])
    assert texts(path, rows=4) == DOCUMENTS
    assert documents(path) == DOCUMENTS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}, {"text": "b"}', "the closing bracket is missing"),
        ('[{"text": "a"} {"text": "b"}]', "a comma is missing"),
        ('[{"text": "a"}] {}', "text behind the closing bracket"),
        ('[{"text": "a"}, oops]', "behind object 1 (Expecting value"),
        ('{"text": "a', "behind object 0 (Unterminated string"),
        ('{"text": ["a", "b"]}', "column text has type list<"),
        ('{"data": [{"text": "a"}]}', "object 1 has no text; it has data"),
        ('["a", "b"]', "object 1 is str, not an object"),
    ],
)
def test_json_of_another_form_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = put(tmp_path / "d.json", content)
    with pytest.raises(EngramError) as caught:
        documents(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["d.yaml", "d.jsonl.xz", "d.tar.gz", "d.gz", "d.docx", "d.PDF", "d.tsv"]
)
def test_documents_of_an_unknown_kind_are_refused(
    name: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    path = put(tmp_path / name, TEXT)
    for source in (tmp_path, path):
        with pytest.raises(EngramError, match="documents are not read from") as caught:
            cut(source, tmp_path / "w.parquet", tokenizer, limits, "*")
        assert str(path) in str(caught.value)


def test_the_pattern_may_name_another_kind_of_text(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    (tmp_path / "d").mkdir()
    put(tmp_path / "d" / "a.YAML", TEXT)
    put(tmp_path / "d" / "b.docx", "PK")
    found = cut(tmp_path / "d", tmp_path / "w.parquet", tokenizer, limits, "*.[yY]*")
    assert set(found["document"]) == {"a.YAML"}


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
def test_line_ends_within_quotes_are_kept_wherever_a_block_ends(
    line_end: str, tmp_path: Path
) -> None:
    """Arrow loses the line feed that follows a block's last carriage return."""
    wanted = [f"{number}{line_end}" * (3 + number % 7) for number in range(150_000)]
    rows = "".join(f'{number},"{text}"{line_end}' for number, text in enumerate(wanted))
    path = put(tmp_path / "t.csv", f"id,text{line_end}{rows}")
    assert path.stat().st_size > 4 << 20
    assert texts(path) == wanted
    assert texts(path, "id") == [str(number) for number in range(150_000)]


def test_a_first_row_longer_than_a_block_is_read(tmp_path: Path) -> None:
    wanted = ["x\r\n" * (1 << 20), "short"]
    rows = "\r\n".join(f'"{text}"' for text in wanted)
    assert texts(put(tmp_path / "t.csv", f"text\r\n{rows}\r\n")) == wanted


def test_batches_of_long_rows_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_tables, "AT_ONCE", 1000)
    path = put(tmp_path / "t.csv", "text\n" + "\n".join(["x" * 400] * 10))
    assert [len(batch.table) for batch in read_rows(path, ["text"])] == [3, 3, 3, 1]
    path = put(tmp_path / "t.jsonl", "\n".join([json.dumps({"text": "x" * 400})] * 10))
    assert [len(batch.table) for batch in read_rows(path, ["text"])] == [3, 3, 3, 1]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_half_a_character_is_refused_with_its_row(name: str, tmp_path: Path) -> None:
    path = put(tmp_path / name, '{"text": "whole"}\n{"text": "half \\ud800 of it"}\n')
    with pytest.raises(EngramError, match=r"(line|object) 2, column text: .* lone surrogate"):
        documents(path)
    assert str(path)


def test_a_file_name_that_is_not_utf_8_is_read(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    put(Path(str(folder), b"caf\xe9.txt".decode(errors="surrogateescape")), TEXT)
    found = cut(folder, tmp_path / "w.parquet", tokenizer, limits, "*")
    assert set(found["document"]) == {"caf\\udce9.txt"}


def test_a_blank_line_does_not_move_the_numbers_of_lines(tmp_path: Path) -> None:
    path = put(tmp_path / "t.jsonl", '\n{"text": "a"}\n\n{"text": 5}\n')
    with pytest.raises(EngramError, match="line 4, column text"):
        documents(path)


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    assert documents(put(tmp_path / "d.txt", "\ufeffText\r\n")) == ["Text\r\n"]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.csv", "t.parquet", "t.txt"])
def test_a_git_lfs_pointer_is_named(name: str, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 5\n"
    with pytest.raises(EngramError, match=r"t\.\w+: a Git LFS pointer.*git lfs pull"):
        documents(put(tmp_path / name, pointer))


def test_decimals_and_categories_are_read(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    ids = np.array(tokenizer(TEXT)["input_ids"][: 4 * WINDOW]).reshape(4, WINDOW)
    whole, part = pa.decimal128(20, 0), pa.decimal128(6, 4)
    decimals = [decimal.Decimal(one) for one in ("1.0000", "0.5000", "0.2500", "0.0000")]
    path = parquet(
        tmp_path / "t.parquet",
        id=pa.array([3, 1, 4, 5], whole),
        ids=ids.tolist(),
        text=pa.array(tokenizer.batch_decode(ids.tolist())).dictionary_encode(),
        score=pa.array(decimals, part),
    )
    columns = {"sequence_id": "id", "tokens": "ids", "text": "text", "memorization_score": "score"}
    reader = table.TableReader(columns, WINDOW, limits, tokenizer)
    table.write_windows(path, reader, tmp_path / "out.parquet", {})
    found = read_parquet(tmp_path / "out.parquet")
    assert found["sequence_id"].tolist() == [3, 1, 4, 5]
    assert found["memorization_score"].tolist() == [1.0, 0.5, 0.25, 0.0]
    assert found["text"].tolist() == tokenizer.batch_decode(ids.tolist())


def test_a_corpus_says_what_it_left_out(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, elsewhere = tmp_path / "d", tmp_path / "elsewhere"
    for place in (folder, folder / "below", folder / ".git", elsewhere):
        place.mkdir()
    for name in ("a.txt", "below/b.txt", "c.py", ".hidden.txt", ".git/config.txt"):
        put(folder / name, TEXT)
    put(folder / "short.txt", "a")
    put(elsewhere / "e.txt", TEXT)
    (folder / "linked").symlink_to(elsewhere)
    (folder / "broken.txt").symlink_to(tmp_path / "nowhere")
    with caplog.at_level(logging.INFO):
        cut(folder, tmp_path / "w.parquet", tokenizer, limits, "*.txt")
    left_out = {
        "linked folders": 1,
        "hidden folders": 1,
        "hidden files": 1,
        "broken links and special files": 1,
        "files of another name or ending": 1,
        "documents of fewer than 8 tokens": 1,
    }
    files = read_metadata(tmp_path / "w.parquet")["files"]
    assert files == {"read": 3, "left_out": left_out}
    line = next(text for text in caplog.messages if "left out" in text)
    assert line.startswith(f"{folder}: read 3 files, left out 6: ")
    assert all(f"1 {reason}" in line for reason in left_out)


def test_a_folder_of_tables_says_what_it_left_out(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "d"
    (folder / "part=1").mkdir(parents=True)
    parquet(folder / "a.parquet", text=[TEXT, "a"])
    parquet(folder / "part=1" / "b.parquet", text=[TEXT])
    put(folder / "readme.md", "words")
    reader = table.TableReader({"text": "text"}, WINDOW, limits, tokenizer)
    with caplog.at_level(logging.INFO):
        table.write_windows(folder, reader, tmp_path / "out.parquet", {})
    assert read_metadata(tmp_path / "out.parquet")["files"] == {
        "read": 1,
        "left_out": {"sub-folders": 1, "files of another name or ending": 1},
    }
    assert caplog.messages[-1] == (
        f"{folder}: read 1 file, left out 3: 1 sub-folders, 1 files of another name or ending, "
        f"1 rows whose text has fewer than 8 tokens"
    )


def test_published_data_say_what_they_left_out(
    tmp_path: Path, limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    write_split(tmp_path, "pile", pd.concat([hub_rows(12), hub_rows(5)]))
    write_split(tmp_path, "other", hub_rows(3))
    files, _ = hub.find_splits(tmp_path, None, ["pile"])
    with caplog.at_level(logging.INFO):
        hub.write_candidates(files, tmp_path / "out.parquet", WINDOW, limits, {})
    left_out = {"files of another name or ending": 1, "rows of a sequence that came before": 5}
    files_said = read_metadata(tmp_path / "out.parquet")["files"]
    assert files_said == {"read": 1, "left_out": left_out}
    assert "read 1 file, left out 6" in caplog.messages[-1]


def test_tokens_with_a_special_token_in_front_are_their_text(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    ids = np.array(tokenizer(TEXT)["input_ids"][: 12 * WINDOW]).reshape(12, WINDOW)
    ids[:, 0] = 0  # the tokenizer's special token
    path = parquet(
        tmp_path / "t.parquet", ids=ids.tolist(), text=tokenizer.batch_decode(ids[:, 1:].tolist())
    )
    reader = table.TableReader({"tokens": "ids", "text": "text"}, WINDOW, limits, tokenizer)
    table.write_windows(path, reader, tmp_path / "out.parquet", {})
    assert len(read_parquet(tmp_path / "out.parquet")) == 12


def test_one_added_token_beyond_the_embedding_is_no_fault(
    tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    padded = copy.deepcopy(tokenizer)
    small = Limits(limits.model, len(padded), limits.context)
    padded.add_special_tokens({"pad_token": "<pad>"})
    check_tokenizer(padded, small)
    with pytest.raises(EngramError, match="its tokenizer has"):
        check_tokenizer(padded, Limits(limits.model, len(tokenizer) - 5, limits.context))
