"""Extraction and continuations of a Pythia of random weights on one GPU, against its matrix
multiplication rate.

    python perf/gpu_extraction.py --shape 12b --dtype float16 python
    perf/gpu_extraction.py --shape 70m --dtype float32 --sequences 32 --batch-tokens 1024   #
    any machine
    python perf/gpu_extraction.py --prefix 256 --suffix 256 --sequences 256 --kernel

Prints sequences per second of the extraction with verification, how much longer it takes than the
bare forward with the fastest attention of torch, the fraction of the measured matrix multiplication
rate that its operations make, tokens per second of the continuations, peak memory, and the wall
time projected for a pool.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from random_pythia import random_pythia
from transformers import GPTNeoXForCausalLM

from engram.lm.attention import extract
from engram.lm.generation import greedy_continuations
from engram.lm.models import default_device, suffix_logits
from engram.run.plan import PYTHIA, shape_of

OVERHEAD_BAR = 0.068
"""How much longer than the bare forward extraction may take."""


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of a step, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def matmul_rate(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of the model's widest product, median of five."""
    left, right = (
        torch.randn(shape, device=device, dtype=dtype)
        for shape in ((rows, width), (width, 4 * width))
    )
    times = [timed(lambda: [left @ right for _ in range(20)], device) for _ in range(6)][1:]
    return 20 * 8.0 * rows * width**2 / float(np.median(times))


def bare_forward(
    model: GPTNeoXForCausalLM, tokens: np.ndarray, prefix: int, batch_tokens: int
) -> None:
    """Run the model alone, with the logits of the suffix that the verification needs too."""
    rows = max(1, batch_tokens // tokens.shape[1])
    with torch.inference_mode():
        for start in range(0, len(tokens), rows):
            batch = torch.from_numpy(tokens[start : start + rows]).to(model.device)
            suffix_logits(model, batch, prefix)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=PYTHIA, default="12b")
    parser.add_argument("--dtype", choices=("float16", "bfloat16", "float32"), default="float16")
    parser.add_argument("--prefix", type=int, default=32)
    parser.add_argument("--suffix", type=int, default=32)
    parser.add_argument("--sequences", type=int, default=2048)
    parser.add_argument("--batch-tokens", type=int, default=16_384)
    parser.add_argument(
        "--kernel", action="store_true", help="measure attention.kernel: triton too"
    )
    parser.add_argument("--pool", type=int, default=70_000, help="sequences to project for")
    parser.add_argument(
        "--continued", type=int, default=6_000, help="of them, continuations to project for"
    )
    options = parser.parse_args()
    prefix, window = options.prefix, options.prefix + options.suffix
    device, dtype = default_device(), getattr(torch, options.dtype)
    model = random_pythia(options.shape, dtype)
    config = model.config
    shape = shape_of(config)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (options.sequences, window))
    warm = tokens[: options.batch_tokens // window]
    list(extract(model, warm, prefix, options.batch_tokens))
    bare_forward(model, warm, prefix, options.batch_tokens)
    bare = timed(lambda: bare_forward(model, tokens, prefix, options.batch_tokens), device) / len(
        tokens
    )
    extraction = timed(
        lambda: [None for _ in extract(model, tokens, prefix, options.batch_tokens)], device
    ) / len(tokens)
    continuation = timed(
        lambda: greedy_continuations(
            model, tokens[:, :prefix], options.suffix, options.batch_tokens
        ),
        device,
    ) / len(tokens)
    if options.kernel:

        def with_kernel(windows: np.ndarray) -> None:
            for _ in extract(model, windows, prefix, options.batch_tokens, kernel="triton"):
                pass

        with_kernel(warm)
        kernel = timed(lambda: with_kernel(tokens), device) / len(tokens)
    rate = matmul_rate(options.batch_tokens, config.hidden_size, dtype, device)
    reached = shape.forward_flops(window, options.suffix) / extraction
    processor = f"processor, {torch.get_num_threads()} threads"
    print(f"device: {torch.cuda.get_device_name() if device.type == 'cuda' else processor}")
    print(
        f"pythia-{options.shape}, {options.dtype}, {options.batch_tokens} tokens a batch, "
        f"{len(tokens)} sequences of {window} tokens"
    )
    print(
        f"extraction: {1 / extraction:,.1f} sequences/s, {reached:.3g} FLOP/s, "
        f"{reached / rate:.0%} of its matmul rate (bar: 50 %)"
    )
    print(
        f"bare forward with {model.config._attn_implementation}: {1 / bare:,.1f} sequences/s; "
        f"extraction takes {extraction / bare - 1:.1%} longer (bar: {OVERHEAD_BAR:.1%})"
    )
    if options.kernel:
        print(
            f"extraction with the kernel: {1 / kernel:,.1f} sequences/s, {kernel / extraction:.2f} "
            f"of the time without it; {kernel / bare - 1:.1%} longer than the bare forward"
        )
    print(f"continuations: {options.suffix / continuation:,.0f} tokens/s")
    if device.type == "cuda":
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    hours = (options.pool * extraction + options.continued * continuation) / 3600
    print(
        f"projected: {hours:.2f} h for {options.pool:,} sequences, {options.continued:,} of them "
        f"continued first"
    )


if __name__ == "__main__":
    main()
