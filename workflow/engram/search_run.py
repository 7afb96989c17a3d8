"""Runs the search of `engram.search` on a model's attention: atoms, estimates, finalists, one test."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram import search
from engram.bootstrap import group_confusions, intervals, scores_of
from engram.dataset import Dataset
from engram.metrics import class_scores
from engram.sampling import SampleSettings, draw_samples
from engram.taxonomy import NON_MEMO, Category
from engram.training import CnnSettings, GridResult, train_grid

log = logging.getLogger(__name__)


def search_taxonomies(
    labels: pd.DataFrame,
    drawn: pd.DataFrame,
    terms: Sequence[str],
    categories: Sequence[Category],
    assemble: Callable[[pd.DataFrame, list[str]], Dataset],
    samples: SampleSettings,
    cnn: CnnSettings,
    *,
    most_classes: int,
    finalists: int,
    seed: int,
    parts: Path | None = None,
    **statistics: Any,
) -> pd.DataFrame:
    """Every candidate with its estimate; the finalists with their own score on validation; the chosen one with its score on test.

    Args:
        labels: all candidates' labels.
        drawn: the atoms' sample list, of samples that the model reproduces.
        terms: categories with their numbers that are merged and ordered.
        categories: all that there are.
        assemble: from a sample list and its classes to a data set.
        samples: sizes and splits.
        cnn: grid and training, of the atoms and of the finalists.
        most_classes: of a candidate.
        finalists: candidates that are trained.
        seed: the study's.
        parts: where finished CNNs are kept.
        statistics: `resamples` and `confidence` of the test score.

    Returns:
        rank (by estimate), taxonomy, classes, tried (candidates in all), left_out (names that divide like another candidate, or
        have a class below `samples.minimum`), estimated_min_f1, validation_min_f1 (finalists), chosen, test_min_f1, test_mean_f1 and
        test_balanced_accuracy with intervals (the chosen one), n.
    """
    atom_of = search.atoms(labels, terms, categories)
    names = search.large_enough(drawn)
    counts = atom_of.value_counts().reindex(names).astype(int)
    taxonomies, left_out = search.candidates(terms, most_classes, categories, counts.drop(NON_MEMO), samples.minimum)
    log.info("%d candidates over %d atoms: %s", len(taxonomies), len(names), ", ".join(f"{name} {counts[name]:,}" for name in names))
    trained = train_grid(assemble(drawn[drawn["class"].isin(names)].reset_index(drop=True), names), cnn, "best_epoch", parts)
    logits, atom = _validation(trained)
    prior = np.bincount(trained.dataset.label[trained.dataset.rows("train")], minlength=len(names)).astype(float)
    estimates = [search.estimate(taxonomy, names, counts, logits, atom, prior / prior.sum()) for taxonomy in taxonomies]
    rows: list[dict[str, Any]] = []
    scored: list[tuple[float, GridResult]] = []
    for rank, index in enumerate(np.argsort(-np.array(estimates), kind="stable"), 1):
        taxonomy = taxonomies[index]
        row = {"rank": rank, "taxonomy": taxonomy.name, "classes": len(taxonomy.classes), "tried": len(taxonomies), "left_out": left_out}
        row |= {"estimated_min_f1": estimates[index], "validation_min_f1": np.nan, "chosen": False}
        if rank <= finalists:
            own = draw_samples(labels, taxonomy, samples, seed)
            own = own[own["sequence_id"].isin(drawn["sequence_id"])].reset_index(drop=True)  # the others are not reproduced
            grid = train_grid(assemble(own, taxonomy.class_names), cnn, "best_epoch", parts)
            row["validation_min_f1"] = _min_f1(grid)
            scored.append((row["validation_min_f1"], grid))
        rows.append(row)
    best = int(np.argmax([value for value, _ in scored]))
    rows[best] |= {"chosen": True} | _test(scored[best][1], seed=seed, **statistics)
    return pd.DataFrame(rows)


def _validation(result: GridResult) -> tuple[np.ndarray, np.ndarray]:
    """Logits and true classes on validation, all CNNs one after another."""
    data = result.dataset
    parts = []
    for cnn in result.trained.values():
        rows = data.split[cnn.row] == "validation"
        parts.append((cnn.logits[rows], data.label[cnn.row[rows]]))
    return np.concatenate([logits for logits, _ in parts]), np.concatenate([label for _, label in parts])


def _min_f1(result: GridResult) -> float:
    logits, label = _validation(result)
    classes = len(result.dataset.classes)
    confusion = np.bincount(label * classes + logits.argmax(axis=1), minlength=classes * classes).reshape(classes, classes)
    return float(class_scores(confusion)["min_f1"])


def _test(result: GridResult, **statistics: Any) -> dict[str, float]:
    data = result.dataset
    frames = []
    for key, cnn in result.trained.items():
        test = data.split[cnn.row] == "test"
        rows = cnn.row[test]
        columns = {"cnn": key.cnn, "seed": key.seed, "content_group": data.content_group[rows]}
        columns |= {
            "class": np.array(data.classes, dtype=object)[data.label[rows]],
            "logits": list(cnn.logits[test]),
        }
        frames.append(pd.DataFrame(columns))
    found = intervals(group_confusions(pd.concat(frames, ignore_index=True), data.classes), scores_of, **statistics)
    row: dict[str, float] = {"n": len(data.rows("test"))}
    for name in ("min_f1", "mean_f1", "balanced_accuracy"):
        row |= dict(zip((f"test_{name}", f"test_{name}_low", f"test_{name}_high"), found[name], strict=True))
    return row
