"""Speed and size of extraction, compared with the plain way of doing it, at the shapes of small
Pythia models.

    python perf/extraction.py --shapes 70m 160m --samples 96

Weights and tokens are random; speed does not depend on them. Every way runs on the same sequences
in turn, `--rounds` times; the fastest round counts. Times are CPU time of one thread, so that a
busy machine does not distort the ratios. The plain writer runs in batches of 96 as the study's code
does, and in Engram's batches. The bars: 3 times the rate of the plain writer in its own batches at
the 70m shape and 2.4 times at the 160m shape, within 1.25 times the bare forward."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pandas as pd
import torch
from random_pythia import random_pythia
from transformers import GPTNeoXForCausalLM

from engram.lm.attention import pooled_attention
from engram.store.attention_file import COLUMNS, KEY_BYTES, Header, new_attention_file
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, build_shard

PREFIX, WINDOW = 32, 64
BARS = {"70m": 3.0, "160m": 2.4}
"""How much faster than the plain writer maps must be written."""
FORWARD_BAR = 1.25
"""How much longer than the bare forward they may take."""


@torch.inference_mode()
def bare_forward(model: GPTNeoXForCausalLM, tokens: np.ndarray, rows: int, folder: Path) -> None:
    """The base model alone, with the attention that `transformers` chooses; nothing is kept."""
    for start in range(0, len(tokens), rows):
        model.gpt_neox(torch.from_numpy(tokens[start : start + rows]), use_cache=False)


@torch.inference_mode()
def plain_writer(model: GPTNeoXForCausalLM, tokens: np.ndarray, rows: int, folder: Path) -> None:
    """Eager attention of all heads, language-modelling head included, one HDF5 data set (L, H, T,
    T) float16 per sample.
    """
    model.set_attn_implementation("eager")
    with h5py.File(folder / "plain.h5", "w") as file:
        for start in range(0, len(tokens), rows):
            attentions = model(
                torch.from_numpy(tokens[start : start + rows]), output_attentions=True
            ).attentions
            weights = torch.stack(attentions, 1).half().numpy()  # (b, L, H, T, T)
            for row, sample in enumerate(weights):
                file.create_dataset(str(start + row), data=sample)
    model.set_attn_implementation("sdpa")


def pooled_maps(model: GPTNeoXForCausalLM, tokens: np.ndarray, rows: int, folder: Path) -> None:
    """Engram's maps, mean and max, written to an attention file; without the language-modelling
    head.
    """
    mean, highest = pooled_attention(model, tokens, rows * WINDOW)
    header = Header(
        "random",
        "0",
        "float32",
        PREFIX,
        WINDOW - PREFIX,
        highest.shape[1],
        model.config.num_attention_heads,
        "float32",
    )
    columns = {name: np.zeros(len(tokens), dtype) for name, dtype in COLUMNS.items()} | {
        "key": np.zeros((len(tokens), KEY_BYTES), np.uint8)
    }
    with new_attention_file(folder / "pooled.h5", len(tokens), header) as writer:
        maps = {"mean": mean.numpy(), "max": highest.numpy()}
        writer.write(range(len(tokens)), maps, columns)


def shard(model: GPTNeoXForCausalLM, tokens: np.ndarray, rows: int, folder: Path) -> None:
    """Engram's whole shard: maps, parts, and the verification, which needs the head at the suffix's
    positions.
    """
    sequences = pd.DataFrame({"sequence_id": np.arange(len(tokens)), "tokens": list(tokens)})
    with TemporaryDirectory(dir=folder) as parts:
        settings = ExtractionSettings(prefix=PREFIX, batch_tokens=rows * WINDOW)
        build_shard(
            ModelSource("random", "0", lambda: model),
            sequences,
            Path(parts),
            folder / "shard.h5",
            settings,
        )


def plain_writer_of_96(
    model: GPTNeoXForCausalLM, tokens: np.ndarray, rows: int, folder: Path
) -> None:
    """The plain writer in the batches of the study's code."""
    plain_writer(model, tokens, 96, folder)


WAYS: dict[str, tuple[Callable[[GPTNeoXForCausalLM, np.ndarray, int, Path], None], str | None]] = {
    "bare forward": (bare_forward, None),
    "plain writer": (plain_writer_of_96, "plain.h5"),
    "plain writer, same batches": (plain_writer, "plain.h5"),
    "pooled maps": (pooled_maps, "pooled.h5"),
    "shard with verification": (shard, "shard.h5"),
}


def measure(shape: str, samples: int, rows: int, rounds: int) -> pd.DataFrame:
    """One line per way: CPU milliseconds and bytes per sample, and their ratios."""
    model = random_pythia(shape, torch.float32)
    tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, (samples, WINDOW))
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    with TemporaryDirectory() as folder:
        bare_forward(
            model, tokens[:rows], rows, Path(folder)
        )  # the first forward of a process is slow
        for _ in range(rounds):
            for name, (way, _) in WAYS.items():
                began = time.process_time()
                way(model, tokens, rows, Path(folder))
                seconds[name].append(time.process_time() - began)
        sizes = [
            (Path(folder) / file).stat().st_size / samples if file else 0
            for _, file in WAYS.values()
        ]
    table = pd.DataFrame(
        {
            "shape": shape,
            "way": list(WAYS),
            "ms/sample": [1e3 * min(times) / samples for times in seconds.values()],
        }
    )
    cost = table.set_index("way")["ms/sample"]
    table["rate vs plain writer"] = cost["plain writer"] / table["ms/sample"]
    table["time vs bare forward"] = table["ms/sample"] / cost["bare forward"]
    table["kB/sample"] = np.array(sizes) / 1e3
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=BARS, default=list(BARS))
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--rows", type=int, default=16, help="sequences per batch of Engram")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for shape in options.shapes:
        table = measure(shape, options.samples, options.rows, options.rounds)
        print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
        pooled = table.set_index("way").loc["pooled maps"]
        for name, value, bar, met in (
            (
                "rate vs plain writer",
                pooled["rate vs plain writer"],
                f">= {BARS[shape]}",
                pooled["rate vs plain writer"] >= BARS[shape],
            ),
            (
                "time vs bare forward",
                pooled["time vs bare forward"],
                f"<= {FORWARD_BAR}",
                pooled["time vs bare forward"] <= FORWARD_BAR,
            ),
        ):
            print(
                f"{shape}: pooled maps, {name} {value:.2f} (bar {bar}): "
                f"{'met' if met else 'NOT MET'}"
            )


if __name__ == "__main__":
    main()
