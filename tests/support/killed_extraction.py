"""Extraction in processes that are killed: what is left behind, and whether a rerun ends with the
right shard.

    python tests/support/killed_extraction.py --kills 50

Every run builds a shard of `ROWS` sequences from nothing in a process of its own, which gets
SIGKILL after a random part of the time that a whole run takes. Whatever the process left is checked
row by row against the model; then the run is repeated.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tiny_models import gpt_neox, random_tokens

from engram.lm.attention import extract
from engram.store import shards
from engram.store.attention_file import POOLINGS, AttentionFile
from engram.store.parts import FinishedRows, read_places
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, ShardReport, build_shard

WINDOW, PREFIX, ROWS, PART_ROWS = 12, 6, 360, 24
SETTINGS = ExtractionSettings(prefix=PREFIX, batch_tokens=8 * WINDOW)
SEQUENCES = pd.DataFrame(
    {"sequence_id": np.arange(ROWS), "tokens": list(random_tokens(ROWS, WINDOW).astype(np.int32))}
)


def processes() -> ForkServerContext:
    """Return processes that start at once: their parent has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["extraction"])
    return context


def build(folder: Path) -> ShardReport:
    """Build the shard under test, in pieces of a few rows."""
    torch.set_num_threads(1)
    shards.PART_ROWS = PART_ROWS
    return build_shard(
        ModelSource("tiny", "f00d", gpt_neox),
        SEQUENCES,
        folder / ".parts",
        folder / "shard-0.h5",
        SETTINGS,
    )


def start(context: ForkServerContext, folder: Path) -> BaseProcess:
    """Do the same in another process."""
    process = context.Process(target=build, args=(folder,))
    process.start()
    return process


def reference() -> dict[str, np.ndarray]:
    """Return maps of all sequences, straight from the model."""
    torch.set_num_threads(1)
    batches = list(
        extract(gpt_neox(), np.stack(SEQUENCES["tokens"]), PREFIX, SETTINGS.batch_tokens)
    )
    return {
        pooling: np.concatenate([getattr(batch, pooling) for batch in batches])
        for pooling in POOLINGS
    }


def check_rows(maps: np.ndarray, rows: list[int], pooling: str, expected: dict) -> None:
    """Check that maps are the model's attention of some sequences."""
    # Up to rounding: what was missing may be batched differently from the first time.
    np.testing.assert_allclose(
        maps, expected[pooling][rows], atol=1e-3 if pooling == "max" else 1e-6
    )


def check_kept(folder: Path, keys: dict[bytes, int], expected: dict[str, np.ndarray]) -> int:
    """Check that every row that a killed job kept is the model's attention of its sequence; return
    the number of rows.
    """
    places = FinishedRows(folder / ".parts/f00d", "f00d").locate(list(keys))
    for pooling in POOLINGS if places else ():
        maps = read_places(list(places.values()), pooling)
        check_rows(maps, [keys[key] for key in places], pooling, expected)
    return len(places)


def check_whole(folder: Path, keys: dict[bytes, int], expected: dict[str, np.ndarray]) -> None:
    """Check that the shard has every sequence, in order, with the model's attention."""
    shard = AttentionFile(folder / "shard-0.h5")
    np.testing.assert_array_equal(shard.columns["sequence_id"], SEQUENCES["sequence_id"])
    for pooling in POOLINGS:
        rows = [keys[key] for key in shard.keys]
        check_rows(shard.read(range(ROWS), pooling), rows, pooling, expected)


def kill_and_resume(
    context: ForkServerContext,
    folder: Path,
    seconds: float,
    keys: dict[bytes, int],
    expected: dict[str, np.ndarray],
) -> tuple[str, int]:
    """Kill a run after some seconds, check what is left, and repeat it; return where the kill hit
    it and how many rows were kept.
    """
    process = start(context, folder)
    time.sleep(seconds)
    process.kill()  # where the run has ended meanwhile, the kill came after the end
    process.join()
    kept = check_kept(folder, keys, expected)
    finished = (folder / "shard-0.h5").exists()
    if finished:
        check_whole(folder, keys, expected)
    report = build(folder)
    check_whole(folder, keys, expected)
    assert report.forwards == ROWS - kept
    left = [path.name for path in (folder / ".parts/f00d").glob("[!.]*")]
    assert len(left) == 1, left
    return ("after the end" if finished else "at work" if kept else "before the first piece"), kept


def run(kills: int, seed: int) -> Counter[str]:
    """Kill and resume as often as asked; return where the kills hit."""
    context, odds = processes(), random.Random(seed)
    expected = reference()
    keys = dict(
        zip(
            shards.row_keys(np.stack(SEQUENCES["tokens"]), PREFIX, SETTINGS.mean_dtype),
            range(ROWS),
            strict=True,
        )
    )
    hits: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        durations = []
        for number in range(3):
            began = time.monotonic()
            process = start(context, Path(temporary) / f"whole-{number}")
            process.join()
            assert process.exitcode == 0
            durations.append(time.monotonic() - began)
        for number in range(kills):
            folder = Path(temporary) / f"run-{number}"
            where, kept = kill_and_resume(
                context, folder, odds.uniform(0, min(durations)), keys, expected
            )
            print(f"kill {number + 1} of {kills}: {where}, {kept} of {ROWS} rows kept", flush=True)
            hits[where] += 1
    return hits


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    hits = run(options.kills, options.seed)
    print(
        f"{options.kills} kills, no wrong or half shard: "
        + ", ".join(f"{count} {where}" for where, count in hits.items())
    )


if __name__ == "__main__":
    main()
