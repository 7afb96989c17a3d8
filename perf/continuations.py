"""Greedy continuations: keys and values written into room set aside for them, against transformers'
cache, which copies all of them for every token.

    python perf/continuations.py --shape 70m --windows 64 512 1024 --rows 16

Weights and prefixes are random; half of a window is prefix. Both ways run in turn on the same
prefixes, and must write the same tokens. Times are CPU time of one thread, or wall time where a GPU
computes; the fastest round counts."""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from random_pythia import random_pythia
from transformers import GPTNeoXForCausalLM

from engram.lm import generation
from engram.run.plan import PYTHIA


def written(
    model: GPTNeoXForCausalLM, prefixes: np.ndarray, copying: bool
) -> tuple[np.ndarray, float]:
    """Return continuations as long as the prefixes, all in one batch, and the seconds they took."""
    on_gpu = model.device.type == "cuda"
    way = patch.object(generation, "reserve", lambda _cache, _more: None)
    with way if copying else nullcontext():
        if on_gpu:
            torch.cuda.synchronize()
        began = time.perf_counter() if on_gpu else time.process_time()
        tokens = generation.greedy_continuations(
            model, prefixes, prefixes.shape[1], 2 * prefixes.size, quiet=True
        )
        return tokens, (time.perf_counter() if on_gpu else time.process_time()) - began


def measure(model: GPTNeoXForCausalLM, windows: list[int], rows: int, rounds: int) -> pd.DataFrame:
    """Return a row per window: tokens per second both ways, their ratio, and whether the tokens are
    the same.
    """
    random, table = np.random.default_rng(0), []
    for window in windows:
        prefixes = random.integers(0, model.config.vocab_size, (rows, window // 2))
        written(model, prefixes[:, :4], copying=True)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        texts = {}
        for _ in range(rounds):
            for copying in seconds:
                texts[copying], taken = written(model, prefixes, copying)
                seconds[copying].append(taken)
        copied, reserved = (rows * (window // 2) / min(seconds[way]) for way in (True, False))
        table.append(
            {
                "window": window,
                "tokens/s copying": copied,
                "tokens/s in place": reserved,
                "ratio": reserved / copied,
                "same tokens": bool((texts[True] == texts[False]).all()),
            }
        )
    return pd.DataFrame(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=PYTHIA, default="70m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--windows", nargs="+", type=int, default=[64, 512])
    parser.add_argument("--rows", type=int, default=16, help="sequences of the batch")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = random_pythia(options.shape, getattr(torch, options.dtype))
    table = measure(model, options.windows, options.rows, options.rounds)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
