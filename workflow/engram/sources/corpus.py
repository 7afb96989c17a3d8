"""The user's documents: windows cut from them, drawn by permanent numbers, and counted exactly
across all of them.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from engram.io.errors import EngramError, printable
from engram.io.hashing import splitmix64, uniform
from engram.io.streams import ROWS, stream_parquet
from engram.lm.tokens import decode, encoder
from engram.sources.account import account
from engram.sources.candidates import window_table
from engram.sources.checks import Limits
from engram.sources.documents import Piece, document_files, read_documents
from engram.sources.fit import check_tokenizer
from engram.windows.duplicates import TOKENS_AT_ONCE, suffix_occurrences
from engram.windows.text_features import token_counts, token_frequencies

log = logging.getLogger(__name__)

CHARACTERS_AT_ONCE = 1 << 22
"""Characters that are tokenized in one call, on all cores."""


@dataclass(frozen=True)
class CorpusSettings:
    """Which windows of a corpus become candidates."""

    prefix: int
    """Tokens of the prompt."""
    suffix: int
    """Tokens that the model must reproduce, and whose occurrences are counted."""
    stride: int
    """Tokens between the beginnings of two windows of a document."""
    candidates: int
    """Windows drawn; all of them where the corpus has fewer."""
    seed: int
    """The study's seed."""

    @property
    def window(self) -> int:
        """Tokens of a window."""
        return self.prefix + self.suffix


def write_windows(
    path: str | Path,
    pattern: str,
    text_column: str,
    tokenizer: PreTrainedTokenizerBase,
    limits: Limits,
    settings: CorpusSettings,
    output: Path,
    metadata: dict[str, Any],
    exposures_column: str = "",
) -> None:
    """Write windows.parquet: the drawn windows with `sequence_duplicates`, token frequencies in the
    corpus, `document` and `offset` (tokens), and `exposures` where the tables say them.

    The corpus is tokenized once onto the disk next to `output` (two or four bytes a token), so that
    the memory does not grow with it: a window keeps its number, its sequence_id and its chance of
    being drawn while files are added.

    Args:
        path: a text file, a table of documents, or a folder of either.
        pattern: of file names in the folder.
        text_column: of tables.
        tokenizer: the model's.
        limits: the model's.
        settings: which windows.
        output: the windows, still without scores.
        metadata: what the artifact records.
        exposures_column: of tables, see `read_documents`; none if empty.

    Raises:
        EngramError: a file cannot be read, or no document has as many tokens as a window.
    """
    check_tokenizer(tokenizer, limits)
    files = document_files(path, pattern)
    said = account(path, [file for file, _ in files], below=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".corpus-", dir=output.parent) as scratch,
        (Path(scratch) / "tokens").open("w+b") as file,
    ):
        stream = TokenStream(
            file, np.dtype(np.uint16 if limits.vocabulary <= 1 << 16 else np.uint32)
        )
        draw = Draw(settings)
        for piece, ids in _tokenized(files, text_column, tokenizer, exposures_column):
            draw.offer(*stream.append(piece, ids), piece.document)
        if not stream.tokens:
            raise EngramError(f"{path}: the documents hold no text")
        begins, sequence_ids = draw.result()
        said.left_out.update(stream.too_short(settings.window))
        log.info(said.line())
        log.info(
            "%d documents, %d tokens, %d windows, %d drawn",
            len(stream.starts),
            stream.tokens,
            draw.windows,
            len(begins),
        )
        if not len(begins):
            raise EngramError(
                f"{path}: no document has {settings.window} tokens; lower `prefix` or `suffix`, or "
                f"give longer documents"
            )
        every = stream.read()  # (m,)
        starts = np.array(stream.starts, dtype=np.int64)
        tokens = np.empty((len(begins), settings.window), dtype=np.int32)  # (n, T)
        for position in range(settings.window):
            tokens[:, position] = every[begins + position]
        duplicates = suffix_occurrences(tokens[:, settings.prefix :], every, starts)
        counts = stream.counts()
        documents = np.searchsorted(starts, begins, side="right") - 1
        with stream_parquet(output, metadata | said.metadata()) as rows:
            for first in range(0, len(tokens), ROWS):
                part = slice(first, first + ROWS)
                columns = {
                    "sequence_id": sequence_ids[part],
                    "text": pa.array(decode(tokenizer, tokens[part]), pa.string()),
                    "sequence_duplicates": duplicates[part],
                    **token_frequencies(tokens[part], counts),
                    "document": pa.array(
                        [printable(stream.names[number]) for number in documents[part]], pa.string()
                    ),
                    "offset": begins[part] - starts[documents[part]],
                }
                if exposures_column:
                    shown = [stream.exposures[number] for number in documents[part]]
                    columns["exposures"] = np.array(shown, dtype=np.int64)
                rows.append(window_table(tokens[part], columns))


