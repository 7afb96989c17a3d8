"""The whole grid of one taxonomy at the 12b shape on a GPU: seconds, and the fraction of the
measured convolution rate.

    python perf/cnn_gpu.py [--samples 18000] [--epochs 3] [--layers 36] [--precision bfloat16]
    [--device cuda]

Trains the paper's eight CNNs (kernels 6 and 8, 10 and 16 features, mean and max pooling) on
synthetic attention through `engram.cnn.training.train_grid`. On a machine without a GPU it says so
and runs on the processor: take a small shape there, e.g. `--samples 60 --layers 4 --epochs 1`.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.nn import functional

from engram.cnn.architecture import Architecture
from engram.cnn.dataset import Dataset
from engram.cnn.grid import train_grid
from engram.cnn.settings import CnnSettings
from engram.io.packing import packed_length

TOKENS = 64


def synthetic(samples: int, layers: int) -> Dataset:
    """Random attention maps of three classes, two thirds of them for training."""
    random = np.random.default_rng(0)
    shape = (samples, layers, packed_length(TOKENS))
    mean = random.random(shape, dtype=np.float32) / TOKENS
    ids, split = (
        np.arange(samples),
        np.where(np.arange(samples) < 2 * samples // 3, "train", "test"),
    )
    return Dataset(
        ids,
        ids,
        np.zeros((samples, TOKENS), np.int64),
        mean,
        mean.astype(np.float16),
        ids % 3,
        split,
        ["a", "b", "c"],
    )


def multiply_adds(shape: Architecture, layers: int) -> int:
    """Of both convolutions, forward, per sample."""
    k, f = shape.kernel, shape.features
    first = TOKENS - k + 1
    second = first // 2 - k + 1
    return f * k * k * (layers * first**2 + f * second**2)


def conv_rate(layers: int, precision: str, device: str) -> float:
    """Multiply-adds per second of the first convolution alone, batch 256."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    x = torch.rand(256, layers, TOKENS, TOKENS, device=device, dtype=dtype).to(
        memory_format=torch.channels_last
    )
    weight = torch.rand(16, layers, 8, 8, device=device, dtype=dtype).to(
        memory_format=torch.channels_last
    )
    times = []
    for _ in range(7):
        start = time.perf_counter()
        y = functional.conv2d(x, weight)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 256 * 16 * 64 * layers * y.shape[-1] ** 2 / float(np.median(times))


def main() -> None:
    """Runs the grid once and prints what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=18000)
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    arguments = parser.parse_args()
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: running on the processor, which says nothing about a GPU")
        device = "cpu"
    settings = CnnSettings(
        epochs=arguments.epochs,
        controls=(),
        baselines=(),
        precision=arguments.precision,
        device=device,
    )
    data = synthetic(arguments.samples, arguments.layers)
    start = time.perf_counter()
    train_grid(data, settings, "all_epochs")
    seconds = time.perf_counter() - start
    forward = sum(multiply_adds(shape, arguments.layers) for shape in settings.grid().values())
    # Forward and two gradients of the training samples (the first convolution needs no gradient of
    # its input), forward of the others.
    work = forward * arguments.epochs * arguments.samples * (2 / 3 * 2 + 1 / 3)
    rate = conv_rate(arguments.layers, arguments.precision, device)
    where = torch.cuda.get_device_name() if device == "cuda" else "processor"
    share = work / seconds / rate
    print(
        f"{where}, {arguments.precision}: 8 CNNs, {arguments.samples} samples, {arguments.layers} "
        f"layers, {arguments.epochs} epochs"
    )
    print(
        f"{seconds:.1f} s, {share:.1%} of the convolution's own rate ({rate / 1e9:.0f} G "
        f"multiply-adds/s)"
    )


if __name__ == "__main__":
    main()
