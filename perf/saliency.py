"""Cost of Δ by guided backpropagation: engram.saliency beside the way of the definition, in one run
on one core.

    python perf/saliency.py [--samples 32] [--rounds 3]

The definition's way takes the attention of all heads, pools inside the network, and for every
sample goes back to all heads once per class; D · A is taken for all heads before their maximum.
Engram goes back to head-pooled packed maps. Random CNNs of the paper's four architectures with mean
pooling, random causal attention of a model's shape in memory, three classes; Δ of one class. Prints
CPU milliseconds per sample and CNN (the fastest round of each way), the ratio, and the greatest
difference of the two Δ. The limit is what the first convolution alone takes at the rate measured
here, once forth and once back; nothing that runs a CNN exactly can be faster by much. The bar is 40
times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from engram.cnn.architecture import Architecture
from engram.cnn.network import AttentionCNN, square_maps
from engram.io.packing import pack
from engram.saliency.delta import delta
from engram.saliency.methods import METHODS

TOKENS, CLASSES, TARGET, BAR = 64, 3, 1, 40
SHAPES = {"Pythia-12b": (36, 40), "nursery": (4, 6)}
"""Layers and heads."""
GRID = [Architecture(kernel, features) for kernel in (6, 8) for features in (10, 16)]


class GuidedReLU(torch.autograd.Function):
    """ReLU that passes on gradients where both they and its input are positive."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient.clamp(min=0) * (ctx.saved_tensors[0] > 0)


def attention_of_all_heads(samples: int, layers: int, heads: int) -> list[torch.Tensor]:
    """Random causal attention, one (L, H, T, T) float32 per sample."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(samples):
        scores = torch.rand(layers, heads, TOKENS, TOKENS, generator=generator).pow(4).tril_()
        found.append(scores / scores.sum(dim=-1, keepdim=True))
    return found


def by_definition(cnn: AttentionCNN, attention: list[torch.Tensor]) -> np.ndarray:
    """Δ (L, P): one sample at a time, one backward pass to all heads per class."""
    relu = GuidedReLU.apply
    causal = torch.ones(TOKENS, TOKENS).tril()
    total = torch.zeros(attention[0].shape[0], TOKENS, TOKENS)
    for sample in attention:
        full = sample[None].requires_grad_()  # (1, L, H, T, T)
        x = functional.max_pool2d(relu(cnn.conv1(full.mean(dim=2))), 2)
        x = functional.max_pool2d(relu(cnn.conv2(x)), 2)
        logits = cnn.fc2(relu(cnn.fc1(x.flatten(1))))[0]
        traced = [
            torch.autograd.grad(logits[t], full, retain_graph=t + 1 < CLASSES)[0][0]
            for t in range(CLASSES)
        ]  # (L, H, T, T) each
        others = [back for t, back in enumerate(traced) if t != TARGET]
        evidence = (traced[TARGET] - sum(others) / len(others)) * causal
        shares = (evidence / evidence.max()).clamp(min=0)
        total += (shares * full.detach()[0]).amax(dim=1)
        sample.requires_grad_(False)
    return pack(total / len(attention)).numpy()


def first_convolution(cnn: AttentionCNN, maps: torch.Tensor) -> None:
    """The first convolution, forth and back, without anything else."""
    with torch.inference_mode():
        first = cnn.conv1(maps)
        functional.conv_transpose2d(first, cnn.conv1.weight)


def milliseconds(ways: dict[str, Callable[[], object]], rounds: int, per: int) -> dict[str, float]:
    """CPU milliseconds per sample of each way: the fastest of several rounds in turn."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            found[name].append(1e3 * (time.process_time() - start) / per)
    return {name: min(times) for name, times in found.items()}


def main() -> None:
    """Runs the comparison and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--samples", type=int, default=32, help="of the 12b shape, 24 MB of memory each"
    )
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"CPU ms per sample and CNN, one thread, {arguments.samples} samples; bar: {BAR} times")
    print(
        f"{'shape':<12}{'CNN':<10}{'definition':>12}{'engram':>9}{'ratio':>8}{'limit':>8}"
        f"{'all methods':>13}{'greatest difference':>21}"
    )
    for name, (layers, heads) in SHAPES.items():
        attention = attention_of_all_heads(arguments.samples, layers, heads)
        mean = pack(torch.stack([sample.mean(dim=1) for sample in attention])).numpy()
        maximum = pack(torch.stack([sample.amax(dim=1) for sample in attention])).half().numpy()
        maps = square_maps(torch.from_numpy(mean))
        sums = np.zeros(4)
        for shape in tqdm(GRID, desc=name, leave=False):
            cnn = AttentionCNN.of(shape, layers, CLASSES, TOKENS).eval()
            cnn.initialize(0)
            ways: dict[str, Callable[[], object]] = {
                "definition": partial(by_definition, cnn, attention),
                "engram": partial(delta, cnn, mean, maximum, TARGET, ["guided"]),
                "limit": partial(first_convolution, cnn, maps),
                "all": partial(delta, cnn, mean, maximum, TARGET, METHODS),
            }
            ways["engram"](), ways["limit"]()  # warm up
            took = milliseconds(ways, arguments.rounds, arguments.samples)
            expected, found = (
                by_definition(cnn, attention),
                delta(cnn, mean, maximum, TARGET, ["guided"])["guided"].map,
            )
            error = np.abs(found - expected).max() / expected.max()
            sums += list(took.values())
            line = "".join(
                f"{took[key]:>{width}.2f}" for key, width in (("definition", 12), ("engram", 9))
            )
            ratio = f"{took['definition'] / took['engram']:>7.1f}×"
            print(
                f"{name:<12}{shape.name.removesuffix('-mean'):<10}{line}{ratio}"
                f"{took['limit']:>8.2f}{took['all']:>13.2f}{error:>20.1e}"
            )
        definition, ours, limit, every = sums / len(GRID)
        print(
            f"{name:<12}{'mean':<10}{definition:>12.2f}{ours:>9.2f}{definition / ours:>7.1f}"
            f"×{limit:>8.2f}{every:>13.2f}"
        )


if __name__ == "__main__":
    main()
