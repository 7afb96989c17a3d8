"""Measures the drilling's step: two torch threads on the whole batch, which was the way before,
against replicas of one thread each, on a quiet machine and beside a busy loop.

The two ways take turns, round by round, so that whatever else the machine does meets both; the
median round counts. Close other programs first: what runs beside the measurement makes `quiet` a
busy machine.

    python perf/drilling.py --workers 2 --rounds 5
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from busy import beside
from transformers import GPTNeoXForCausalLM

from engram.lm.models import load_model
from engram.nursery.settings import TrainingSettings
from engram.nursery.training import Replicas

BASE = Path(__file__).parents[1] / "resources" / "nursery"
ROWS, TOKENS = 32, 64


def optimizer_of(model: GPTNeoXForCausalLM, fused: bool) -> torch.optim.Optimizer:
    """Return the drilling's optimizer, so slow that the losses stay alike."""
    return torch.optim.AdamW(
        model.parameters(), lr=1e-6, betas=(0.9, 0.95), weight_decay=0.1, fused=fused
    )


def plain_step(model: GPTNeoXForCausalLM) -> Callable[[torch.Tensor], None]:
    """Return one step of the way before: every operation is divided among torch's threads."""
    optimizer = optimizer_of(model, fused=False)

    def step(tokens: torch.Tensor) -> None:
        logits = model(tokens, use_cache=False).logits  # (b, T, V)
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten()
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def replica_step(model: GPTNeoXForCausalLM, replicas: Replicas) -> Callable[[torch.Tensor], None]:
    """Return one step as `engram.nursery.training` takes it."""
    optimizer = optimizer_of(model, fused=True)

    def step(tokens: torch.Tensor) -> None:
        replicas.gradients(tokens)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(step: Callable[[torch.Tensor], None], tokens: torch.Tensor, steps: int) -> list[float]:
    """Return wall and CPU seconds a step."""
    step(tokens)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step(tokens)
    return [(time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--workers", type=int, default=TrainingSettings().workers)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="steps of a way in a round")
    arguments = parser.parse_args()
    model = load_model(BASE, dtype="float32", device="cpu")
    model.set_attn_implementation("eager")
    model.train()
    tokens = torch.randint(2048, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))
    plain = plain_step(model)
    print("| machine | way | steps/s | CPU s a step |\n|---|---|---|---|")
    for loops, machine in ((0, "quiet"), (1, "beside a busy loop")):
        found: dict[str, list[list[float]]] = {"threads": [], "replicas": []}
        with beside(loops):
            for _ in range(arguments.rounds):
                torch.set_num_threads(arguments.workers)
                found["threads"].append(measure(plain, tokens, arguments.steps))
                with Replicas(model, arguments.workers, "float32") as replicas:
                    step = replica_step(model, replicas)
                    found["replicas"].append(measure(step, tokens, arguments.steps))
        ratios = [a[0] / b[0] for a, b in zip(*found.values(), strict=True)]
        for way, rounds in found.items():
            wall, cpu = (statistics.median(part) for part in zip(*rounds, strict=True))
            name = f"{arguments.workers} {way}"
            print(f"| {machine} | {name} | {1 / wall:.2f} | {cpu:.3f} |")
        print(f"| {machine} | replicas against threads | {statistics.median(ratios):.2f} × | |")


if __name__ == "__main__":
    main()
