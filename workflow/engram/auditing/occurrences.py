"""Where else the text of a region is: in other documents, elsewhere in its own, and in a reference
corpus, part of the training text for example.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from engram.auditing.documents import Document
from engram.io.errors import printable
from engram.lm.tokens import encoder
from engram.sources.documents import document_files, read_documents
from engram.windows.duplicates import hashes_of_runs

DOCUMENTS, REFERENCE = "documents", "reference"
"""Corpora in which a region is looked for."""
MOST = 20
"""Places of a region in each corpus that are listed; all are counted."""
OCCURRENCE_COLUMNS = ("document", "region", "corpus", "found_in", "start", "tokens")
COUNT_COLUMNS = ("in_documents", "in_reference")


@dataclass
class _Places:
    """Places of one region in one corpus."""

    count: int = 0
    listed: list[tuple[str, int, int]] = field(default_factory=list)
    """Name of the text, first token, tokens."""


def read_pieces(
    path: str, pattern: str, text_column: str, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Yield the texts of a reference for `occurrences`, a million characters at a time.

    Args:
        path: a text file, a table of texts, or a folder of either.
        pattern: of file names in the folder.
        text_column: of tables.
        tokenizer: the model's.

    Raises:
        EngramError: a file cannot be read.
    """
    encode = encoder(tokenizer)
    for file, name in document_files(path, pattern):
        for piece in read_documents(file, name, text_column):
            tokens = np.asarray(encode([piece.text])[0], np.int32)
            yield printable(piece.document), tokens, piece.opens


def occurrences(
    documents: Sequence[Document],
    regions: pd.DataFrame,
    run: int,
    reference: Iterable[tuple[str, np.ndarray, bool]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return where else the regions occur.

    A place is a run of tokens, each of which is in `run` or more consecutive tokens of the region;
    so a place can hold a part of a region. Runs are compared by 64-bit hashes. Texts are read one
    after another, and only the regions' runs are kept.

    Args:
        documents: all of them.
        regions: document, region, start, end; see `engram.auditing.regions.describe`.
        run: tokens, at most those of the shortest region.
        reference: name, tokens and whether a text begins here, for every text of the reference or
            piece of one, pieces in order.

    Returns:
        places: document, region, corpus (`documents` or `reference`), found_in (the text there),
        start (its token), tokens; at most 20 a region and corpus, the first ones.
        counts: document, region, in_documents, in_reference: all places, the region itself left
        out.
    """
    if regions.empty:
        return pd.DataFrame(columns=list(OCCURRENCE_COLUMNS)), pd.DataFrame(
            columns=["document", "region", *COUNT_COLUMNS]
        )
    spans = list(regions[["document", "start", "end"]].itertuples(index=False, name=None))
    index = _Index(documents, spans, run)
    found = {
        (number, corpus): _Places()
        for number in range(len(regions))
        for corpus in (DOCUMENTS, REFERENCE)
    }
    pieces = ((each.name, each.tokens, True) for each in documents)
    for corpus, texts in ((DOCUMENTS, pieces), (REFERENCE, reference)):
        for name, number, start, tokens in index.places(texts):
            own, first, end = spans[number]
            itself = name == own and first <= start < end
            if corpus == DOCUMENTS and itself:
                continue
            places = found[number, corpus]
            places.count += 1
            if len(places.listed) < MOST:
                places.listed.append((name, start, tokens))
    keys = list(regions[["document", "region"]].itertuples(index=False, name=None))
    listed = [
        (*keys[number], corpus, *place)
        for (number, corpus), places in found.items()
        for place in places.listed
    ]
    counts = [
        (*key, found[number, DOCUMENTS].count, found[number, REFERENCE].count)
        for number, key in enumerate(keys)
    ]
    return (
        pd.DataFrame(listed, columns=list(OCCURRENCE_COLUMNS)),
        pd.DataFrame(counts, columns=["document", "region", *COUNT_COLUMNS]),
    )


class _Index:
    """Runs of all regions, by their hashes."""

    def __init__(
        self, documents: Sequence[Document], spans: Sequence[tuple[str, int, int]], run: int
    ) -> None:
        tokens = {document.name: document.tokens for document in documents}
        self._run = run
        own = [
            np.unique(hashes_of_runs(tokens[name][first:end], run)) for name, first, end in spans
        ]
        hashes = np.concatenate(own)
        numbers = np.repeat(np.arange(len(own)), list(map(len, own)))
        order = np.argsort(hashes, kind="stable")
        self._numbers = numbers[order]
        """Regions, by the hash of a run of theirs."""
        self._hashes, self._first = np.unique(hashes[order], return_index=True)
        self._last = np.append(self._first[1:], len(order))

    def places(
        self, texts: Iterable[tuple[str, np.ndarray, bool]]
    ) -> Iterator[tuple[str, int, int, int]]:
        """Yield name, region, first token and tokens of every place, text by text."""
        name, held, offset = "", np.zeros(0, np.int32), 0
        open_: dict[int, tuple[int, int]] = {}  # of a region, the place that may go on
        for new_name, tokens, opens in texts:
            if opens:
                yield from ((name, number, *place) for number, place in open_.items())
                name, held, offset, open_ = new_name, np.zeros(0, np.int32), 0, {}
            piece = np.concatenate([held, tokens])
            for number, start, count in self._stretches(piece):
                begin = offset + start
                if number in open_:
                    first, before = open_[number]
                    if begin <= first + before - self._run + 1:
                        open_[number] = (first, begin + count - first)
                        continue
                    yield name, number, first, before
                open_[number] = (begin, count)
            kept = min(len(piece), self._run - 1)
            offset += len(piece) - kept
            held = piece[len(piece) - kept :]
        yield from ((name, number, *place) for number, place in open_.items())

    def _stretches(self, tokens: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """Yield region, first token and tokens of each run of consecutive hits."""
        if len(tokens) < self._run:
            return
        hashes = hashes_of_runs(tokens, self._run)
        slots = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        hits = np.flatnonzero(self._hashes[slots] == hashes)
        if not len(hits):
            return
        first, counts = self._first[slots[hits]], (self._last - self._first)[slots[hits]]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers = self._numbers[np.repeat(first, counts) + within]
        positions = np.repeat(hits, counts)
        order = np.lexsort((positions, numbers))
        numbers, positions = numbers[order], positions[order]
        breaks = (np.diff(numbers) != 0) | (np.diff(positions) != 1)
        begins = np.flatnonzero(np.append(True, breaks))
        ends = np.append(begins[1:], len(numbers))
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield int(numbers[begin]), int(positions[begin]), end - begin + self._run - 1
