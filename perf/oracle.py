"""What an extraction job pays for being compared with transformers (`engram.lm.oracle`).

    python perf/oracle.py --samples 96

Builds a shard with and without the comparison, in alternating rounds; the fastest of each counts.
Times are CPU time of one thread, so that a busy machine does not distort the ratio. The cost does
not grow with the job, so that a share of a small job says little: the bar is 1 % or 5 seconds."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pandas as pd
import torch
from random_pythia import random_pythia
from transformers import PreTrainedModel

from engram.lm.attention import BATCH_TOKENS
from engram.lm.models import load_model
from engram.nursery.shipped import shipped_model
from engram.store import shards
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, build_shard

PREFIX, WINDOW = 32, 64
SHARE, SECONDS = 0.01, 5.0
"""The bar: the job may take this much longer, as a share or in seconds."""


def model_of(shape: str, dtype: torch.dtype) -> PreTrainedModel:
    """Return the model that ships with Engram, or a Pythia of random weights."""
    if shape == "nursery":
        name = str(dtype).removeprefix("torch.")
        return load_model(shipped_model("nursery"), dtype=name)
    return random_pythia(shape, dtype)


def seconds(model: PreTrainedModel, tokens: np.ndarray, compared: bool) -> float:
    """Return the CPU seconds of one job."""
    sequences = pd.DataFrame({"sequence_id": np.arange(len(tokens)), "tokens": list(tokens)})
    settings = ExtractionSettings(prefix=PREFIX, batch_tokens=BATCH_TOKENS)
    expect = shards.expect_some if compared else lambda *_arguments: {}
    with TemporaryDirectory() as folder, mock.patch.object(shards, "expect_some", expect):
        source = ModelSource("timed", "0", lambda: model)
        began = time.process_time()
        build_shard(source, sequences, Path(folder), Path(folder) / "shard.h5", settings)
        return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=["nursery", "70m", "160m"])
    parser.add_argument("--samples", type=int, default=192)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for shape in options.shapes:
        model = model_of(shape, getattr(torch, options.dtype))
        vocabulary = model.config.vocab_size
        tokens = np.random.default_rng(0).integers(0, vocabulary, (options.samples, WINDOW))
        seconds(model, tokens[:8], compared=True)  # the first forward of a process is slow
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.rounds):
            for compared, found in times.items():
                found.append(seconds(model, tokens, compared))
        without, compared = min(times[False]), min(times[True])
        extra = compared - without
        met = extra <= SECONDS or extra <= SHARE * without
        print(
            f"{shape}, {options.dtype}, {options.samples} sequences: {without:.2f} s without, "
            f"{compared:.2f} s with the comparison: {extra:+.2f} s, ratio {compared / without:.3f} "
            f"(bar {SHARE:.0%} or {SECONDS:g} s): {'met' if met else 'NOT MET'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
