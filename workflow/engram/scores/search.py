"""Runs the search of `engram.taxonomy.search` on a model's attention: atoms, estimates, finalists,
one test.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.cnn.dataset import Dataset
from engram.cnn.grid import GridResult, train_grid
from engram.cnn.settings import CnnSettings
from engram.scores.bootstrap import group_confusions, intervals, scores_of
from engram.scores.metrics import class_scores, softmax
from engram.taxonomy import search
from engram.taxonomy.sampling import draw_samples
from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import NON_MEMO, Category, Taxonomy

log = logging.getLogger(__name__)


def search_taxonomies(
    labels: pd.DataFrame,
    drawn: pd.DataFrame,
    terms: Sequence[str],
    categories: Sequence[Category],
    assemble: Callable[[pd.DataFrame, list[str]], Dataset],
    samples: DrawSettings,
    cnn: CnnSettings,
    *,
    most_classes: int,
    finalists: int,
    seed: int,
    parts: Path | None = None,
    code: str = "",
    **statistics: Any,
) -> pd.DataFrame:
    """Every candidate with its estimate; the finalists with their own score on validation; the
    chosen one with its score on test.

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
        code: digest of the code that trains them.
        statistics: `resamples` and `confidence` of the test score.

    Returns: rank (by estimate), taxonomy, classes, tried (candidates in all), left_out (names that
        divide like another candidate, or have a class below `samples.minimum`), estimated_min_f1,
        validation_min_f1 (finalists), chosen, test_min_f1, test_mean_f1 and test_balanced_accuracy
        with intervals (the chosen one), n.
    """
    atom_of = search.atoms(labels, terms, categories)
    names = search.large_enough(drawn)
    counts = atom_of.value_counts().reindex(names).astype(int)
    taxonomies, left_out = search.candidates(
        terms, most_classes, categories, counts.drop(NON_MEMO), samples.minimum
    )
    log.info(
        "%d candidates over %d atoms: %s",
        len(taxonomies),
        len(names),
        ", ".join(f"{name} {counts[name]:,}" for name in names),
    )
    trained = train_grid(
        assemble(drawn[drawn["class"].isin(names)].reset_index(drop=True), names),
        cnn,
        "best_epoch",
        parts,
        code,
    )
    logits, atom = _validation(trained)
    prior = np.bincount(
        trained.dataset.label[trained.dataset.rows("train")], minlength=len(names)
    ).astype(float)
    estimates = [
        estimate(taxonomy, names, counts, logits, atom, prior / prior.sum())
        for taxonomy in taxonomies
    ]
    rows: list[dict[str, Any]] = []
    scored: list[tuple[float, GridResult]] = []
    for rank, index in enumerate(np.argsort(-np.array(estimates), kind="stable"), 1):
        taxonomy = taxonomies[index]
        row = {
            "rank": rank,
            "taxonomy": taxonomy.name,
            "classes": len(taxonomy.classes),
            "tried": len(taxonomies),
            "left_out": left_out,
        }
        row |= {"estimated_min_f1": estimates[index], "validation_min_f1": np.nan, "chosen": False}
        if rank <= finalists:
            own = draw_samples(labels, taxonomy, samples, seed)
            own = own[own["sequence_id"].isin(drawn["sequence_id"])].reset_index(
                drop=True
            )  # the others are not reproduced
            grid = train_grid(assemble(own, taxonomy.class_names), cnn, "best_epoch", parts, code)
            row["validation_min_f1"] = _min_f1(grid)
            scored.append((row["validation_min_f1"], grid))
        rows.append(row)
    best = int(np.argmax([value for value, _ in scored]))
    rows[best] |= {"chosen": True} | _test(scored[best][1], seed=seed, **statistics)
    return pd.DataFrame(rows)


def estimate(
    taxonomy: Taxonomy,
    atom_names: Sequence[str],
    counts: pd.Series,
    logits: np.ndarray,
    atom: np.ndarray,
    prior: np.ndarray,
) -> float:
    """Minimum F1 of a taxonomy on the samples, by CNNs that tell atoms apart.

    A class's likelihood is the mean of its atoms', weighed by how often each occurs in it; samples
    of an atom together weigh what the atom's share of its class is, and all classes alike.

    Args:
        taxonomy: a candidate.
        atom_names: in the order of the logits, Non-Memo first.
        counts: candidates by atom, Non-Memo included.
        logits: of one or several CNNs, (n, A).
        atom: index of every sample's atom, (n,).
        prior: share of every atom in training, (A,).
    """
    parts = [
        [NON_MEMO],
        *search.parts_of(taxonomy, [name for name in atom_names if name != NON_MEMO]),
    ]
    share = np.zeros((len(parts), len(atom_names)))  # (K, A)
    for k, part in enumerate(parts):
        members = [atom_names.index(name) for name in part]
        share[k, members] = counts[list(part)].to_numpy() / counts[list(part)].sum()
    likelihood = softmax(logits) / prior  # (n, A), up to a factor per sample
    predicted = (likelihood @ share.T).argmax(axis=1)
    true = share.argmax(axis=0)[atom]
    weight = share.max(axis=0)[atom] / np.bincount(atom, minlength=len(atom_names))[atom]
    confusion = np.zeros((len(parts), len(parts)))
    np.add.at(confusion, (true, predicted), weight)
    return float(class_scores(confusion)["min_f1"])


def _validation(result: GridResult) -> tuple[np.ndarray, np.ndarray]:
    """Logits and true classes on validation, all CNNs one after another."""
    data = result.dataset
    parts = []
    for cnn in result.trained.values():
        rows = data.split[cnn.row] == "validation"
        parts.append((cnn.logits[rows], data.label[cnn.row[rows]]))
    return np.concatenate([logits for logits, _ in parts]), np.concatenate(
        [label for _, label in parts]
    )


def _min_f1(result: GridResult) -> float:
    logits, label = _validation(result)
    classes = len(result.dataset.classes)
    confusion = np.bincount(
        label * classes + logits.argmax(axis=1), minlength=classes * classes
    ).reshape(classes, classes)
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
    found = intervals(
        group_confusions(pd.concat(frames, ignore_index=True), data.classes),
        scores_of,
        **statistics,
    )
    row: dict[str, float] = {"n": len(data.rows("test"))}
    for name in ("min_f1", "mean_f1", "balanced_accuracy"):
        row |= dict(
            zip((f"test_{name}", f"test_{name}_low", f"test_{name}_high"), found[name], strict=True)
        )
    return row
