"""What the CNNs' probabilities are worth: log-loss, AUROC and calibration, with intervals over
content groups and CNNs.

Each score is computed for every CNN and then averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from engram.scores.bootstrap import (
    Interval,
    draw_counts,
    draw_in_parts,
    logit_basic_interval,
    percentile_interval,
)
from engram.scores.probability_metrics import (
    auroc_one_vs_rest,
    calibration_error,
    confidence_bins,
    log_loss,
    reliability_sums,
    sample_losses,
    weighted_areas,
)

BINS = 10
"""Bins of the calibration, of equal width."""


@dataclass(frozen=True)
class ProbabilityScores:
    """Scores of one run, means over its CNNs."""

    log_loss: Interval
    """Nats per sample."""
    auroc: Interval
    """One class against the rest, mean over classes."""
    ece: Interval
    """Expected calibration error, a fraction."""
    areas: tuple[Interval, ...]
    """AUROC of every class."""
    reliability: np.ndarray
    """See `engram.scores.probability_metrics.reliability_sums`; summed over CNNs, (B, 3)."""

    def columns(self) -> dict[str, float]:
        """Return `log_loss`, `log_loss_low`, `log_loss_high`, and so for `auroc` and `ece`."""
        return (
            self.log_loss.columns("log_loss")
            | self.auroc.columns("auroc")
            | self.ece.columns("ece")
        )


def probability_scores(
    run: pd.DataFrame,
    classes: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ProbabilityScores:
    """Score the test predictions of one input and kind of labels.

    AUROC and calibration error get the basic interval on the logit scale: resampling adds noise to
    a calibration error and so makes it larger, as the sample has made it larger than the truth, and
    the basic interval removes that. The log-loss, a mean, gets the percentile interval.

    Args:
        run: rows of `predictions.parquet`.
        classes: the K class names in the order of the logits.
        resamples: bootstrap draws.
        confidence: nominal coverage.
        seed: of the bootstrap.
    """
    position = {name: index for index, name in enumerate(classes)}
    group, groups = pd.factorize(run["content_group"])
    label = run["class"].map(position).to_numpy()
    logits = np.stack(run["logits"].tolist())  # (n, K)
    cnns = [
        (logits[rows], label[rows], group[rows])
        for rows in run.groupby(["cnn", "seed"], sort=False).indices.values()
    ]
    areas = np.mean([auroc_one_vs_rest(logits, label) for logits, label, _ in cnns], axis=0)  # (K,)
    sums = [reliability_sums(logits, label, BINS) for logits, label, _ in cnns]
    generator = np.random.default_rng(seed)
    shares = draw_counts(generator, len(cnns), resamples) / len(cnns)  # (R, C)
    longest = max(len(label) for _, label, _ in cnns)
    drawn: list[list[np.ndarray]] = []
    for part, counts in draw_in_parts(generator, len(groups), resamples, longest):
        of_cnns = [_drawn_scores(*cnn, counts) for cnn in cnns]
        drawn.append(
            [
                np.einsum("rc,cr...->r...", shares[part], np.stack(scores))
                for scores in zip(*of_cnns, strict=True)
            ]
        )
    losses, errors, drawn_areas = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    basic = partial(logit_basic_interval, confidence=confidence, margin=1 / (2 * len(cnns[0][1])))
    loss = float(np.mean([log_loss(logits, label) for logits, label, _ in cnns]))
    error = float(np.mean([calibration_error(of_cnn) for of_cnn in sums]))
    return ProbabilityScores(
        log_loss=percentile_interval(loss, losses, confidence),
        auroc=basic(float(np.mean(areas)), drawn_areas.mean(axis=1)),
        ece=basic(error, errors),
        areas=tuple(
            basic(float(area), column) for area, column in zip(areas, drawn_areas.T, strict=True)
        ),
        reliability=np.sum(sums, axis=0),
    )


def _drawn_scores(
    logits: np.ndarray, label: np.ndarray, group: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-loss (r,), calibration error (r,) and areas (r, K) of one CNN in resamples of
    content groups, counts (r, G).
    """
    own = counts[:, group]  # (r, n)
    total = own.sum(axis=1)  # (r,)
    confidence, hits, place = confidence_bins(logits, label, BINS)
    gap = (confidence - hits)[:, None] * (place[:, None] == np.arange(BINS))  # (n, B)
    return (
        own @ sample_losses(logits, label) / total,
        np.abs(own @ gap).sum(axis=1) / total,
        weighted_areas(logits, label, own),
    )
