"""From published windows to labels: a synthetic source in the data set's layout, time and memory of
every step.

    python perf/labels.py [--rows 5000000] [--folder DIR] [--keep]

Writes two splits with all 27 columns of the published data, reads them as the source `hub` does,
and labels them. Texts are cuts of the standard library's files, counters and repetitions; one
suffix in three has an equal one. Each stage runs in a process of its own; labels are found in as
many more as there are cores. Its peak is the most memory that it held, and for every process that
it forked the most of any of them, shared pages counted again. The second table is the CPU time of
each label on one core, over the first rows; is_repeating, is_incrementing and huffman_coding_length
come with the published data and are found for other sources only. Needs about 1.5 kB of disk a row;
without `--keep` all of it is removed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engram.io.streams import ROWS, read_batches, stacked_tokens
from engram.sources.hub import find_splits, write_candidates
from engram.windows.code_text import is_code
from engram.windows.labelling import write_labels
from engram.windows.reconstruct import reconstruct_labels
from engram.windows.rouge import prefix_suffix_rouge
from engram.windows.text_features import content_groups, huffman_coding_length, token_entropy

PREFIX, WINDOW = 32, 64
VOCABULARY = 50_304
CHARACTERS = 230
"""Of a text, about what 64 tokens are."""
SPLITS = ("pile_deduped_12b", "memories_deduped_12b")
MEMORIZED = 0.27
"""Share of the rows in the second split, as for the largest model; a tenth of them stands in the
first one too.
"""
GIBIBYTE = 1 << 30
CORES = len(os.sched_getaffinity(0))


def library_text() -> str:
    """Files of the standard library, 20 MB of code and prose."""
    parts: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" not in path.parts:
            parts.append(path.read_text(encoding="utf-8", errors="ignore"))
        if sum(map(len, parts[-1:])) and len(parts) > 1500:
            break
    return "".join(parts)


def texts(rows: int, library: str, random: np.random.Generator) -> list[str]:
    """Cuts of the library, and one text in ten that counts or repeats."""
    begins = random.integers(0, len(library) - CHARACTERS, rows)
    made = [library[begin : begin + CHARACTERS] for begin in begins]
    for row in range(0, rows, 20):
        made[row] = ", ".join(f"0x{number:x}" for number in range(row, row + 40))[:CHARACTERS]
        made[row + 1 : row + 2] = [made[row][:30] * 8] if row + 1 < rows else []
    return made


def write_split(path: Path, first_id: int, rows: int, memorized: bool, seed: int) -> None:
    """One file of the data set, with all of its columns."""
    random, library = np.random.default_rng(seed), library_text()
    writer = None
    for start in range(0, rows, ROWS):
        n = min(ROWS, rows - start)
        tokens = (VOCABULARY * random.random((n, WINDOW)) ** 3).astype(
            np.int64
        )  # frequent and rare ids
        copied = random.random(n) < 0.2
        tokens[copied, PREFIX:] = tokens[copied, :PREFIX]
        tokens[: n // 6, PREFIX:] = tokens[n // 6 : 2 * (n // 6), PREFIX:]
        offsets = pa.array(np.arange(0, (n + 1) * WINDOW, WINDOW, dtype=np.int32))
        whole, real = random.integers(1, 1000, n), random.random(n)
        columns: dict[str, Any] = {
            "sequence_id": np.arange(first_id + start, first_id + start + n),
            "text": texts(n, library, random),
            "is_incrementing": real < 0.02,
            "is_repeating": real > 0.98,
            "sequence_duplicates": whole,
            "frequencies": pa.ListArray.from_arrays(offsets, pa.array(tokens.ravel() * 7)),
            "tokens": pa.ListArray.from_arrays(offsets, pa.array(tokens.ravel())),
            "smallest_repeating_chunk": pa.array([[]] * n, pa.list_(pa.int64())),
            "huffman_coding_length": real * 5,
            "memorization_score": np.ones(n) if memorized else np.floor(real * 33) / 32,
        }
        for name in (
            "loss",
            "prompt_perplexity",
            "generation_perplexity",
            "sequence_perplexity",
            "nl_scores",
        ):
            columns[name] = real.astype(np.float32)
        for name in ("max_frequency", "min_frequency", "p25_frequency", "p75_frequency"):
            columns[name] = whole
        for name in ("0_8_snowclones", "0_9_snowclones", "0_8_templates", "0_9_templates"):
            columns[name] = whole
        for name in ("avg_frequency", "median_frequency"):
            columns[name] = real
        for name in ("repeating_offset", "num_repeating"):
            columns[name] = np.zeros(n, np.int32)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=1000)  # the hub's row groups
    if writer:
        writer.close()


def generate(folder: Path, rows: int) -> None:
    """Both splits."""
    (folder / "data").mkdir(parents=True)
    memories = int(rows * MEMORIZED)
    pile = rows - memories
    write_split(folder / "data" / f"{SPLITS[0]}-00000-of-00001.parquet", 0, pile, False, 0)
    write_split(
        folder / "data" / f"{SPLITS[1]}-00000-of-00001.parquet",
        pile - memories // 10,
        memories,
        True,
        1,
    )


def read_source(folder: Path) -> None:
    """Published splits to candidates.parquet."""
    files, _ = find_splits(folder, None, SPLITS)
    write_candidates(files, folder / "candidates.parquet", WINDOW, None, {"source": "hub"})


def label_source(folder: Path) -> None:
    """candidates.parquet to labels.parquet."""
    write_labels(folder / "candidates.parquet", folder / "labels.parquet", PREFIX, processes=CORES)


def measured(stage: Callable[..., None], *arguments: Any) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak GiB of a stage in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, stage, arguments))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise SystemExit(f"{stage.__name__} failed") from None
    finally:
        process.join()


def _child(sender: Any, stage: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    start = time.perf_counter()
    stage(*arguments)
    wall = time.perf_counter() - start
    own, forked = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in (own, forked))
    peak = own.ru_maxrss + (CORES * forked.ru_maxrss if forked.ru_utime else 0)
    sender.send((wall, cpu, peak * 1024 / GIBIBYTE))


def label_costs(folder: Path) -> dict[str, float]:
    """CPU µs per row of each label on one core, over the first batch."""
    table = next(iter(read_batches(folder / "candidates.parquet")))
    tokens, batch = stacked_tokens(table), table["text"].to_pylist()
    prefix_suffix_rouge(tokens[:1], PREFIX)  # compile
    steps: dict[str, Callable[[], Any]] = {
        "rouge_l, rouge_3": lambda: prefix_suffix_rouge(tokens, PREFIX),
        "is_repeating, is_incrementing": lambda: reconstruct_labels(batch),
        "is_code (offline)": lambda: is_code(batch),
        "huffman_coding_length": lambda: [huffman_coding_length(text) for text in batch],
        "token_entropy": lambda: token_entropy(tokens),
        "content_group": lambda: content_groups(tokens[:, PREFIX:]),
    }
    costs = {}
    for name, step in steps.items():
        start = time.process_time()
        step()
        costs[name] = 1e6 * (time.process_time() - start) / len(batch)
    return costs


def main() -> None:
    """Runs the stages and prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of both splits together")
    parser.add_argument(
        "--folder", type=Path, help="where the files lie; a temporary folder unless given"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the files, and use the source that is there"
    )
    arguments = parser.parse_args()
    if arguments.rows < 100:
        parser.error("--rows: take at least 100")
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="engram-labels-"))
    try:
        if not (folder / "data").is_dir():
            seconds, *_ = measured(generate, folder, arguments.rows)
            print(f"source of {arguments.rows:,} rows written in {seconds:.0f} s")
        print(f"{CORES} cores, load {os.getloadavg()[0]:.1f} at the start")
        print(f"{'stage':<32}{'wall s':>10}{'CPU s':>10}{'CPU µs/row':>12}{'peak GiB':>10}")
        total = np.zeros(2)
        for stage in (read_source, label_source):
            *seconds, peak = measured(stage, folder)
            total += seconds
            print(
                f"{stage.__name__:<32}{seconds[0]:>10.0f}{seconds[1]:>10.0f}"
                f"{1e6 * seconds[1] / arguments.rows:>12.1f}{peak:>10.2f}"
            )
        print(
            f"{'both':<32}{total[0]:>10.0f}{total[1]:>10.0f}"
            f"{1e6 * total[1] / arguments.rows:>12.1f}"
        )
        print(f"\n{'label, one core':<32}{'CPU µs/row':>10}")
        for name, cost in label_costs(folder).items():
            print(f"{name:<32}{cost:>10.2f}")
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
