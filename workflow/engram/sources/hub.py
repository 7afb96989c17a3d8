"""The paper's data: published windows of the Pythia models, from the hub, its local cache, or a
folder of the same layout.

A split `memories_*` holds the windows that a model reproduces, a split `pile_*` windows drawn from
its training text. The study's list is `pile`, then `memories`, and the first row of a sequence_id
wins (reference code of arXiv 2508.02573).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from engram.io.errors import EngramError
from engram.io.streams import stream_parquet
from engram.sources import checks
from engram.sources.account import account
from engram.sources.candidates import checked_columns, first_occurrences, window_table
from engram.sources.checks import Limits
from engram.sources.files import read_rows
from engram.sources.snapshots import snapshot

log = logging.getLogger(__name__)

PLAIN = "pile"
"""How the names of splits begin that are a plain draw from the corpus; the others hold memorized
windows alone."""
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


def find_splits(
    dataset: str | Path, revision: str | None, splits: Sequence[str]
) -> tuple[list[Path], str]:
    """Return the parquet files of some splits, in order, downloaded where they are not on this
    machine.

    Args:
        dataset: a folder, or a repository on the hub. A download that was cut short goes on where
            it stopped, and what the local cache holds is not fetched again.
        revision: commit, tag or branch on the hub; None is its main branch.
        splits: their names.

    Returns:
        the files, and the commit they come from (`local` for a folder).

    Raises:
        EngramError: the repository or the revision cannot be had, a split is not there, or one of
            its files is missing.
    """
    folder, commit = Path(dataset), "local"
    if not folder.is_dir():
        patterns = [
            f"{folder}{split}{rest}"
            for folder in ("data/", "")
            for split in splits
            for rest in ("-*.parquet", ".parquet")
        ]
        folder, commit = snapshot(str(dataset), revision, patterns, "dataset")
    return [file for split in splits for file in _split_files(folder, split, str(dataset))], commit


def _split_files(folder: Path, split: str, dataset: str) -> list[Path]:
    """Return the files of one split, all of them: `data/<split>-00000-of-00002.parquet` or
    `<split>.parquet`, `data/` or not.
    """
    name = re.compile(rf"{re.escape(split)}-(\d+)-of-(\d+)(-\w+)?\.parquet")
    for place in (folder / "data", folder):
        if (single := place / f"{split}.parquet").is_file():
            return [single]
        parts = {
            int(match[1]): (file, int(match[2]))
            for file in place.glob("*.parquet")
            if (match := name.fullmatch(file.name))
        }
        total = max((of for _, of in parts.values()), default=0)
        if lacking := sorted(set(range(total)) - set(parts)):
            raise EngramError(
                f"data set {dataset}: split {split} lacks file {lacking[0]} of {total} (counted "
                f"from 0) in {place}; copy it too"
            )
        if parts:
            return [file for _, (file, _) in sorted(parts.items())]
    raise EngramError(
        f"data set {dataset}: there is no split {split}; expected "
        f"data/{split}-00000-of-00001.parquet in {folder}"
    )


def write_candidates(
    files: Sequence[Path],
    output: Path,
    window: int,
    limits: Limits | None,
    metadata: dict[str, Any],
) -> None:
    """Write candidates.parquet: the first row of every sequence_id, in the files' order, and
    whether it is of a plain draw from the corpus (`pile`).

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
            sequence_ids.append(
                checks.integers(rows.table["sequence_id"], "sequence_id", rows.place)
            )
    first = first_occurrences(np.concatenate([np.empty(0, np.int64), *sequence_ids]))
    log.info("%d rows, %d of them the first of their sequence", len(first), first.sum())
    said = account(files[0].parent if files else output, files)
    if repeated := int((~first).sum()):
        said.left_out["rows of a sequence that came before"] = repeated
    done = 0
    with (
        stream_parquet(output, metadata | said.metadata()) as stream,
        tqdm(total=len(first), desc="candidates", unit="row", mininterval=2) as progress,
    ):
        for file in files:
            for rows in read_rows(file, [*COLUMNS.values(), "tokens"]):
                tokens = checks.windows(
                    rows.table["tokens"], "tokens", rows.place, window, limits
                )  # (n, T)
                plain = np.full(len(tokens), file.name.startswith(PLAIN))
                table = window_table(tokens, {**checked_columns(rows, COLUMNS), "pile": plain})
                stream.append(table.filter(pa.array(first[done : done + len(table)])))
                done += len(table)
                progress.update(len(table))
    log.info(said.line())
