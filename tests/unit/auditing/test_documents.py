"""Documents with the ends of their tokens, and windows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_sources import byte_tokenizer

from engram.auditing.cutting import cut_windows
from engram.auditing.documents import (
    DocumentFile,
    check_windows,
    documents_of_texts,
    write_documents,
)
from engram.io.errors import EngramError
from engram.lm.tokens import encoder
from engram.sources import documents as sources

TEXT = "a é 漢 😀 <b>\n" * 3


def test_ends_part_a_text_into_its_tokens() -> None:
    (document,) = documents_of_texts(["a"], [TEXT], byte_tokenizer())
    assert document.tokens.tolist() == encoder(byte_tokenizer())([TEXT])[0]
    assert (np.diff(document.ends) >= 0).all() and document.ends[-1] == len(TEXT)
    count = len(document.tokens)
    assert "".join(document.span(i, i + 1) for i in range(count)) == TEXT
    assert document.span(0, count) == TEXT and document.span(4, 4) == ""


def test_a_long_document_is_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE", 10)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.txt").write_text(TEXT)
    (tmp_path / "docs/a.txt").write_text("first")
    output = tmp_path / "documents.parquet"
    write_documents(tmp_path / "docs", "*", "text", byte_tokenizer(), output, {})
    first, second = DocumentFile(output)
    assert (first.name, first.text, second.name, second.text) == ("a.txt", "first", "b.txt", TEXT)
    (whole,) = documents_of_texts(["b.txt"], [TEXT], byte_tokenizer())
    np.testing.assert_array_equal(second.tokens, whole.tokens)
    np.testing.assert_array_equal(second.ends, whole.ends)


def test_documents_without_text_are_an_error_in_the_words_of_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(EngramError, match=r"empty\.txt: the documents hold no text"):
        write_documents(
            tmp_path / "empty.txt", "*", "text", byte_tokenizer(), tmp_path / "d.parquet", {}
        )


def test_windows_lie_where_they_say() -> None:
    documents = documents_of_texts(["a", "b", "c"], [TEXT, "short", TEXT[2:]], byte_tokenizer())
    windows = cut_windows(documents, 6, 4, 5)
    assert set(windows["document"]) == {"a", "c"}
    assert set(windows["offset"] % 5) == {0}
    assert len(windows) == sum((len(d.tokens) - 10) // 5 + 1 for d in (documents[0], documents[2]))
    assert windows["sequence_duplicates"].min() >= 2  # every line is there five times and more
    own = windows[windows["document"] == "a"]
    offsets, tokens = own["offset"].to_numpy(), np.stack(own["tokens"].tolist())
    check_windows(documents[0], offsets, tokens, "documents")
    with pytest.raises(EngramError, match="document a has changed while it was audited; run again"):
        check_windows(documents[0], offsets + 1, tokens, "documents")
    with pytest.raises(EngramError, match="document b has changed"):
        check_windows(documents[1], offsets, tokens, "documents")


def test_no_window_is_an_error() -> None:
    documents = documents_of_texts(["a"], ["short"], byte_tokenizer())
    with pytest.raises(EngramError, match="none has 10 tokens"):
        cut_windows(documents, 6, 4, 5)
