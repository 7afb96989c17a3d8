"""Peak memory and time of pooled attention for long windows: blocks of queries against whole eager
weights, and against the kernel (`attention.kernel: triton`).

    python perf/long_windows.py --shape 70m --windows 128 512 1024 2048
    python perf/long_windows.py --shape 1b --dtype float16 --kernel        # a GPU

Weights and tokens are random. Every measurement is a process of its own, so that its peak is its
own: on a GPU what torch allocated, on a processor the growth of the resident set, both over the
model at rest. Processor times are CPU time of one thread. `eager` computes a layer's weights of all
heads in one piece, as windows of up to 160 tokens are; `all layers` is transformers'
`output_attentions`, pooled afterwards. The bars: blocks take at most half of eager's memory from
512 tokens on, and at most 1.1 times its time."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import torch
from random_pythia import random_pythia
from transformers import GPTNeoXForCausalLM

from engram.io.packing import pack
from engram.lm import attention
from engram.lm.attention import pooled_attention
from engram.lm.fused_pooling import FusedPooling
from engram.run.plan import PYTHIA

WAYS = ("blocks", "eager", "all layers")
KERNEL = "kernel"
"""The way that --kernel adds; it needs a GPU."""
MEMORY_BAR, TIME_BAR, BARRED_FROM = 0.5, 1.1, 512


@torch.inference_mode()
def all_layers(model: GPTNeoXForCausalLM, tokens: np.ndarray) -> None:
    """Keep the weights of all heads of all layers, then pool them."""
    model.set_attn_implementation("eager")
    read = torch.from_numpy(tokens).to(model.device)
    for weights in model.gpt_neox(read, use_cache=False, output_attentions=True).attentions:
        pack(weights.amax(1)).cpu()
        pack(weights.mean(1, dtype=torch.float32)).cpu()


def run(way: str, model: GPTNeoXForCausalLM, tokens: np.ndarray) -> None:
    """Pool attention in one way, all sequences in one batch."""
    if way == "all layers":
        all_layers(model, tokens)
        return
    if way == "eager":
        attention.rows_of_block = lambda positions: positions
    if way == KERNEL:
        FusedPooling._agrees = lambda *_: True  # a job compares once, not for every batch
    pooled_attention(model, tokens, tokens.size, kernel="triton" if way == KERNEL else "torch")


def peak(device: torch.device) -> int:
    """Return the most memory taken until now, bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def clock(device: torch.device) -> float:
    """Return seconds of the processor, or of the wall where a GPU computes."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def child(way: str, shape: str, window: int, rows: int, dtype: str, rounds: int) -> None:
    """Measure one way, and print it as JSON."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = random_pythia(shape, getattr(torch, dtype)).to(device)
    tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, (rows, window))
    run(way, model, tokens[:1, :32])
    before, seconds = peak(device), []
    for _ in range(rounds):
        began = clock(device)
        run(way, model, tokens)
        seconds.append(clock(device) - began)
    megabytes = (peak(device) - before) / 1e6
    print(json.dumps({"s/sequence": min(seconds) / rows, "peak MB": megabytes}))


def measure(
    ways: tuple[str, ...], shape: str, windows: list[int], rows: int, dtype: str, rounds: int
) -> pd.DataFrame:
    """Return a row per window and way: seconds a sequence, peak megabytes of the batch."""
    table = []
    for window in windows:
        for way in ways:
            arguments = [way, shape, str(window), str(rows), dtype, str(rounds)]
            done = subprocess.run(
                [sys.executable, __file__, "--child", *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            lines = done.stdout.splitlines()
            found = json.loads(lines[-1]) if done.returncode == 0 else {}
            if not found:
                print(f"{way}, {window} tokens: {done.stderr.strip().splitlines()[-1:]}")
            table.append({"window": window, "way": way, **found})
    return pd.DataFrame(table)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        way, shape, window, rows, dtype, rounds = sys.argv[2:]
        child(way, shape, int(window), int(rows), dtype, int(rounds))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=PYTHIA, default="70m")
    parser.add_argument("--windows", nargs="+", type=int, default=[128, 512, 1024])
    parser.add_argument("--rows", type=int, default=2, help="sequences of the batch")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kernel", action="store_true", help="measure the kernel too")
    options = parser.parse_args()
    ways = (*WAYS, KERNEL) if options.kernel else WAYS
    sizes = (options.shape, options.windows, options.rows, options.dtype, options.rounds)
    table = measure(ways, *sizes)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    blocks, eager = (table[table["way"] == way].set_index("window") for way in ("blocks", "eager"))
    for window in options.windows:
        if window >= BARRED_FROM:
            memory, seconds = (
                blocks[column][window] / eager[column][window]
                for column in ("peak MB", "s/sequence")
            )
            met = memory <= MEMORY_BAR and seconds <= TIME_BAR
            print(
                f"{window} tokens: {memory:.2f} of eager's memory (bar {MEMORY_BAR}), "
                f"{seconds:.2f} of its time (bar {TIME_BAR}): {'met' if met else 'NOT MET'}"
            )


if __name__ == "__main__":
    main()
