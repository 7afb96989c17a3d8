"""What a forward under a knock-out costs against a plain batched one, at the shapes of Pythia
models.

    python perf/knockout.py --shapes 160m --rows 32 --rounds 5
    python perf/knockout.py --shapes 12b --dtype float16 --rounds 3      (needs a GPU)

Weights and tokens are random; speed does not depend on them. All ways run in turn on the same
batch, `--rounds` times; the median ratio counts. The plain forward applies the head to the suffix
and scores it, with `transformers`' own choice of attention. Every row of a knocked-out batch is
under its own condition, which touches every layer, which is the dearest case; `from the middle`
touches the upper half of the layers alone and starts from stored hidden states. On a processor
times are CPU time, on a GPU time of its own clock. The bar: 1.3 times the plain forward.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from random_pythia import random_pythia
from transformers import GPTNeoXForCausalLM

from engram.io.packing import packed_length
from engram.lm.conditions import Condition
from engram.lm.interventions import Means, knock_out
from engram.lm.models import default_device, suffix_logits, token_scores
from engram.run.plan import PYTHIA

PREFIX, WINDOW = 32, 64
BAR = 1.3


@torch.inference_mode()
def plain(model: GPTNeoXForCausalLM, tokens: np.ndarray) -> None:
    """One forward of the batch, scored."""
    batch = torch.from_numpy(tokens).to(model.device)
    token_scores(model, suffix_logits(model, batch, PREFIX)[0], batch[:, PREFIX:])[0].cpu()


def conditions(kind: str, operation: str, rows: int, shape: str, first: int) -> list[Condition]:
    """As many different conditions as rows, from a layer on."""
    layers, _, heads, _ = PYTHIA[shape]
    generator = np.random.default_rng(0)
    above = (np.arange(layers) >= first)[:, None]
    if kind == "cells":
        return [
            Condition(
                operation, cells=(generator.random((layers, packed_length(WINDOW))) < 0.1) & above
            )
            for _ in range(rows)
        ]
    return [
        Condition(operation, heads=(generator.random((layers, heads)) < 0.3) & above)
        for _ in range(rows)
    ]


def measure(shape: str, rows: int, rounds: int, dtype: torch.dtype) -> pd.DataFrame:
    """One line per way: milliseconds per sequence, and its ratio to the plain forward."""
    model = random_pythia(shape, dtype)
    layers, width, heads, _ = PYTHIA[shape]
    tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, (rows, WINDOW))
    means = Means(
        torch.rand(layers, heads, WINDOW, WINDOW, device=model.device),
        torch.rand(layers, WINDOW, heads, width // heads, device=model.device),
    )

    def knocked(chosen: list[Condition]) -> Callable[[], None]:
        # One sample under as many conditions as the plain batch has rows.
        return lambda: (
            [None for _ in knock_out(model, tokens[:1], PREFIX, chosen, means, rows * WINDOW)]
            and None
        )

    ways: dict[str, Callable[[], None]] = {"plain": lambda: plain(model, tokens)}
    for kind in ("cells", "heads"):
        for operation in ("remove", "mean"):
            ways[f"{kind}, {operation}"] = knocked(conditions(kind, operation, rows, shape, 0))
    ways["cells, remove, from the middle"] = knocked(
        conditions("cells", "remove", rows, shape, layers // 2)
    )
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            began = clock()
            way()
            if round_:  # the first round of a process is slow
                seconds[name].append(clock() - began)
    ratios = {
        name: np.median(np.divide(times, seconds["plain"])) for name, times in seconds.items()
    }
    return pd.DataFrame(
        {
            "shape": shape,
            "way": list(ways),
            "ms/sequence": [1e3 * np.median(times) / rows for times in seconds.values()],
            "of plain": list(ratios.values()),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=PYTHIA, default=["160m"])
    parser.add_argument("--rows", type=int, default=32, help="sequences per forward")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{default_device().type}, {options.dtype}, {options.rows} sequences of {WINDOW} tokens "
        f"per forward"
    )
    for shape in options.shapes:
        table = measure(shape, options.rows, options.rounds, getattr(torch, options.dtype))
        worst = table["of plain"].max()
        print(table.to_string(index=False, float_format="%.2f"))
        print(
            f"dearest: {worst:.2f} x the plain forward; bar {BAR}: "
            f"{'met' if worst <= BAR else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
