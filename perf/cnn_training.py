"""CNN training: engram.cnn.training beside the study's way of doing it, in one run on one core.

    python perf/cnn_training.py [--samples 48] [--epochs 2] [--rounds 3]

The study's loop opens the HDF5 file for every sample, reads the attention of all heads, pools them
inside the network, and trains one CNN per process. Engram reads head-pooled packed maps into memory
once for all CNNs. Both train the four architectures with mean pooling on two thirds of the samples
and evaluate on the other third after each epoch, batch 16, random attention of a model's shape. The
rounds alternate between the two, and the medians are compared. `limit` is the time of the bare
convolutions, forward and backward, in the shapes that engram computes (the causal half of the maps,
from 8 layers on) and in the precision of the column; `plain` is theirs over whole maps. Prints CPU
time per sample, epoch and CNN.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from engram.cnn.dataset import Dataset
from engram.cnn.grid import train_grid
from engram.cnn.network import STAIRCASE_LAYERS
from engram.cnn.settings import CnnSettings
from engram.cnn.staircase import bands
from engram.io.packing import pack

TOKENS, BATCH = 64, 16
SHAPES = {"Pythia-12b": (36, 40), "Pythia-70m": (6, 8), "nursery": (4, 6)}
"""Layers and heads."""
PRECISIONS = ("float32", "bfloat16")
GRID = CnnSettings(head_poolings=("mean",), controls=(), baselines=())


class AllHeadsCNN(nn.Module):
    """The same network on the attention of all heads, (n, L, H, T, T)."""

    def __init__(self, layers: int, kernel: int, features: int) -> None:
        super().__init__()
        side = ((TOKENS - kernel + 1) // 2 - kernel + 1) // 2
        self.conv1, self.conv2 = (
            nn.Conv2d(layers, features, kernel),
            nn.Conv2d(features, features, kernel),
        )
        self.fc1, self.fc2 = nn.Linear(features * side * side, 64), nn.Linear(64, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        x = heads.mean(dim=2)  # (n, L, T, T)
        x = functional.max_pool2d(self.dropout(functional.relu(self.conv1(x))), 2)
        x = functional.max_pool2d(self.dropout(functional.relu(self.conv2(x))), 2)
        return self.fc2(self.dropout(functional.relu(self.fc1(x.flatten(1)))))


class FilePerItem(torch.utils.data.Dataset):
    """One HDF5 data set per sample; the file is opened for each."""

    def __init__(self, path: Path, rows: range, label: np.ndarray) -> None:
        self.path, self.rows, self.label = path, rows, label

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with h5py.File(self.path, "r") as file:
            heads = file[str(self.rows[index])][()]  # (L, H, T, T)
        return torch.tensor(heads), int(self.label[self.rows[index]])


def write_heads(path: Path, samples: int, layers: int, heads: int) -> tuple[np.ndarray, np.ndarray]:
    """Writes random causal attention of all heads as float16; returns packed mean and max, (n, L,
    P) each.
    """
    generator, mean, maximum = torch.Generator().manual_seed(0), [], []
    with h5py.File(path, "w") as file:
        for sample in range(samples):
            scores = torch.rand(layers, heads, TOKENS, TOKENS, generator=generator).tril()
            attention = (scores / scores.sum(dim=-1, keepdim=True)).half()  # (L, H, T, T)
            file[str(sample)] = attention.numpy()
            mean.append(pack(attention.float().mean(dim=1)).numpy())
            maximum.append(pack(attention.amax(dim=1)).numpy())
    return np.stack(mean), np.stack(maximum)


def reference_ms(path: Path, label: np.ndarray, layers: int, epochs: int) -> float:
    """CPU milliseconds per sample, epoch and CNN of the study's loop."""
    train = FilePerItem(path, range(2 * len(label) // 3), label)
    test = FilePerItem(path, range(2 * len(label) // 3, len(label)), label)
    seconds = 0.0
    shapes = list(GRID.grid().values())
    for shape in tqdm(shapes, desc="  the study's loop", leave=False):
        cnn = AllHeadsCNN(layers, shape.kernel, shape.features)
        optimizer = torch.optim.AdamW(cnn.parameters(), lr=1e-3, weight_decay=0.1)
        start = time.process_time()
        for _ in range(epochs):
            cnn.train()
            for heads, y in torch.utils.data.DataLoader(train, BATCH, shuffle=True):
                loss = functional.cross_entropy(cnn(heads.float()), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss.item()
            cnn.eval()
            with torch.no_grad():
                for heads, _ in torch.utils.data.DataLoader(test, BATCH):
                    cnn(heads.float())
        seconds += time.process_time() - start
    return 1e3 * seconds / (len(label) * epochs * len(shapes))


def engram_ms(data: Dataset, epochs: int, precision: str) -> float:
    """CPU milliseconds per sample, epoch and CNN of engram.cnn.training."""
    settings = CnnSettings(
        head_poolings=("mean",),
        controls=(),
        baselines=(),
        epochs=epochs,
        batch_size=BATCH,
        precision=precision,
    )
    start = time.process_time()
    train_grid(data, settings, "all_epochs")
    return 1e3 * (time.process_time() - start) / (len(data) * epochs * len(settings.grid()))


def limit_ms(layers: int, precision: str, causal: bool, rounds: int = 20) -> float:
    """CPU milliseconds per sample, epoch and CNN of the convolutions alone: forward and backward of
    a CNN that trains on two thirds of the samples, and forward on the others; the first convolution
    over whole maps, or over the bands of their causal half."""
    dtype, total = torch.bfloat16 if precision == "bfloat16" else torch.float32, 0.0
    for shape in GRID.grid().values():
        k, f, side = shape.kernel, shape.features, (TOKENS - shape.kernel + 1) // 2
        areas = (
            [(last - first, columns) for first, last, columns in bands(TOKENS, k)]
            if causal
            else [(TOKENS - k + 1,) * 2]
        )
        for channels, height, width in [
            *((layers, *area) for area in areas),
            (f, side - k + 1, side - k + 1),
        ]:
            x = torch.rand(BATCH, channels, height + k - 1, width + k - 1, dtype=dtype).to(
                memory_format=torch.channels_last
            )
            weight = (
                torch.rand(f, channels, k, k, dtype=dtype)
                .to(memory_format=torch.channels_last)
                .requires_grad_()
            )
            gradient = torch.ones(BATCH, f, height, width, dtype=dtype).to(
                memory_format=torch.channels_last
            )
            x.requires_grad_(channels == f)  # no gradient to the attention
            times = []
            for _ in range(rounds):
                start = time.process_time()
                y = functional.conv2d(x, weight)
                middle = time.process_time()
                y.backward(gradient)
                times.append((middle - start, time.process_time() - middle))
            forward, backward = np.median(times, axis=0)
            total += (forward + 2 / 3 * backward) / BATCH
    return 1e3 * total / len(GRID.grid())


def main() -> None:
    """Runs the comparison and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=48,
        help="of the 12b shape, 12 MB each on disk; ten times as many of the nursery's",
    )
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.samples < 3:
        parser.error("--samples: take 3 or more")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("CPU ms per sample, epoch and CNN")
    print(
        f"{'shape':<12}{'samples':>8}{'the study':>11}"
        + "".join(f"{p:>10}{'ratio':>8}{'limit':>8}{'plain':>8}" for p in PRECISIONS)
    )
    for name, (layers, heads) in SHAPES.items():
        samples = arguments.samples * (1 if name == "Pythia-12b" else 5)
        label = np.arange(samples) % 3
        theirs: list[float] = []
        ours: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "attention.h5"
            mean, maximum = write_heads(path, samples, layers, heads)
            ids, split = (
                np.arange(samples),
                np.where(np.arange(samples) < 2 * samples // 3, "train", "test"),
            )
            data = Dataset(
                ids,
                ids,
                np.zeros((samples, TOKENS), np.int64),
                mean,
                maximum,
                label,
                split,
                ["a", "b", "c"],
            )
            for precision in PRECISIONS:
                engram_ms(data, 1, precision)  # warm up
            for _ in range(arguments.rounds):
                theirs.append(reference_ms(path, label, layers, arguments.epochs))
                for precision in PRECISIONS:
                    ours[precision].append(engram_ms(data, arguments.epochs, precision))
        median = float(np.median(theirs))
        cells = ""
        for precision in PRECISIONS:
            value = float(np.median(ours[precision]))
            cells += f"{value:>10.2f}{median / value:>7.1f}×"
            used = limit_ms(layers, precision, layers >= STAIRCASE_LAYERS)
            cells += f"{used:>8.2f}{limit_ms(layers, precision, False):>8.2f}"
        print(f"{name:<12}{samples:>8}{median:>11.2f}{cells}")


if __name__ == "__main__":
    main()
