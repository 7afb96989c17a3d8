"""Scores of CNNs trained for pairs, in the form of those of the linear scorers.

A CNN takes seconds to train, so it is not fitted again for each of a thousand redraws. Its null
distribution keeps the CNN and draws the arms of the *test* clusters again. The design draws them
apart from those of other splits, so that if exposure changed nothing, what the CNN reaches on them
is one more of these draws, whatever it has learned. A few CNNs of arms that are redrawn everywhere
are trained as a control, which must be at chance on their own test arms."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from engram.crossed.accuracy import arm_accuracies, auroc
from engram.crossed.cnn import Maps, PairedCnn, train_paired_cnn
from engram.crossed.null import Arms, Reached
from engram.crossed.pair import ASSIGNED, KEY, PairScores, called_row, score_row, test_sets
from engram.crossed.settings import CrossedCnnSettings
from engram.io.workers import single_threaded_workers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairCnns:
    """The CNNs of one input."""

    own: PairedCnn
    """Of the design's arms."""
    control: list[PairedCnn]
    """Of redrawn arms: columns 1 … of `Arms.drawn`."""


def train_pair_cnns(maps: Maps, arms: Arms, settings: CrossedCnnSettings) -> PairCnns:
    """Train a CNN per seed on the design's arms and on those of every control, as many at a time as
    torch has threads, and choose the best of each by validation windows.

    Args:
        maps: of both models, n windows.
        arms: the label vectors, at least 1 + `settings.redraws`.
        settings: the CNNs and their training.
    """
    jobs = [(column, seed) for column in range(1 + settings.redraws) for seed in settings.seeds]

    def run(job: tuple[int, int]) -> PairedCnn:
        column, seed = job
        return train_paired_cnn(
            maps, arms.drawn[:, column].astype(np.int64), arms.windows, settings, seed
        )

    workers = torch.get_num_threads()
    with single_threaded_workers(workers) as pool:
        trained = list(
            tqdm(pool.map(run, jobs), total=len(jobs), desc="paired CNNs", unit="CNN", delay=2)
        )
    best = []
    for column in range(1 + settings.redraws):
        of_seeds = [cnn for (own, _), cnn in zip(jobs, trained, strict=True) if own == column]
        best.append(max(of_seeds, key=lambda cnn: cnn.separation))  # the first of equals
    log.info("chosen: seed %d, epoch %d", best[0].seed, best[0].epoch)
    return PairCnns(best[0], best[1:])


def score_pair_cnns(
    windows: pd.DataFrame, arms: Arms, cnns: Mapping[str, PairCnns], confidence: float
) -> PairScores:
    """Test CNNs as `engram.crossed.pair.score_pair` tests linear scorers.

    Args:
        windows: as `engram.crossed.effects.outcomes` gives them, n.
        arms: of the same windows; the redraws of test windows are the null distribution.
        cnns: by name of the input, trained on all strata.
        confidence: of the intervals.
    """
    rows, decisions, null = [], [], []
    test = arms.windows.rows("test")
    for name, trained in cnns.items():
        score = trained.own.score
        for key, mask in test_sets(windows).items():
            found = reached_by(score, arms, arms.windows.rows("test", among=mask))
            if len(found.rows) < 2 or not np.isfinite(found.accuracy[0]):
                continue
            label = dict(zip(KEY, (name, "all", *key), strict=True))
            row = score_row(found, windows, arms, confidence)
            if key[2] == ASSIGNED:
                redraw = np.arange(len(found.accuracy))
                null.append(pd.DataFrame(label | {"redraw": redraw, "accuracy": found.accuracy}))
            else:
                row |= dict.fromkeys(("p", "null_median", "null_95"), np.nan)
            rows.append(label | row)
        ids = windows["sequence_id"].to_numpy()[test]
        decisions.append(
            pd.DataFrame(
                {"input": name, "trained_on": "all", "sequence_id": ids, "score": score[test]}
            )
        )
    return PairScores(
        pd.DataFrame(rows),
        pd.concat(decisions, ignore_index=True),
        pd.concat(null, ignore_index=True),
    )


def cnn_checks(
    windows: pd.DataFrame, arms: Arms, cnns: Mapping[str, PairCnns], confidence: float
) -> Iterator[dict[str, object]]:
    """Yield what must be at chance: CNNs on windows that neither or both models were shown, and
    CNNs of redrawn arms (mean accuracy, its smallest and its largest value, and the share of CNNs,
    the design's own included, that reach what that one reaches).
    """
    test = arms.windows.rows("test")
    stratum = arms.windows.stratum[test]
    for name, trained in cnns.items():
        for arm in ("placebo", "both"):
            if row := called_row(name, arm, trained.own.score, windows, confidence):
                yield row
        if not trained.control:
            continue
        reached = np.array(
            [
                arm_accuracies(cnn.score[test, None], arms.drawn[test, column, None], stratum).mean
                for column, cnn in enumerate((trained.own, *trained.control))
            ]
        )[:, 0]
        control = reached[1:]
        yield {
            "check": "CNNs of redrawn arms",
            "input": name,
            "stratum": "all",
            "windows": len(test),
            "clusters": windows["cluster"].iloc[test].nunique(),
            "value": float(control.mean()),
            "low": float(control.min()),
            "high": float(control.max()),
            "p": float((1 + (control >= reached[0] - 1e-12).sum()) / len(reached)),
            "redraws": len(control),
        }


def reached_by(score: np.ndarray, arms: Arms, rows: np.ndarray) -> Reached:
    """Return what scores (n,) reach on some windows, with their arms as drawn and as redrawn."""
    labels, stratum = arms.drawn[rows], arms.windows.stratum[rows]
    values = np.broadcast_to(score[rows, None], labels.shape)
    accuracy = arm_accuracies(values, labels, stratum)
    return Reached(
        rows,
        score[rows],
        accuracy.mean,
        float(accuracy.first[0]) if len(rows) else np.nan,
        float(accuracy.second[0]) if len(rows) else np.nan,
        auroc(values, labels, stratum),
    )
