"""A large corpus: windows cut, drawn and counted exactly; time and memory, and the counts against
brute force.

    python perf/corpus.py [--tokens 100000000] [--candidates 100000] [--checked 20] [--folder
    DIR]

Writes documents of random words and, one in four, a file of the standard library, so that many
suffixes occur often. The source `corpus` then reads them with the nursery's tokenizer, in a process
of its own. The last line counts some of the drawn suffixes a second time, by comparing them with
every window of the tokens.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from engram.io.streams import stacked_tokens
from engram.lm.models import load_tokenizer
from engram.lm.tokens import encoder
from engram.sources.corpus import CorpusSettings, write_windows
from engram.sources.documents import document_files, read_documents
from engram.sources.fit import model_limits
from engram.windows.duplicates import suffix_occurrences

BASE = Path(__file__).parents[1] / "resources" / "nursery"
PREFIX, SUFFIX = 32, 32
DOCUMENTS_PER_FILE = 100
CHARACTERS_PER_TOKEN = 2.6
"""Of these documents, about."""


def write_documents(folder: Path, tokens: int) -> int:
    """Files of documents until there are about so many tokens; returns the characters."""
    random = np.random.default_rng(0)
    library = [
        path.read_text(encoding="utf-8", errors="ignore")
        for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    ]
    words = np.array(sorted({word for text in library for word in text.split() if word.isalpha()}))
    characters = number = 0
    while characters < tokens * CHARACTERS_PER_TOKEN:
        number += 1
        if number % 4:
            lines = [" ".join(line) for line in words[random.integers(0, len(words), (300, 12))]]
            text = "\n".join(lines)
        else:
            text = library[random.integers(0, len(library))]
        (folder / f"{number // DOCUMENTS_PER_FILE:05d}").mkdir(exist_ok=True)
        (folder / f"{number // DOCUMENTS_PER_FILE:05d}" / f"{number}.txt").write_text(
            text, encoding="utf-8"
        )
        characters += len(text)
    return characters


def read_corpus(folder: Path, candidates: int) -> tuple[float, float]:
    """Wall seconds and peak GiB of the source."""
    limits = model_limits(BASE, PREFIX + SUFFIX)
    settings = CorpusSettings(PREFIX, SUFFIX, PREFIX + SUFFIX, candidates, seed=1)
    start = time.perf_counter()
    write_windows(
        folder / "documents",
        "*.txt",
        "text",
        load_tokenizer(BASE),
        limits,
        settings,
        folder / "windows.parquet",
        {},
    )
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20
    )


def in_child(function: Any, *arguments: Any) -> Any:
    """The result of a function that runs in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def occurrences(suffix: np.ndarray, stream: np.ndarray, starts: np.ndarray) -> int:
    """By comparing the suffix with every window, token by token."""
    found = np.flatnonzero(stream[: len(stream) - len(suffix) + 1] == suffix[0])
    for position in range(1, len(suffix)):
        found = found[stream[found + position] == suffix[position]]
    ends = np.append(starts, len(stream))[np.searchsorted(starts, found, side="right")]
    return int((found + len(suffix) <= ends).sum())


def main() -> None:
    """Runs the source and prints the figures; exits with an error where a count differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=100_000_000, help="size of the corpus, about")
    parser.add_argument("--candidates", type=int, default=100_000, help="windows drawn")
    parser.add_argument("--checked", type=int, default=20, help="suffixes counted by brute force")
    parser.add_argument(
        "--folder", type=Path, help="where the files lie; a temporary folder unless given"
    )
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="engram-corpus-"))
    try:
        (folder / "documents").mkdir(parents=True)
        characters = write_documents(folder / "documents", arguments.tokens)
        seconds, peak = in_child(read_corpus, folder, arguments.candidates)

        encode = encoder(load_tokenizer(BASE))
        parts, starts, total = [], [], 0
        start = time.perf_counter()
        for file, name in document_files(folder / "documents", "*.txt"):
            for piece in read_documents(file, name, "text"):
                ids = np.array(encode([piece.text])[0], dtype=np.uint16)
                starts += [total] if piece.opens else []
                parts.append(ids)
                total += len(ids)
        tokenized = time.perf_counter() - start
        stream, boundaries = np.concatenate(parts), np.array(starts)
        windows = pq.read_table(
            folder / "windows.parquet", columns=["tokens", "sequence_duplicates"]
        )
        suffixes, counted = (
            stacked_tokens(windows)[:, PREFIX:],
            windows["sequence_duplicates"].to_numpy(),
        )
        start = time.perf_counter()
        again = suffix_occurrences(suffixes, stream, boundaries)
        counting = time.perf_counter() - start
        often = np.argsort(-counted, kind="stable")[: arguments.checked // 2]
        checked = np.concatenate([often, np.arange(arguments.checked - len(often))])
        start = time.perf_counter()
        plain = np.array([occurrences(suffixes[row], stream, boundaries) for row in checked])
        brute = time.perf_counter() - start

        print(
            f"corpus: {characters / 1e6:,.0f} M characters, {total / 1e6:,.1f} M tokens, "
            f"{len(boundaries):,} documents"
        )
        print(
            f"source corpus, {len(windows):,} windows: {seconds:,.0f} s, peak {peak:.2f} GiB, "
            f"{total / seconds / 1e6:.2f} M tokens/s"
        )
        print(f"  tokenizing again, one text at a time: {tokenized:,.0f} s")
        repeated = (
            f"{(counted > 1).mean():.1%} of the suffixes occur more than once, one "
            f"{counted.max():,} times"
        )
        print(f"  counting again: {counting:,.1f} s; {repeated}")
        print(f"  brute force: {brute / max(1, len(checked)):.2f} s a suffix")
        wrong = int((again != counted).sum() + (plain != counted[checked]).sum())
        print(
            f"  counts that differ: {wrong} of {len(counted):,} counted again, {len(checked)} of "
            f"them by brute force"
        )
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if wrong:
        raise SystemExit("counts differ")


if __name__ == "__main__":
    main()
