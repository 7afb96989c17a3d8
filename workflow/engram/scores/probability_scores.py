"""What the CNNs' probabilities are worth: log-loss, AUROC and calibration, with intervals over
content groups and CNNs.

Each score is taken of every CNN by itself and averaged. Resamples draw content groups and CNNs as
`engram.scores.bootstrap` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.scores.bootstrap import logit_basic
from engram.scores.metrics import (
    auroc_one_vs_rest,
    calibration_error,
    log_loss,
    reliability,
    softmax,
)

BINS = 10
_CHUNK = 4_000_000
"""Weights in memory at a time."""
Interval = tuple[float, float, float]
"""Value, low, high."""


@dataclass(frozen=True)
class ProbabilityScores:
    """Scores of one run, means over its CNNs."""

    log_loss: Interval
    """Nats per sample."""
    auroc: Interval
    """One class against the rest, mean over classes."""
    ece: Interval
    """Expected calibration error."""
    areas: tuple[Interval, ...]
    """AUROC of every class."""
    reliability: np.ndarray
    """See `engram.scores.metrics.reliability`; summed over CNNs, (B, 3)."""

    def columns(self) -> dict[str, float]:
        """`log_loss`, `log_loss_low`, `log_loss_high`, and so on for `auroc` and `ece`."""
        found: dict[str, float] = {}
        for name in ("log_loss", "auroc", "ece"):
            found |= dict(
                zip((name, f"{name}_low", f"{name}_high"), getattr(self, name), strict=True)
            )
        return found


def probability_scores(
    run: pd.DataFrame,
    classes: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ProbabilityScores:
    """Scores of test predictions of one input and kind of labels.

    AUROC and calibration error take the basic interval on the logit scale
    (`engram.scores.bootstrap.logit_basic`): resampling adds noise to a calibration error and so
    makes it larger, as the sample has made it larger than the truth, and reflecting takes that off.
    The log-loss, a mean, takes the percentile interval.

    Args:
        run: rows of `predictions.parquet`.
        classes: the K class names in the order of the logits.
        resamples: bootstrap draws.
        confidence: nominal coverage.
        seed: of the bootstrap.
    """
    position = {name: index for index, name in enumerate(classes)}
    group, groups = pd.factorize(run["content_group"])
    count = len(groups)
    cnns = [
        (np.stack(part["logits"].tolist()), part["class"].map(position).to_numpy(), own)
        for _, part, own in (
            (name, run.iloc[rows], group[rows])
            for name, rows in run.groupby(["cnn", "seed"], sort=False).indices.items()
        )
    ]
    areas = np.mean([auroc_one_vs_rest(logits, label) for logits, label, _ in cnns], axis=0)  # (K,)
    sums = [reliability(logits, label, BINS) for logits, label, _ in cnns]
    values = {
        "log_loss": float(np.mean([log_loss(logits, label) for logits, label, _ in cnns])),
        "ece": float(np.mean([calibration_error(part) for part in sums])),
        "auroc": float(np.mean(areas)),
    }
    random = np.random.default_rng(seed)
    of_cnns = random.multinomial(len(cnns), np.full(len(cnns), 1 / len(cnns)), resamples) / len(
        cnns
    )  # (R, C)
    chunk = max(1, _CHUNK // max(count, max(len(label) for _, label, _ in cnns)))
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in ("log_loss", "ece", "areas")}
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        weights = random.multinomial(count, np.full(count, 1 / count), size).astype(
            np.float64
        )  # (r, G)
        share = of_cnns[start : start + size]  # (r, C)
        found = [_of_cnn(*cnn, weights) for cnn in cnns]
        for name, parts in zip(drawn, zip(*found, strict=True), strict=True):
            drawn[name].append(np.einsum("rc,cr...->r...", share, np.stack(parts)))
    draws = {name: np.concatenate(parts) for name, parts in drawn.items()}
    tail, least = (1 - confidence) / 2, 1 / (2 * len(cnns[0][1]))
    low, high = np.quantile(draws["log_loss"], [tail, 1 - tail])
    return ProbabilityScores(
        (values["log_loss"], float(low), float(high)),
        logit_basic(values["auroc"], draws["areas"].mean(axis=1), tail, least),
        logit_basic(values["ece"], draws["ece"], tail, least),
        tuple(
            logit_basic(float(area), column, tail, least)
            for area, column in zip(areas, draws["areas"].T, strict=True)
        ),
        np.sum(sums, axis=0),
    )


def weighted_areas(logits: np.ndarray, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`auroc_one_vs_rest` of samples that count several times or not at all, (R, K).

    Args:
        logits: (n, K).
        label: (n,).
        weights: how often each sample counts, (R, n).
    """
    probabilities = softmax(logits)
    areas = np.empty((len(weights), probabilities.shape[1]))
    for k, column in enumerate(probabilities.T):
        order = np.argsort(column, kind="stable")
        first = np.flatnonzero(np.r_[True, np.diff(column[order]) > 0])  # of equal probabilities
        ordered, member = weights[:, order], label[order] == k
        inside = np.add.reduceat(ordered * member, first, axis=1)  # (R, values)
        outside = np.add.reduceat(ordered * ~member, first, axis=1)
        below = np.cumsum(outside, axis=1) - outside / 2
        pairs = inside.sum(axis=1) * outside.sum(
            axis=1
        )  # 0 where a draw has no sample of the class: as good as a guess
        areas[:, k] = np.divide(
            (inside * below).sum(axis=1), pairs, out=np.full(len(weights), 0.5), where=pairs > 0
        )
    return areas


def _of_cnn(
    logits: np.ndarray, label: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-loss (r,), calibration error (r,) and areas (r, K) of one CNN in resamples of its groups,
    weights (r, G).
    """
    probabilities = softmax(logits)  # (m, K)
    own = weights[:, group]  # (r, m)
    total = own.sum(axis=1)  # (r,)
    loss = own @ -np.log(np.maximum(probabilities[np.arange(len(label)), label], 1e-300)) / total
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == label
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gap = (confidence - hits)[:, None] * (place[:, None] == np.arange(BINS))  # (m, B)
    return loss, np.abs(own @ gap).sum(axis=1) / total, weighted_areas(logits, label, own)
