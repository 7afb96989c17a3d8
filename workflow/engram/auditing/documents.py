"""Whole documents with their tokens, and where in the text each token ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from engram.io.errors import EngramError, printable
from engram.io.streams import RowFile, stream_parquet
from engram.lm.tokens import encoder_with_ends
from engram.sources.documents import document_files, read_documents


@dataclass(frozen=True)
class Document:
    """A document as the model reads it."""

    name: str
    """Its permanent name; see `engram.sources.documents.Piece`."""
    text: str
    """All of it."""
    tokens: np.ndarray
    """Token ids, int32 (N,)."""
    ends: np.ndarray
    """Characters of the text up to the end of each token, int64 (N,), not descending. A token that
    ends within a character ends with it."""

    def span(self, start: int, end: int) -> str:
        """Return the text of the tokens from `start` up to, not including, `end`."""
        first = int(self.ends[start - 1]) if start else 0
        return self.text[first : int(self.ends[end - 1])] if end > start else ""


def documents_of_texts(
    names: Sequence[str], texts: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> list[Document]:
    """Return texts as documents, each tokenized as a whole."""
    encode = encoder_with_ends(tokenizer)
    return [
        Document(name, text, np.asarray(tokens, np.int32), np.asarray(ends, np.int64))
        for name, text, (tokens, ends) in zip(names, texts, encode(texts), strict=True)
    ]


def write_documents(
    path: str | Path,
    pattern: str,
    text_column: str,
    tokenizer: PreTrainedTokenizerBase,
    output: Path,
    metadata: dict[str, Any],
) -> None:
    """Write documents.parquet: document (the name), text, tokens, ends, in the order in which
    `engram.sources.corpus.write_windows` reads them, and with its tokens.

    Args:
        path: a text file, a table of documents, or a folder of either.
        pattern: of file names in the folder.
        text_column: of tables.
        tokenizer: the model's.
        output: the table.
        metadata: what the artifact records.

    Raises:
        EngramError: a file cannot be read, or the documents hold no text.
    """
    with stream_parquet(output, metadata) as stream:
        for document in read_whole(path, pattern, text_column, tokenizer):
            stream.append(_table(document))


def read_whole(
    path: str | Path, pattern: str, text_column: str, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Document]:
    """Yield the documents of a source; arguments and errors are those of `write_documents`."""
    encode, none = encoder_with_ends(tokenizer), True
    for file, name in document_files(path, pattern):
        for document in _documents(file, name, text_column, encode):
            none = False
            yield document
    if none:
        raise EngramError(f"{path}: the documents hold no text")


def _documents(file: Path, name: str, text_column: str, encode: Any) -> Iterator[Document]:
    """Yield the documents of a file, put together from their pieces."""
    held: list[Document] = []
    for piece in read_documents(file, name, text_column):
        if piece.opens and held:
            yield _joined(held)
            held = []
        tokens, ends = encode([piece.text])[0]
        arrays = np.asarray(tokens, np.int32), np.asarray(ends, np.int64)
        held.append(Document(printable(piece.document), piece.text, *arrays))
    if held:
        yield _joined(held)


def _joined(pieces: Sequence[Document]) -> Document:
    lengths = np.cumsum([0, *(len(piece.text) for piece in pieces)])
    return Document(
        pieces[0].name,
        "".join(piece.text for piece in pieces),
        np.concatenate([piece.tokens for piece in pieces]),
        np.concatenate(
            [piece.ends + begin for piece, begin in zip(pieces, lengths[:-1], strict=True)]
        ),
    )


def _table(document: Document) -> pa.Table:
    return pa.table(
        {
            "document": [document.name],
            "text": pa.array([document.text], pa.large_string()),
            "tokens": pa.array([document.tokens], pa.list_(pa.int32())),
            "ends": pa.array([document.ends], pa.list_(pa.int64())),
        }
    )


class DocumentFile(Sequence[Document]):
    """The documents that `write_documents` wrote; one at a time is in memory.

    Args:
        path: the table.

    Raises:
        EngramError: the file cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._rows = RowFile(path, ["document", "text", "tokens", "ends"])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        """Return a document by its number, from 0."""
        row = self._rows.row(number)
        tokens, ends = (np.array(row[name].values) for name in ("tokens", "ends"))
        return Document(row["document"].as_py(), row["text"].as_py(), tokens, ends)


def check_windows(
    document: Document, offsets: np.ndarray, windows: np.ndarray, source: str | Path
) -> None:
    """Check that windows are where they say in a document.

    Args:
        document: the document.
        offsets: first token of each window, (n,).
        windows: their tokens, (n, T).
        source: what the message calls the documents.

    Raises:
        EngramError: one is not.
    """
    places = offsets[:, None] + np.arange(windows.shape[1])  # (n, T)
    whole = places.max(initial=0) < len(document.tokens)
    if not whole or (document.tokens[places] != windows).any():
        raise changed(document.name, source)


def changed(name: str, source: str | Path) -> EngramError:
    """Return the error that a document is not as it was when its windows were cut."""
    return EngramError(f"{source}: document {name} has changed while it was audited; run again")
