"""The paper's data: published windows of the Pythia models, from the hub, its local cache, or a folder of the same layout.

`usvsnsp/semantic-filters` holds, for each of the 16 models of the first Pythia release, a split `memories_*` of windows that
the model reproduces and a split `pile_*` of windows drawn from its training text. The study's list is `pile`, then
`memories`, and the first row of a sequence_id wins (reference code of arXiv 2508.02573).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from engram.errors import EngramError
from engram.sources import checks
from engram.sources.candidates import checked_columns, first_occurrences, window_table
from engram.sources.files import read_rows
from engram.sources.fit import Limits
from engram.sources.snapshots import snapshot
from engram.sources.streams import stream_parquet

log = logging.getLogger(__name__)

DATASET = "usvsnsp/semantic-filters"
SIZES = ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")

COLUMNS = {
    "sequence_id": "sequence_id",
    "text": "text",
    "sequence_duplicates": "sequence_duplicates",
    "memorization_score": "memorization_score",
    "is_repeating": "is_repeating",
    "is_incrementing": "is_incrementing",
    "huffman_coding_length": "huffman_coding_length",
    "prompt_perplexity_published": "prompt_perplexity",
    "generation_perplexity_published": "generation_perplexity",
    "sequence_perplexity_published": "sequence_perplexity",
    "max_frequency": "max_frequency",
    "avg_frequency": "avg_frequency",
    "min_frequency": "min_frequency",
    "median_frequency": "median_frequency",
}
"""Column of the data set for each of ours; `tokens` comes with them. Nothing else is read."""


@dataclass(frozen=True)
class Published:
    """A model whose windows are published, and where they are."""

    model: str
    """The model's repository."""
    dataset: str
    """The data set's repository."""
    splits: tuple[str, ...]
    """Its splits in the order of the study's list."""


def published(name: str) -> Published | None:
    """What belongs to a short name such as `pythia-12b-deduped-v0`; None for any other name."""
    match = re.fullmatch(rf"pythia-({'|'.join(map(re.escape, SIZES))})(-deduped)?-v0", name)
    if match is None:
        return None
    corpus = f"{'deduped' if match[2] else 'duped'}_{match[1]}"
    return Published(f"EleutherAI/{name}", DATASET, (f"pile_{corpus}", f"memories_{corpus}"))


PUBLISHED = tuple(f"pythia-{size}{corpus}-v0" for corpus in ("", "-deduped") for size in SIZES)
"""The names that `published` knows."""


def find_splits(dataset: str | Path, revision: str | None, splits: Sequence[str]) -> tuple[list[Path], str]:
    """The parquet files of some splits, in order, downloaded where they are not on this machine.

    Args:
        dataset: a folder, or a repository on the hub. A download that was cut short goes on where it stopped, and what
            the local cache holds is not fetched again.
        revision: commit, tag or branch on the hub; None is its main branch.
        splits: their names.

    Returns:
        the files, and the commit they come from (`local` for a folder).

    Raises:
        EngramError: the repository or the revision cannot be had, a split is not there, or one of its files is missing.
    """
    folder, commit = Path(dataset), "local"
    if not folder.is_dir():
        patterns = [f"{folder}{split}{rest}" for folder in ("data/", "") for split in splits for rest in ("-*.parquet", ".parquet")]
        folder, commit = snapshot(str(dataset), revision, patterns, "dataset")
    return [file for split in splits for file in _split_files(folder, split, str(dataset))], commit


def _split_files(folder: Path, split: str, dataset: str) -> list[Path]:
    """The files of one split, all of them: `data/<split>-00000-of-00002.parquet` or `<split>.parquet`, `data/` or not."""
    for place in (folder / "data", folder):
        if (single := place / f"{split}.parquet").is_file():
            return [single]
        if files := sorted(place.glob(f"{split}-[0-9]*-of-[0-9]*.parquet")):
            total = int(re.split(r"-of-|\.|-", files[0].name[len(split) :].split("-of-")[1])[0])
            present = {int(file.name[len(split) + 1 :].split("-")[0]) for file in files}
            if lacking := sorted(set(range(total)) - present):
                raise EngramError(f"data set {dataset}: split {split} has {len(files)} of {total} files, number {lacking[0]} is missing; copy it too")
            return files
    raise EngramError(f"data set {dataset}: there is no split {split}; expected data/{split}-00000-of-00001.parquet in {folder}")


def write_candidates(
    files: Sequence[Path], output: Path, window: int, limits: Limits | None, metadata: dict[str, Any]
) -> None:
    """Writes candidates.parquet: the first row of every sequence_id, in the files' order.

    At no time are more than a batch of rows and all sequence ids in memory.

    Args:
        files: parquet files with the columns of `COLUMNS` and `tokens`.
        output: candidates.parquet.
        window: tokens of every window.
        limits: the model's, where its configuration is at hand.
        metadata: what the artifact records.

    Raises:
        EngramError: a file cannot be read, lacks a column, or holds a value that cannot be used.
    """
    sequence_ids = []
    for file in files:
        for rows in read_rows(file, ["sequence_id"]):
            sequence_ids.append(checks.integers(rows.table["sequence_id"], "sequence_id", rows.place))
    first = first_occurrences(np.concatenate([np.empty(0, np.int64), *sequence_ids]))
    log.info("%d rows, %d of them the first of their sequence", len(first), first.sum())
    done = 0
    with stream_parquet(output, metadata) as stream, tqdm(total=len(first), desc="candidates", unit="row", mininterval=2) as progress:
        for file in files:
            for rows in read_rows(file, [*COLUMNS.values(), "tokens"]):
                tokens = checks.windows(rows.table["tokens"], "tokens", rows.place, window, limits)  # (n, T)
                table = window_table(tokens, checked_columns(rows, COLUMNS))
                stream.append(table.filter(pa.array(first[done : done + len(table)])))
                done += len(table)
                progress.update(len(table))
