"""Files as the paper's code writes them: one configuration of 24-sample classes and its CNNs.

Its CNN is written here as its repository has it, head pooling and all, from plain PyTorch.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

LAYERS, HEADS, TOKENS, PREFIX = 2, 3, 64, 32
CLASSES = 3
PER_CLASS, TRAIN = 24, 16
PATTERNS = "A-nLx_9PQ"
TAXONOMY = "Non-Memo, Guess, Others"


class Cnn2D(nn.Module):
    """The CNN of the paper's code."""

    def __init__(self, kernel: int, features: int, hidden: int, pooling: int) -> None:
        super().__init__()
        self.pooling_kernel = pooling
        self.conv1 = nn.Conv2d(LAYERS, features, kernel)
        self.conv2 = nn.Conv2d(features, features, kernel)
        side = ((TOKENS - kernel + 1) // pooling - kernel + 1) // pooling
        self.fc1 = nn.Linear(features * side * side, hidden)
        self.fc2 = nn.Linear(hidden, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, K) from all heads, (n, L, H, T, T)."""
        x = torch.mean(x, dim=2)
        for convolution in (self.conv1, self.conv2):
            x = functional.relu(convolution(x))
            x = functional.max_pool2d(x, kernel_size=self.pooling_kernel)
        x = functional.relu(self.fc1(x.view(x.size(0), -1)))
        return self.fc2(x)


def sample_table() -> pd.DataFrame:
    """`train_eval_test.parquet`: shuffled ids, one class after another, as its code writes it."""
    random = np.random.default_rng(0)
    n = CLASSES * PER_CLASS
    code = np.repeat(np.arange(CLASSES), PER_CLASS)
    trains = np.tile(np.arange(PER_CLASS) < TRAIN, CLASSES)
    tokens = random.integers(1, 5000, (n, TOKENS))
    table = pd.DataFrame(
        {
            "sequence_id": 10**18 + random.permutation(n),
            "text": [f"text {row}" for row in range(n)],
            "tokens": list(tokens),
            "sequence_duplicates": random.integers(1, 90, n),
            "memorization_score": np.where(code == 0, 0.25, 1.0),
            "is_repeating": code == 1,
            "is_incrementing": False,
            "is_code": random.random(n) < 0.5,
            "rouge_3_prefix_to_suffix": 0.0,
            "rouge_L_prefix_to_suffix": 0.0,
        }
    )
    for number in range(CLASSES):
        table[f"cat_{number}"] = code == number
    return table.assign(part_train=trains, part_eval=~trains)


def attention_of(table: pd.DataFrame) -> dict[int, np.ndarray]:
    """Attention of every sequence, float16 (L, H, T, T)."""
    random = np.random.default_rng(1)
    maps = {}
    for sequence in table["sequence_id"]:
        scores = random.random((LAYERS, HEADS, TOKENS, TOKENS)) ** 3 * np.tri(TOKENS)
        maps[int(sequence)] = (scores / scores.sum(-1, keepdims=True)).astype(np.float16)
    return maps


def write_patterns(
    output: Path, table: pd.DataFrame, attention: dict[int, np.ndarray] | None = None
) -> Path:
    """Write `output/patterns/<id>`, and return it."""
    folder = output / "patterns" / PATTERNS
    folder.mkdir(parents=True)
    config = {
        "_base_output_dir": ".",
        "size": "12b",
        "deduped": True,
        "seed": 42,
        "tax_name": "merge_2_other_guess_recite_recollect",
        "rouge_threshold": 0.5,
        "duplicates_threshold": 5,
        "train_base_size": TRAIN,
        "eval_base_size": PER_CLASS - TRAIN,
        "inference_bs": 96,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    table.to_parquet(folder / "train_eval_test.parquet")
    if attention is not None:
        with h5py.File(folder / "attention_patterns.h5py", "w") as file:
            for sequence, maps in attention.items():
                file.create_dataset(str(sequence), data=maps)
    return folder


def write_cnn(
    output: Path,
    name: str,
    table: pd.DataFrame,
    attention: dict[int, np.ndarray],
    *,
    head_pooling: str = "mean",
    kernel: int = 6,
    pooling: int = 2,
    patterns: str = PATTERNS,
) -> Cnn2D:
    """Write `output/detect/<name>` of an untrained CNN that says the same in all three epochs."""
    folder = output / "detect" / name
    (folder / "cnn_2d").mkdir(parents=True)
    config = {
        "_base_output_dir": ".",
        "patterns_config": patterns,
        "num_workers": 3,
        "prefetch_factor": 2,
        "train_bs": 16,
        "eval_bs": 16,
        "head_pooling": head_pooling,
        "kernel_size": kernel,
        "pooling_kernel": pooling,
        "n_feat_cnn": 4,
        "n_feat_fc": 8,
        "n_epochs": 3,
        "lr": 0.001,
        "weight_decay": 0.1,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    torch.manual_seed(len(name) + kernel)
    cnn = Cnn2D(kernel, 4, 8, pooling).eval()
    tested = table[table["part_eval"]]
    ids = tested["sequence_id"].to_numpy()
    maps = torch.from_numpy(np.stack([attention[int(sequence)] for sequence in ids])).float()
    with torch.no_grad():
        logits = 50 * cnn(maps)
    label = tested[[f"cat_{number}" for number in range(CLASSES)]].to_numpy().argmax(axis=1)
    said = (torch.tensor(ids), logits, torch.tensor(label))
    for epoch in range(3):
        torch.save(cnn.state_dict(), folder / "cnn_2d" / f"model_{epoch}.pt")
        torch.save(said, folder / "cnn_2d" / f"forward_values_{epoch}.pt")
    return cnn
