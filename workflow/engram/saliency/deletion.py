"""Do the CNNs use the cells of the greatest Δ? Deletion and insertion (Petsiuk et al., RISE, 2018).

The CNNs' probability of the true class is measured when the cells of the greatest Δ are removed, or
are all that is kept, and compared with equally many random cells and with the cells of the greatest
attention. A removed cell gets its mean over samples of all classes, which says nothing about the
class. Δ orders the cells on one half of the samples, and the other half is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from engram.cnn.network import AttentionCNN
from engram.cnn.training import predict
from engram.saliency.held_out import HeldOut
from engram.saliency.settings import CheckSettings
from engram.scores.bootstrap import cluster_means, cluster_sums, draw_counts, percentile_interval

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of all causal cells of all layers that are removed or kept."""
JUDGED_SHARE = 0.1
"""Share of removed cells at which a method is compared with random cells."""
RANDOM_DRAWS = 3
"""Random orders of the cells, whose probabilities are averaged."""
_Setting = tuple[str, str, float]
"""Name of the cells, mode, share."""


def falling_order(maps: np.ndarray) -> np.ndarray:
    """Return the cells of each class, flattened over (L, P), by falling Δ of the even groups.

    Args:
        maps: Δ and evidence, (2, K, C, G, L, P).

    Returns:
        int (K, L·P).
    """
    means = maps[0, :, :, ::2].mean(axis=(1, 2))  # (K, L, P)
    return np.argsort(-means.reshape(len(means), -1), axis=1, kind="stable")


def deletion_curves(
    cnns: Sequence[AttentionCNN],
    samples: HeldOut,
    orders: Mapping[str, np.ndarray],
    shuffled: Mapping[str, np.ndarray],
    settings: CheckSettings,
) -> tuple[pd.DataFrame, dict[str, dict[str, np.ndarray]]]:
    """Measure the probability of the true class under deletion and insertion.

    Args:
        cnns: trained on attention with real labels.
        samples: held-out samples.
        orders: name → cells of each class in the order in which they are removed or kept, (K, L·P).
        shuffled: method → the order that it gives for CNNs of shuffled labels; may be empty.
        settings: how much is measured; its methods must be among `orders`.

    Returns:
        The table `deletion` (see `engram.saliency.sanity_checks.check_saliency`); and, per method,
        how much more probability the removal of its cells costs than that of as many other cells,
        drawn over CNNs and content groups, (1 + R,): of `random` ones, of those of the greatest
        `attention`, and of those that the same method finds in CNNs of `shuffled labels`.
    """
    groups = samples.groups()
    even = [np.concatenate(parts[::2]) for parts in groups]
    # A single group is ordered and measured on the same samples.
    odd = [np.concatenate(parts[1::2] or parts) for parts in groups]
    generator = np.random.default_rng(settings.seed)
    size = int(np.prod(samples.mean.shape[1:]))
    attention = np.stack(
        [samples.maximum[rows].mean(axis=0, dtype=np.float32).ravel() for rows in even]
    )  # (K, L·P)
    by_attention = np.argsort(-attention, axis=1, kind="stable")
    random = [np.stack([generator.permutation(size) for _ in groups]) for _ in range(RANDOM_DRAWS)]
    steps = [(name, [order]) for name, order in {**orders, "attention": by_attention}.items()]
    steps.append(("random", random))
    asked = _Asked(cnns, samples, odd, _neutral_cells(samples, odd))
    measured: dict[_Setting, list[np.ndarray]] = {}
    with tqdm(
        total=2 * len(SHARES) * len(steps),
        desc="deletion and insertion",
        unit="setting",
        mininterval=2,
    ) as progress:
        for mode, share, (name, repeats) in product(("deletion", "insertion"), SHARES, steps):
            count = _count(share, size)
            runs = [asked.probabilities(order[:, :count], mode) for order in repeats]
            measured[name, mode, share] = [np.mean(run, axis=0) for run in zip(*runs, strict=True)]
            progress.update()
    nothing = np.empty((len(groups), 0), np.int64)
    measured["none", "deletion", 0.0] = asked.probabilities(nothing, "deletion")
    judged = {
        name: values
        for (name, mode, share), values in measured.items()
        if (mode, share) == ("deletion", JUDGED_SHARE)
    }
    count = _count(JUDGED_SHARE, size)
    under_shuffled: dict[str, list[np.ndarray]] = {
        method: asked.probabilities(shuffled[method][:, :count], "deletion")
        for method in settings.methods
        if method in shuffled
    }
    texts = [samples.text()[rows] for rows in odd]
    table = _table(measured, samples.classes, texts, settings)
    return table, _gains(judged, under_shuffled, texts, settings)


def _count(share: float, size: int) -> int:
    """Return the number of cells of a share."""
    return max(1, round(share * size))


