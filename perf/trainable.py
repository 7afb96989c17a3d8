"""Measures what the gradients of a batch cost the processor, for every way of training: which
weights change, the precision, and whether activations are computed again.

Seconds are those of the processor, so that other programs change them little.

    python perf/trainable.py results/smollm2-crossed/first/base > perf/trainable.csv
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from engram.lm.models import load_model
from engram.nursery.trainable import chosen_weights, recomputed_activations, without_dropout
from engram.nursery.training import Replicas

WAYS = (
    ("all", "float32", False),
    ("all", "bfloat16", False),
    ("all", "bfloat16", True),
    ("last:8", "bfloat16", False),
    ("lora:8", "bfloat16", False),
)
TOKENS = 64


def seconds(replicas: Replicas, rows: torch.Tensor, rounds: int) -> float:
    """Return the median processor time of a batch's gradients, after one to warm up."""
    times = []
    for _ in range(rounds + 1):
        start = time.process_time()
        replicas.gradients(rows)
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def main() -> None:
    """Print a row per way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a model")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model = load_model(options.model, dtype="float32", device="cpu")
    model.set_attn_implementation("eager")
    without_dropout(model)
    vocabulary = model.get_input_embeddings().num_embeddings
    drawn = np.random.default_rng(0).integers(vocabulary, size=(options.rows, TOKENS))
    rows = torch.from_numpy(drawn)
    print("trainable,precision,recomputed,rows,seconds")
    for trainable, precision, recomputed in WAYS:
        with (
            chosen_weights(model, trainable),
            recomputed_activations(model, recomputed),
            Replicas(model, 1, precision) as replicas,
        ):
            cost = seconds(replicas, rows, options.rounds)
        print(f"{trainable},{precision},{recomputed},{options.rows},{cost:.2f}", flush=True)


if __name__ == "__main__":
    main()
