"""Run the search of `engram.taxonomy.search` on a model's attention: atoms, estimates, finalists,
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
from engram.scores.metrics import class_scores, confusion_matrix, table_scores
from engram.scores.probability_metrics import class_probabilities
from engram.scores.runs import Run, score_intervals
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
    """Estimate every candidate, train the finalists, and test the one that is best on validation.

    Args:
        labels: all candidates' labels.
        drawn: the atoms' sample list, of samples that the model reproduces.
        terms: categories with their parameters, to be merged and ordered.
        categories: all categories of the study.
        assemble: makes a data set of a sample list and its classes.
        samples: sizes and splits.
        cnn: grid and training, of the atoms and of the finalists.
        most_classes: most classes of a candidate.
        finalists: candidates that are trained.
        seed: the study's.
        parts: folder where finished CNNs are kept.
        code: digest of the code that trains them.
        statistics: `resamples` and `confidence` of the test score.

    Returns:
        rank (by estimate), taxonomy, classes, tried (number of candidates), left_out (names that
        divide the samples like another candidate, or have a class below `samples.minimum`),
        estimated_min_f1, validation_min_f1 (finalists), chosen, test_min_f1, test_mean_f1 and
        test_balanced_accuracy with intervals (the chosen one), n.
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
    of_atoms = assemble(drawn[drawn["class"].isin(names)].reset_index(drop=True), names)
    trained = train_grid(of_atoms, cnn, "best_epoch", parts, code)
    logits, atom = _validation(trained)
    learned = trained.dataset.label[trained.dataset.rows("train")]
    prior = np.bincount(learned, minlength=len(names)) / len(learned)
    estimates = [
        estimated_min_f1(taxonomy, names, counts, logits, atom, prior) for taxonomy in taxonomies
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
            "estimated_min_f1": estimates[index],
            "validation_min_f1": np.nan,
            "chosen": False,
        }
        if rank <= finalists:
            chosen = draw_samples(labels, taxonomy, samples, seed)
            reproduced = chosen["sequence_id"].isin(drawn["sequence_id"])
            dataset = assemble(chosen[reproduced].reset_index(drop=True), taxonomy.class_names)
            grid = train_grid(dataset, cnn, "best_epoch", parts, code)
            row["validation_min_f1"] = _min_f1(grid)
            scored.append((row["validation_min_f1"], grid))
        rows.append(row)
    best = int(np.argmax([value for value, _ in scored]))
    rows[best] |= {"chosen": True} | _test(scored[best][1], seed=seed, **statistics)
    return pd.DataFrame(rows)


def estimated_min_f1(
    taxonomy: Taxonomy,
    atom_names: Sequence[str],
    counts: pd.Series,
    logits: np.ndarray,
    atom: np.ndarray,
    prior: np.ndarray,
) -> float:
    """Estimate the minimum F1 of a taxonomy from CNNs that tell atoms apart.

    The likelihood of a class is the mean of its atoms', weighted by how often each occurs in it.
    The samples of an atom together weigh as much as the atom's share of its class, and all classes
    weigh the same.

    Args:
        taxonomy: a candidate.
        atom_names: in the order of the logits, Non-Memo first.
        counts: candidates by atom, Non-Memo included.
        logits: of one or several CNNs, (n, A).
        atom: index of every sample's atom, (n,).
        prior: share of every atom in training, (A,).
    """
    others = [name for name in atom_names if name != NON_MEMO]
    parts = [[NON_MEMO], *search.parts_of(taxonomy, others)]
    share = np.zeros((len(parts), len(atom_names)))  # (K, A)
    for k, part in enumerate(parts):
        members = [atom_names.index(name) for name in part]
        share[k, members] = counts[list(part)].to_numpy() / counts[list(part)].sum()
    likelihood = class_probabilities(logits) / prior  # (n, A), up to a factor per sample
    predicted = (likelihood @ share.T).argmax(axis=1)
    true = share.argmax(axis=0)[atom]
    weight = share.max(axis=0)[atom] / np.bincount(atom, minlength=len(atom_names))[atom]
    confusion = np.zeros((len(parts), len(parts)))
    np.add.at(confusion, (true, predicted), weight)
    return float(class_scores(confusion)["min_f1"])


def _validation(result: GridResult) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and true classes on validation, one CNN after another."""
    data = result.dataset
    parts = []
    for cnn in result.trained.values():
        rows = data.split[cnn.row] == "validation"
        parts.append((cnn.logits[rows], data.label[cnn.row[rows]]))
    logits, label = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(label)


def _min_f1(result: GridResult) -> float:
    logits, label = _validation(result)
    confusion = confusion_matrix(label, logits.argmax(axis=1), len(result.dataset.classes))
    return float(class_scores(confusion)["min_f1"])


def _test(result: GridResult, **statistics: Any) -> dict[str, float]:
    """Return the test scores of the chosen taxonomy as columns."""
    data = result.dataset
    frames = []
    for key, cnn in result.trained.items():
        test = data.split[cnn.row] == "test"
        rows = cnn.row[test]
        columns = {
            "cnn": key.cnn,
            "seed": key.seed,
            "content_group": data.content_group[rows],
            "class": np.array(data.classes, dtype=object)[data.label[rows]],
            "logits": list(cnn.logits[test]),
        }
        frames.append(pd.DataFrame(columns))
    run = Run.of(pd.concat(frames, ignore_index=True), data.classes)
    scores = score_intervals(run, table_scores, **statistics)
    row: dict[str, float] = {"n": len(data.rows("test"))}
    for name in ("min_f1", "mean_f1", "balanced_accuracy"):
        row |= scores[name].columns(f"test_{name}")
    return row