@dataclass(frozen=True)
class _Asked:
    """CNNs, and the samples that they are asked about."""

    cnns: Sequence[AttentionCNN]
    samples: HeldOut
    rows: Sequence[np.ndarray]
    """Samples of each class."""
    neutral: Mapping[str, np.ndarray]
    """What a removed cell becomes; see `_neutral_cells`."""

    def probabilities(self, cells: np.ndarray, mode: str) -> list[np.ndarray]:
        """Return the probability of its true class for each CNN and sample, class by class (C, n),
        with cells of the class, (K, cells), removed (deletion) or kept alone (insertion).
        """
        return [
            _probabilities(self.cnns, self.samples, rows, k, of_class, mode, self.neutral)
            for k, (rows, of_class) in enumerate(zip(self.rows, cells, strict=True))
        ]


def _table(
    measured: Mapping[_Setting, Sequence[np.ndarray]],
    classes: Sequence[str],
    texts: Sequence[np.ndarray],
    settings: CheckSettings,
) -> pd.DataFrame:
    """Return the table `deletion`: a row per setting and class, and one for all classes.

    Args:
        measured: probabilities, class by class (C, n).
        classes: their names.
        texts: the text of each sample, class by class (n,).
        settings: how much is measured.
    """
    table = []
    for (name, mode, share), per_class in measured.items():
        means = np.stack(
            [
                _drawn_means(values, text, settings)
                for values, text in zip(per_class, texts, strict=True)
            ]
        )  # (K, 1 + R)
        of_classes = zip(classes, means, strict=True)
        for of_class, drawn in (("all", means.mean(axis=0)), *of_classes):
            interval = percentile_interval(drawn[0], drawn[1:], settings.confidence)
            row = {"cells": name, "mode": mode, "share": share, "class": of_class}
            row |= {"probability": interval.value, "low": interval.low, "high": interval.high}
            table.append(row)
    return pd.DataFrame(table)


def _gains(
    judged: Mapping[str, Sequence[np.ndarray]],
    under_shuffled: Mapping[str, Sequence[np.ndarray]],
    texts: Sequence[np.ndarray],
    settings: CheckSettings,
) -> dict[str, dict[str, np.ndarray]]:
    """Return how much more the removal of each method's cells costs than that of other cells; see
    `deletion_curves`.

    Args:
        judged: probabilities without the cells of each name, class by class (C, n).
        under_shuffled: the same of the cells that a method finds in CNNs of shuffled labels.
        texts: the text of each sample, class by class (n,).
        settings: how much is measured.
    """
    gains: dict[str, dict[str, np.ndarray]] = {}
    for method in settings.methods:
        others = {name: judged[name] for name in ("random", "attention")}
        if method in under_shuffled:
            others["shuffled labels"] = under_shuffled[method]
        gains[method] = {
            name: np.mean(
                [
                    _drawn_means(other - own, text, settings)
                    for other, own, text in zip(values, judged[method], texts, strict=True)
                ],
                axis=0,
            )
            for name, values in others.items()
        }
    return gains


def _neutral_cells(samples: HeldOut, rows: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return, by head pooling, the mean attention of each cell over samples of all classes alike,
    (L·P,).
    """
    return {
        pooling: np.mean(
            [maps[of_class].mean(axis=0, dtype=np.float32) for of_class in rows], axis=0
        ).ravel()
        for pooling, maps in (("mean", samples.mean), ("max", samples.maximum))
    }


def _probabilities(
    cnns: Sequence[AttentionCNN],
    samples: HeldOut,
    rows: np.ndarray,
    target: int,
    cells: np.ndarray,
    mode: str,
    neutral: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Return the probability of the target class for each CNN and sample, (C, n), with cells
    removed (deletion) or kept alone (insertion).
    """
    changed, probabilities = {}, []
    for pooling in {cnn.head_pooling for cnn in cnns}:
        maps = samples.mean if pooling == "mean" else samples.maximum
        flat, mean = maps[rows].astype(np.float32).reshape(len(rows), -1), neutral[pooling]
        result = flat if mode == "deletion" else np.broadcast_to(mean, flat.shape).copy()
        result[:, cells] = mean[cells] if mode == "deletion" else flat[:, cells]
        changed[pooling] = result.reshape(len(rows), *maps.shape[1:])
    for cnn in cnns:
        logits = torch.from_numpy(predict(cnn, changed[cnn.head_pooling], np.arange(len(rows))))
        probabilities.append(logits.softmax(dim=1)[:, target].numpy())
    return np.stack(probabilities)


def _drawn_means(values: np.ndarray, text: np.ndarray, settings: CheckSettings) -> np.ndarray:
    """Return means of (C, n) over drawn CNNs and drawn texts, (n,), each with all its samples,
    (1 + R,); the first is the estimate.
    """
    generator = np.random.default_rng(settings.seed)
    sums, sizes = cluster_sums(values.T, text)  # (G, C), (G,)
    of_cnns = draw_counts(generator, len(values), settings.resamples, estimate=True)  # (1 + R, C)
    of_texts = draw_counts(generator, len(sizes), settings.resamples, estimate=True)  # (1 + R, G)
    means = cluster_means(of_texts, sums, sizes)  # (1 + R, C)
    return (of_cnns * means).sum(axis=1) / len(values)
