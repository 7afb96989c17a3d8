"""Trains one CNN: the same numbers each time for the same arguments."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from engram.cnn.architecture import Architecture
from engram.cnn.dataset import Dataset
from engram.cnn.epoch import Epoch, Near, batch_of
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.cnn.settings import CnnSettings

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class TrainedCnn:
    """One CNN after training."""

    parameters: dict[str, torch.Tensor]
    """Its state at the reported epoch (the last one where all are); empty if it diverged."""
    history: list[dict]
    """epoch (from 1), split, loss (mean nats per sample), accuracy, selected."""
    row: np.ndarray
    """Predicted samples as positions in the data set, int64 (m,)."""
    epoch: np.ndarray
    """Epoch of each prediction, int64 (m,)."""
    logits: np.ndarray
    """float32 (m, K)."""

    @property
    def diverged(self) -> bool:
        """Whether a loss or a logit was not finite: the CNN then reports nothing."""
        return not self.parameters


def train_cnn(
    dataset: Dataset,
    key: CnnKey,
    architecture: Architecture,
    settings: CnnSettings,
    selection: str,
    after_epoch: Callable[[], None] = lambda: None,
    near: Near | None = None,
) -> TrainedCnn:
    """Train one CNN; the same numbers for the same arguments on one machine with one torch thread.

    The history's `train` rows are measured while the CNN learns, with dropout; the others after the
    epoch, without. `shuffled` CNNs are measured against the permuted labels on train and
    validation, against the true ones on test.
    """
    seed = int.from_bytes(hashlib.blake2b(key.path.encode(), digest_size=8).digest()) >> 1
    random, order = (
        np.random.default_rng(seed),
        np.random.default_rng([key.seed, 0]),
    )  # all CNNs of a seed read in one order
    maps = (near or Near(settings.device)).maps(
        dataset, key.input, architecture.head_pooling
    )  # (n, channels, P)
    label = torch.from_numpy(learned_labels(dataset, key.labels, random))  # (n,)
    cnn = AttentionCNN.of(
        architecture, dataset.layers(key.input), len(dataset.classes), dataset.side
    )
    cnn.initialize(seed)
    cnn.to(settings.device)
    one_epoch = Epoch(cnn, maps, label, settings)
    train, judged = (
        dataset.rows("train"),
        dataset.rows("validation" if selection == "best_epoch" else "test"),
    )
    history: list[dict] = []
    predicted: list[tuple[int, np.ndarray, np.ndarray]] = []  # epoch, rows, logits
    best, state = math.inf, cnn.state_dict()
    for epoch in range(1, settings.epochs + 1):
        history.append(
            {"epoch": epoch, "split": "train", **one_epoch.over(order.permutation(train))}
        )
        if math.isfinite(history[-1]["loss"]):
            logits = predict(cnn, maps, judged, settings.precision)
            split = "validation" if selection == "best_epoch" else "test"
            history.append({"epoch": epoch, "split": split, **measure(logits, label[judged])})
        loss = history[-1]["loss"]
        if not math.isfinite(loss):
            return _lost(history, len(dataset.classes))
        if selection == "all_epochs":
            predicted.append((epoch, judged, logits))
        elif loss < best:
            best, state = loss, {name: value.clone() for name, value in cnn.state_dict().items()}
            predicted = [(epoch, judged, logits)]
        after_epoch()
    if selection == "best_epoch":
        cnn.load_state_dict(state)
        epoch = predicted[0][0]
        for split in ("train", "test"):
            rows = dataset.rows(split)
            predicted.append((epoch, rows, predict(cnn, maps, rows, settings.precision)))
        history.append({"epoch": epoch, "split": "test", **measure(predicted[-1][2], label[rows])})
    if not all(np.isfinite(logits).all() for _, _, logits in predicted):
        return _lost(history, len(dataset.classes))
    reported = {epoch for epoch, _, _ in predicted}
    return TrainedCnn(
        parameters={
            name: value.cpu().clone().contiguous() for name, value in cnn.state_dict().items()
        },
        history=[{**row, "selected": row["epoch"] in reported} for row in history],
        row=np.concatenate([rows for _, rows, _ in predicted]),
        epoch=np.concatenate([np.full(len(rows), epoch) for epoch, rows, _ in predicted]),
        logits=np.concatenate([logits for _, _, logits in predicted]),
    )


def _lost(history: list[dict], classes: int) -> TrainedCnn:
    """Return a CNN that diverged: its history, and nothing that could count."""
    none = np.empty(0, np.int64)
    return TrainedCnn(
        {},
        [{**row, "selected": False} for row in history],
        none,
        none,
        np.empty((0, classes), np.float32),
    )


def learned_labels(dataset: Dataset, labels: str, random: np.random.Generator) -> np.ndarray:
    """Return the labels a CNN learns from, int64 (n,): the true ones, or those permuted within
    train and within validation.
    """
    label = dataset.label.astype(np.int64)
    if labels == "shuffled":
        for split in ("train", "validation"):
            rows = dataset.rows(split)
            label[rows] = random.permutation(label[rows])
    return label


def predict(
    cnn: AttentionCNN, maps: np.ndarray | torch.Tensor, rows: np.ndarray, precision: str = "float32"
) -> np.ndarray:
    """Return the logits without dropout, float32 (len(rows), K).

    Args:
        cnn: the CNN.
        maps: packed maps of all samples, (n, L, P).
        rows: positions of the samples to predict.
        precision: `float32` or `bfloat16`.
    """
    cnn.eval()
    device = cnn.fc2.weight.device
    logits = np.empty((len(rows), cnn.classes), np.float32)
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        for start in range(0, len(rows), EVALUATION_BATCH):
            batch = rows[start : start + EVALUATION_BATCH]
            logits[start : start + EVALUATION_BATCH] = (
                cnn.classify_packed(batch_of(maps, batch, device)).float().cpu().numpy()
            )
    return logits


def measure(logits: np.ndarray, label: torch.Tensor) -> dict[str, float]:
    scores = torch.from_numpy(logits)
    loss = cross_entropy(scores.double(), label).item()
    return {"loss": loss, "accuracy": (scores.argmax(1) == label).double().mean().item()}
