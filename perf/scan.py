"""What it costs to find a memorized window: all scored in full, or strata with early exit.

    python perf/scan.py results/STUDY/MODEL/windows.parquet results/STUDY/MODEL/model
        [--prefix 48] [--windows 400] [--plain 64] [--first 8]

The windows are those of a study with source `packages`; the metadata of the file say how many there
are in each stratum. Of each stratum some are scored with early exit, and some of these in full as
well: their labels must be equal. Time is that of the processor in one thread, because a machine is
rarely quiet. A window drawn from all text is extracted as often as the strata are, weighted by how
many windows each has. Prints a table, and the processor seconds per extracted window.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engram.io.artifacts import read_metadata, read_parquet
from engram.lm.generation import memorization_scores
from engram.lm.models import load_model
from engram.sources.scoring import EarlyExit, scores_with_early_exit
from engram.sources.unseen import OVERLAP
from engram.windows.rouge import prefix_suffix_rouge

STRATA = tuple(
    f"{text}, {overlap} overlap" for text in ("code", "prose") for overlap in ("low", "high")
)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `work` returns, and its processor seconds."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--prefix", type=int, default=48)
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--plain", type=int, default=64)
    parser.add_argument("--first", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    windows, counts = read_parquet(options.table), read_metadata(options.table)["strata"]
    model = load_model(options.model, dtype="float32", device="cpu")
    tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)  # (n, T)
    high = np.maximum(*prefix_suffix_rouge(tokens, tokens.shape[1] // 2)) >= OVERLAP
    code = windows["is_code"].to_numpy()
    early = EarlyExit(options.first, 0.0, 0)
    share, rate, cost, plain = {}, {}, {}, []
    print("stratum | share of all windows | scored | extracted | CPU s a window, early exit")
    unseen = {name: counts[name]["windows"] - counts[name]["seen before"] for name in STRATA}
    for number, name in enumerate(STRATA):
        own = np.flatnonzero((code == (number < 2)) & (high == bool(number % 2)))
        rows = np.random.default_rng(number).permutation(own)[: options.windows]
        share[name] = unseen[name] / sum(unseen.values())
        scores, seconds = timed(
            lambda rows=rows: scores_with_early_exit(
                model, rows, tokens[rows], options.prefix, early
            )
        )
        rate[name], cost[name] = scores["extracted"].mean(), seconds / len(rows)
        print(
            f"{name} | {share[name]:.4f} | {len(rows)} | {scores['extracted'].sum()} | "
            f"{cost[name]:.3f}",
            flush=True,
        )
        few = rows[: options.plain]
        full, seconds = timed(
            lambda few=few: memorization_scores(model, tokens[few], options.prefix)
        )
        plain.append(seconds / len(few))
        same = full["extracted"].to_numpy() == scores["extracted"].to_numpy()[: len(few)]
        print(f"  in full: {plain[-1]:.3f} CPU s a window, labels equal: {bool(same.all())}")
    overall = sum(share[name] * rate[name] for name in STRATA)
    whole = sum(share[name] * seconds for name, seconds in zip(STRATA, plain, strict=True))
    print(f"drawn from all text, in full: {whole / overall:.1f} CPU s per extracted window")
    for name in STRATA:
        if rate[name]:
            each = cost[name] / rate[name]
            print(
                f"{name}, early exit: {each:.1f} CPU s per extracted window, "
                f"{whole / overall / each:.1f} times less"
            )


if __name__ == "__main__":
    main()