@dataclass
class TokenStream:
    """The tokens of all documents, one after another, on disk."""

    file: BinaryIO
    """Where they are written."""
    dtype: np.dtype
    """Their type; it holds every id of the vocabulary."""
    tokens: int = 0
    """Tokens so far."""
    starts: list[int] = field(default_factory=list)
    """First token of every document, (documents,)."""
    names: list[str] = field(default_factory=list)
    """Name of every document."""
    exposures: list[int | None] = field(default_factory=list)
    """How often every document was inserted in the training text; None where it is not known."""

    def append(self, piece: Piece, tokens: list[int]) -> tuple[int, int, int]:
        """Write a piece; return the offsets of its document, its first token and its end."""
        if piece.opens:
            self.starts.append(self.tokens)
            self.names.append(piece.document)
            self.exposures.append(piece.exposures)
        self.file.write(np.array(tokens, dtype=self.dtype).tobytes())
        self.tokens += len(tokens)
        return self.starts[-1], self.tokens - len(tokens), self.tokens

    def too_short(self, window: int) -> dict[str, int]:
        """Return how many documents have fewer tokens than a window, by the reason's name."""
        lengths = np.diff([*self.starts, self.tokens])
        short = int((lengths < window).sum())
        return {f"documents of fewer than {window} tokens": short} if short else {}

    def counts(self) -> np.ndarray:
        """Return how often each token id occurs, int64 (highest id + 1,)."""
        every, counts = self.read(), np.zeros(0, dtype=np.int64)
        for first in range(0, len(every), TOKENS_AT_ONCE):
            counts = token_counts(every[first : first + TOKENS_AT_ONCE], counts)
        return counts

    def read(self) -> np.ndarray:
        """Return all tokens (m,), mapped from the disk."""
        self.file.flush()
        return np.memmap(self.file, dtype=self.dtype, mode="r", shape=(self.tokens,))


class Draw:
    """The windows with the lowest permanent numbers of those that were offered."""

    def __init__(self, settings: CorpusSettings) -> None:
        self._settings = settings
        self._offered: list[
            tuple[int, int, int, int]
        ] = []  # of every piece: name's hash, document, first window, windows
        self._waiting = 0
        self._lowest = np.empty(
            (0, 3), dtype=np.int64
        )  # number (the float's bits), sequence_id, first token
        self.windows = 0
        """Windows offered so far."""

    def offer(self, document: int, first: int, end: int, name: str) -> None:
        """Considers the windows of a document that end in a piece of it.

        Args:
            document: offset of the document's first token in the stream.
            first, end: the piece's tokens in the stream.
            name: the document's; it decides the numbers of its windows.
        """
        stride, window = self._settings.stride, self._settings.window
        # Windows stand at multiples of the stride; the ones that ended before the piece have been
        # considered.
        before = max(0, (first - document - window) // stride + 1)
        count = max(0, (end - document - window) // stride + 1) - before
        if count > 0:
            self._offered.append((name_hash(name), document, before, count))
            self.windows += count
            self._waiting += count
            if self._waiting > ROWS:
                self._reduce()

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return of the drawn windows, in the stream's order: the first token (n,) and the
        sequence_id (n,).
        """
        self._reduce()
        # Two windows of one id, one pair in a million corpora of millions of windows: the first
        # stays.
        drawn = self._lowest[np.unique(self._lowest[:, 1], return_index=True)[1]]
        drawn = drawn[np.argsort(drawn[:, 2])]
        return drawn[:, 2].copy(), drawn[:, 1].copy()

    def _reduce(self) -> None:
        """Keep of the windows so far as many as are wanted."""
        if not self._offered:
            return
        names, *others = zip(*self._offered, strict=True)
        hashes = np.array(names, dtype=np.uint64)  # (pieces,)
        documents, before, counts = (
            np.array(column, dtype=np.int64) for column in others
        )  # (pieces,) each
        index = np.arange(counts.sum()) + np.repeat(
            before - np.cumsum(counts) + counts, counts
        )  # (windows,)
        offsets = self._settings.stride * index
        sequence_ids = window_ids(np.repeat(hashes, counts), offsets)
        # The bits of floats >= 0 are in the order of the floats.
        numbers = uniform(sequence_ids, self._settings.seed, "corpus").view(np.int64)
        every = np.concatenate(
            [
                self._lowest,
                np.stack([numbers, sequence_ids, np.repeat(documents, counts) + offsets], axis=1),
            ]
        )
        if len(every) > self._settings.candidates:
            every = every[
                np.argpartition(every[:, 0], self._settings.candidates - 1)[
                    : self._settings.candidates
                ]
            ]
        self._lowest, self._offered, self._waiting = every, [], 0


def name_hash(document: str) -> int:
    """Return 64 bits of a document's name; a file name need not be UTF-8."""
    content = document.encode(errors="surrogateescape")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def window_ids(names: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return permanent sequence_id of windows: a hash of their documents' names and their offsets
    there, int64 >= 0 (n,).

    Args:
        names: `name_hash` of each window's document, uint64 (n,).
        offsets: tokens, int64 (n,).
    """
    return (splitmix64(splitmix64(offsets.astype(np.uint64)) + names) >> np.uint64(1)).view(
        np.int64
    )


def _tokenized(
    files: list[tuple[Path, str]],
    text_column: str,
    tokenizer: PreTrainedTokenizerBase,
    exposures_column: str = "",
) -> Iterator[tuple[Piece, list[int]]]:
    """Yield every piece of every document with its tokens."""
    encode = encoder(tokenizer)
    with tqdm(
        total=sum(file.stat().st_size for file, _ in files),
        desc="tokens",
        unit="B",
        unit_scale=True,
        mininterval=2,
    ) as progress:
        pieces = (
            piece
            for file, name in _counted(files, progress)
            for piece in read_documents(file, name, text_column, exposures_column)
        )
        for group in _groups(pieces):
            yield from zip(group, encode([piece.text for piece in group]), strict=True)


def _counted(files: list[tuple[Path, str]], progress: tqdm) -> Iterator[tuple[Path, str]]:
    """Yield the files; each counts as done when the next is asked for."""
    for file, name in files:
        yield file, name
        progress.update(file.stat().st_size)


def _groups(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield consecutive pieces, about `CHARACTERS_AT_ONCE` characters together."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        group.append(piece)
        size += len(piece.text)
        if size >= CHARACTERS_AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group
