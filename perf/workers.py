"""Measures scoring, extraction, continuations, hidden states and knock-out of the nursery on a
processor: two torch threads on batches of 8,192 tokens, which was the way before, against two
workers of one thread each, on a quiet machine and beside a busy loop.

The two ways take turns, round by round; the median round counts. Close other programs first.

    python perf/workers.py --rounds 5
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from busy import beside

from engram.io.packing import packed_length
from engram.lm import attention, generation, interventions
from engram.lm.conditions import Condition
from engram.lm.hidden_states import pooled_states
from engram.lm.models import in_batches, load_model

BASE = Path(__file__).parents[1] / "resources" / "nursery"
PREFIX, WINDOW, BATCH_TOKENS, VOCABULARY = 32, 64, 8192, 2048


def in_turn(
    run: Callable[[slice], Any], rows: int, batch_rows: int, _label: str, _device: torch.device
) -> Iterator[tuple[slice, Any]]:
    """Run one batch after the other: `in_batches` as it was."""
    for start in range(0, rows, batch_rows):
        part = slice(start, min(start + batch_rows, rows))
        yield part, run(part)


def stages(model: Any, rows: int) -> dict[str, Callable[[Callable[..., Any]], object]]:
    """Return the stages by name; each is given the way to run its batches."""
    tokens = np.random.default_rng(0).integers(1, VOCABULARY, (rows, WINDOW))
    layers = model.config.num_hidden_layers
    removed = np.random.default_rng(1).random((8, layers, packed_length(WINDOW))) < 0.1
    conditions = [Condition(cells=cells) for cells in removed]

    def scores() -> None:
        generation.teacher_forced_scores(model, tokens, PREFIX, BATCH_TOKENS)

    def continuations() -> None:
        generation.greedy_continuations(model, tokens[:, :PREFIX], PREFIX, BATCH_TOKENS)

    def extraction() -> None:
        list(attention.extract(model, tokens, PREFIX, BATCH_TOKENS))

    def knock_out() -> None:
        list(interventions.knock_out(model, tokens[: rows // 8], PREFIX, conditions))

    def patched(stage: Callable[[], None]) -> Callable[[Callable[..., Any]], None]:
        def run(way: Callable[..., Any]) -> None:
            with (
                patch.object(generation, "in_batches", way),
                patch.object(attention, "in_batches", way),
                patch.object(interventions, "in_batches", way),
            ):
                stage()

        return run

    def hidden_states(way: Callable[..., Any]) -> None:
        def run(part: slice) -> torch.Tensor:
            return pooled_states(model, torch.from_numpy(tokens[part]))

        list(way(run, rows, BATCH_TOKENS // WINDOW, "hidden states", model.device))

    of_language_model = {
        stage.__name__: patched(stage) for stage in (scores, continuations, extraction, knock_out)
    }
    return {**of_language_model, "hidden_states": hidden_states}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.workers)
    model = load_model(BASE, dtype="float32", device="cpu")
    ways = {"threads": in_turn, "workers": in_batches}
    print("| machine | stage | rows/s, threads | rows/s, workers | ratio | CPU ratio |")
    print("|---|---|---|---|---|---|")
    for loops, machine in ((0, "quiet"), (1, "beside a busy loop")):
        with beside(loops):
            for name, stage in stages(model, arguments.rows).items():
                found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
                for _ in range(arguments.rounds):
                    for way, batches in ways.items():
                        wall, cpu = time.perf_counter(), time.process_time()
                        stage(batches)
                        found[way].append((time.perf_counter() - wall, time.process_time() - cpu))
                pairs = list(zip(*found.values(), strict=True))
                wall, cpu = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
                rates = [
                    f"{arguments.rows / statistics.median(wall for wall, _ in rounds):.0f}"
                    for rounds in found.values()
                ]
                row = [machine, name.replace("_", " "), *rates, f"{wall:.2f} ×", f"{cpu:.2f} ×"]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
