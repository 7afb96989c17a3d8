"""The user's documents: exact counts, permanent draws, and windows that are the documents' own
tokens.
"""

import json
import shutil
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sources import PREFIX, SUFFIX, TEXT, WINDOW, parquet
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import read_parquet
from engram.io.hashing import uniform
from engram.lm.models import load_tokenizer
from engram.sources import corpus, documents
from engram.sources.checks import Limits
from engram.sources.corpus import CorpusSettings, name_hash, window_ids, write_windows
from engram.sources.documents import document_files, read_documents
from engram.sources.fit import model_limits


def read(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    pattern: str = "*",
    stride: int = 1,
    candidates: int = 10**6,
):
    """The windows of a corpus."""
    output = folder.parent / f"{folder.name}.parquet"
    settings = CorpusSettings(PREFIX, SUFFIX, stride, candidates, seed=3)
    write_windows(folder, pattern, "text", tokenizer, limits, settings, output, {})
    return read_parquet(output)


def corpus_folder(folder: Path, texts: list[str]) -> Path:
    """A folder of text files d0.txt, d1.txt, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"d{number}.txt").write_text(text, encoding="utf-8")
    return folder


def occurrences(suffix: list[int], texts: list[list[int]]) -> int:
    """By comparing every window of every document."""
    return sum(
        text[start : start + SUFFIX] == suffix
        for text in texts
        for start in range(len(text) - SUFFIX + 1)
    )


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text("ab 1\n", max_size=60), max_size=5))
def test_duplicates_equal_brute_force(
    texts: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
) -> None:
    texts = [*texts, "a b 1\nab " * 4]  # one long enough for a window
    encoded = [tokenizer(text)["input_ids"] for text in texts]
    found = read(corpus_folder(tmp_path_factory.mktemp("corpus") / "c", texts), tokenizer, limits)
    assert len(found) == sum(max(0, len(text) - WINDOW + 1) for text in encoded)
    expected = [occurrences(row[PREFIX:].tolist(), encoded) for row in found["tokens"]]
    assert found["sequence_duplicates"].tolist() == expected


def test_duplicates_of_the_standard_library_equal_a_plain_count(tmp_path: Path) -> None:
    """Real text, real window lengths, licences and boilerplate that many files share; every window
    of it is counted plainly.
    """
    base = Path(__file__).parents[3] / "resources" / "nursery"
    tokenizer, settings = (
        load_tokenizer(base),
        CorpusSettings(prefix=32, suffix=32, stride=16, candidates=10**6, seed=0),
    )
    for package in ("asyncio", "json", "logging", "wsgiref", "xml"):
        shutil.copytree(Path(sysconfig.get_path("stdlib"), package), tmp_path / "corpus" / package)
    write_windows(
        tmp_path / "corpus",
        "*.py",
        "text",
        tokenizer,
        model_limits(base, 64),
        settings,
        tmp_path / "w.parquet",
        {},
    )
    plain: Counter[bytes] = Counter()
    for file in (tmp_path / "corpus").rglob("*.py"):
        ids = np.array(
            tokenizer.encode(file.read_text(encoding="utf-8"), add_special_tokens=False),
            dtype=np.uint16,
        )
        plain.update(ids[start : start + 32].tobytes() for start in range(len(ids) - 31))
    found = read_parquet(tmp_path / "w.parquet")
    assert found["sequence_duplicates"].tolist() == [
        plain[row[32:].astype(np.uint16).tobytes()] for row in found["tokens"]
    ]
    assert len(found) > 5000 and (found["sequence_duplicates"] > 1).sum() > 20


def test_windows_are_the_tokens_of_their_documents(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    texts = [TEXT[:900], "", "tiny", TEXT[1000:1500]]
    found = read(corpus_folder(tmp_path / "c", texts), tokenizer, limits, stride=5)
    assert set(found["document"]) == {"d0.txt", "d3.txt"}
    for row in found.itertuples():
        ids = tokenizer(texts[int(row.document[1])])["input_ids"]
        assert row.offset % 5 == 0
        assert row.tokens.tolist() == ids[row.offset : row.offset + WINDOW]
        assert row.text == tokenizer.decode(row.tokens)
    every = [
        range(0, len(tokenizer(text)["input_ids"]) - WINDOW + 1, 5) for text in (texts[0], texts[3])
    ]
    assert found["offset"].tolist() == [offset for offsets in every for offset in offsets]


def test_frequencies_are_those_of_the_whole_corpus(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    texts = [TEXT[:900], "tiny", TEXT[1000:1500]]
    found = read(corpus_folder(tmp_path / "c", texts), tokenizer, limits, stride=5)
    plain = np.bincount([token for text in texts for token in tokenizer(text)["input_ids"]])
    assert found["min_frequency"].tolist() == [plain[row].min() for row in found["tokens"]]
    assert found["avg_frequency"].tolist() == [plain[row].mean() for row in found["tokens"]]


def test_the_draw_takes_the_lowest_permanent_numbers(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    folder = corpus_folder(tmp_path / "c", [TEXT[:2000], TEXT[500:3000]])
    every, some = read(folder, tokenizer, limits), read(folder, tokenizer, limits, candidates=50)
    numbers = uniform(every["sequence_id"].to_numpy(), 3, "corpus")
    assert set(some["sequence_id"]) == set(
        every["sequence_id"].to_numpy()[np.argsort(numbers)[:50]]
    )


def test_small_blocks_draw_the_same_windows(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = corpus_folder(tmp_path / "c", [TEXT[:2000], TEXT[500:3000]])
    expected = read(folder, tokenizer, limits, candidates=50)
    monkeypatch.setattr(corpus, "ROWS", 20)
    monkeypatch.setattr(corpus, "CHARACTERS_AT_ONCE", 300)
    monkeypatch.setattr(documents, "PIECE", 100)
    pd.testing.assert_frame_equal(read(folder, tokenizer, limits, candidates=50), expected)


def test_windows_keep_their_numbers_when_documents_are_added(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    before = read(corpus_folder(tmp_path / "c", [TEXT[:500]]), tokenizer, limits)
    (tmp_path / "c" / "a_new_one.txt").write_text(TEXT[:300])
    after = read(tmp_path / "c", tokenizer, limits)
    joined = before.merge(after, on="sequence_id", suffixes=("", "_after"))
    assert len(joined) == len(before)
    assert joined["offset"].tolist() == joined["offset_after"].tolist()
    assert joined["document"].tolist() == joined["document_after"].tolist()


def test_windows_have_numbers_of_their_own() -> None:
    names = np.repeat(
        np.array([name_hash(f"d{number}.txt") for number in range(300)], dtype=np.uint64), 300
    )
    assert len(np.unique(window_ids(names, np.tile(np.arange(300), 300)))) == 300 * 300


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_every_row_of_a_table_is_a_document(
    kind: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    texts = [TEXT[:300], TEXT[:250]]
    folder = tmp_path / "c"
    folder.mkdir()
    if kind == "jsonl":
        (folder / "t.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    elif kind == "csv":
        pd.DataFrame({"text": texts}).to_csv(folder / "t.csv")
    else:
        parquet(folder / "t.parquet", text=texts)
    found = read(folder, tokenizer, limits)
    expected = read(corpus_folder(tmp_path / "files", texts), tokenizer, limits)
    assert [row.tolist() for row in found["tokens"]] == [row.tolist() for row in expected["tokens"]]
    assert found["sequence_duplicates"].tolist() == expected["sequence_duplicates"].tolist()
    assert found["document"].nunique() == 2


def test_long_documents_come_in_pieces_that_are_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "".join(f"line {n}\n" + "\n  indented" * (n % 3) for n in range(200))
        + "\r\nno line feed at the end"
    )
    (tmp_path / "d.txt").write_bytes(text.encode())
    monkeypatch.setattr(documents, "PIECE", 64)
    pieces = list(read_documents(tmp_path / "d.txt", "d", "text"))
    assert "".join(piece.text for piece in pieces) == text
    assert len(pieces) > 10
    assert [piece.opens for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert not any(piece.text[0].isspace() for piece in pieces)


def test_a_pattern_chooses_files_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    for name in ("b.py", "a/c.py", ".git/d.py", "e.txt", "a/.f.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [name for _, name in document_files(tmp_path, "*.py")] == ["a/c.py", "b.py"]


def test_nothing_else_is_left_on_the_disk(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    read(corpus_folder(tmp_path / "c", [TEXT[:500]]), tokenizer, limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "c.parquet"]
