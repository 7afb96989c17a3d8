"""A CNN as paired scorer: does it find what the linear scorer finds?

s(map) is the project's CNN with one output (`engram.cnn.network`). A window's score is s(map of
model 1) − s(map of model 2) − b. As in the linear scorer (`engram.crossed.scorer`), both arms of a
stratum weigh the same in training, and b is free per stratum. While the CNN learns, b is a
parameter of the logistic loss; after that it is midway between both arms' mean scores on validation
windows, which the CNN has not learned from.

Both maps of a window pass the same dropout masks: with two masks, the difference of two nearly
equal maps would drown in the difference of the masks.

The initialisation and the epoch are those whose scores correlate most with the arms within the
strata of the validation windows. The test windows take no part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import softplus

from engram.cnn.architecture import Architecture
from engram.cnn.network import AttentionCNN, Dropout
from engram.crossed.accuracy import arm_weights
from engram.crossed.scorer import Windows, midpoint_offsets, separation
from engram.crossed.settings import CrossedCnnSettings
from engram.io.packing import window_length

EVALUATION_BATCH = 64
INTERCEPT_RATE = 0.02
"""Learning rate of the intercepts, which are on the scale of scores."""

Maps = tuple[np.ndarray, np.ndarray]
"""Packed pooled attention of model 1 and of model 2 on the same windows, (n, L, P) each."""


class PairedDropout(Dropout):
    """Dropout that both halves of a batch share."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x (2b, …) with the mask of row i for row b + i too."""
        if not self.training or self.threshold == 0:
            return x
        one, two = x.chunk(2)
        kept = super().forward(torch.ones_like(one))
        return torch.cat([one * kept, two * kept])


@dataclass(frozen=True)
class PairedCnn:
    """A trained CNN at its best epoch."""

    score: np.ndarray
    """s(map of model 1) − s(map of model 2) − b of all windows, float64 (n,)."""
    seed: int
    """Its initialisation."""
    epoch: int
    """From 1."""
    separation: float
    """Correlation of scores and arms within the strata of the validation windows."""


def train_paired_cnn(
    maps: Maps, arm: np.ndarray, windows: Windows, settings: CrossedCnnSettings, seed: int
) -> PairedCnn:
    """Train one CNN; the same numbers for the same arguments on one machine with one torch thread.

    Args:
        maps: of both models, n windows.
        arm: the label vector, +1 or -1 where one model alone is exposed, else 0, (n,).
        windows: their strata and splits; its own arms say only which windows have one.
        settings: the CNN and its training.
        seed: of its parameters, of dropout and of the order of the windows.
    """
    train, held = windows.rows("train"), windows.rows("validation")
    strata, place = np.unique(windows.stratum, return_inverse=True)
    weight = np.zeros(len(arm), np.float32)
    weight[train] = arm_weights(arm[train, None], windows.stratum[train])[:, 0]
    cnn = _new_cnn(settings, maps[0].shape[1], window_length(maps[0].shape[2]), seed)
    start = _offsets(_raw_scores(cnn, maps, train), arm[train], windows.stratum[train], strata)
    intercept = torch.nn.Parameter(torch.from_numpy(start).float())
    optimizer = torch.optim.AdamW(
        [
            {"params": list(cnn.parameters()), "weight_decay": settings.weight_decay},
            {"params": [intercept], "lr": INTERCEPT_RATE, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    order = np.random.default_rng([seed, 41])
    raw, best, chosen = np.zeros(len(arm)), -np.inf, 0
    for epoch in range(1, settings.epochs + 1):
        cnn.train()
        rows = order.permutation(train)
        for begin in range(0, len(rows), settings.batch_size):
            batch = rows[begin : begin + settings.batch_size]
            margin = _differences(cnn, maps, batch) - intercept[place[batch]]
            sign, share = (
                torch.from_numpy(values[batch]) for values in (arm.astype(np.float32), weight)
            )
            loss = (share * softplus(-sign * margin)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        quality = float(
            separation(
                _raw_scores(cnn, maps, held)[:, None], arm[held, None], windows.stratum[held]
            )[0]
        )
        if quality > best:
            raw, best, chosen = _raw_scores(cnn, maps, np.arange(len(arm))), quality, epoch
    offset = validation_offsets(raw, arm, windows, strata)
    return PairedCnn(raw - offset[place], seed, chosen, best)


def _new_cnn(settings: CrossedCnnSettings, layers: int, tokens: int, seed: int) -> AttentionCNN:
    shape = Architecture(settings.kernel, settings.features, input_scale=settings.input_scale)
    cnn = AttentionCNN.of(shape, layers, 1, tokens)
    cnn.dropout = PairedDropout(shape.dropout)
    cnn.initialize(seed)
    return cnn


def _differences(cnn: AttentionCNN, maps: Maps, rows: np.ndarray) -> torch.Tensor:
    """Return s(map of model 1) − s(map of model 2) of some windows, (r,)."""
    both = np.concatenate([one[rows] for one in maps]).astype(np.float32)
    one, two = cnn.classify_packed(torch.from_numpy(both))[:, 0].chunk(2)
    return one - two


def _raw_scores(cnn: AttentionCNN, maps: Maps, rows: np.ndarray) -> np.ndarray:
    """Return the differences of some windows without dropout, float64 (r,)."""
    cnn.eval()
    found = np.empty(len(rows))
    with torch.inference_mode():
        for start in range(0, len(rows), EVALUATION_BATCH):
            part = rows[start : start + EVALUATION_BATCH]
            found[start : start + EVALUATION_BATCH] = _differences(cnn, maps, part).numpy()
    return found


def validation_offsets(
    raw: np.ndarray, arm: np.ndarray, windows: Windows, strata: np.ndarray
) -> np.ndarray:
    """Return the midpoint of each stratum's arms on validation windows, (S,).

    A stratum without training windows has learned nothing from them either, and one of whose
    validation windows an arm is missing has no other: both use training and validation windows.
    """
    held, both = windows.rows("validation"), windows.rows("train", "validation")
    offset = _offsets(raw[both], arm[both], windows.stratum[both], strata)
    trained = set(windows.stratum[windows.rows("train")])
    for s, name in enumerate(strata):
        own = held[windows.stratum[held] == name]
        if name in trained and len(set(arm[own])) == 2:
            offset[s] = midpoint_offsets(raw[own, None], arm[own, None])[0]
    return offset


def _offsets(
    raw: np.ndarray, arm: np.ndarray, stratum: np.ndarray, strata: np.ndarray
) -> np.ndarray:
    """Return the midpoint of both arms' mean scores in each stratum, (S,); over all windows for a
    stratum that lacks an arm.
    """
    whole = float(midpoint_offsets(raw[:, None], arm[:, None])[0])
    found = np.full(len(strata), whole)
    for s, name in enumerate(strata):
        own = stratum == name
        if len(set(arm[own])) == 2:
            found[s] = midpoint_offsets(raw[own, None], arm[own, None])[0]
    return found
