"""Trained taxonomies: their test predictions as runs, and runs of a study resampled together.

Scores are of the test split and, unless a table says differently, of the CNNs on attention with
real labels; confusion matrices are summed over CNNs, seeds, reported epochs and, where `models` is
`all`, over models (paper, Tables 1, 3 and 5-7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.cnn.key import CnnKey
from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_batches, stacked_tokens
from engram.scores.metrics import natural_scores, per_class_scores, table_scores
from engram.scores.probability_scores import ProbabilityScores, probability_scores
from engram.scores.runs import Key, Resampled, Run, resample, summed
from engram.windows.shown_text import suffix_keys

ALL_MODELS = "all"
"""The value of the column `models` for rows that sum over all models."""
SHARED = "text"
"""Source of the groups of runs whose models share texts."""
ATTENTION = ("attention", "real")
"""Input and labels of the CNNs that the study is about."""


@dataclass(frozen=True)
class Trained:
    """The test predictions of one trained taxonomy."""

    model: str
    """Name of the language model."""
    protocol: str
    """Name of the protocol, see `engram.taxonomy.protocols`."""
    slug: str
    """Slug of the taxonomy."""
    classes: tuple[str, ...]
    """The K class names in the order of the logits."""
    runs: Mapping[tuple[str, str], Run]
    """By input and kind of labels."""
    probabilities: ProbabilityScores
    """Of the CNNs on attention with real labels."""
    n: int
    """Test samples."""
    diverged: int
    """CNNs on attention with real labels that diverged and count nowhere."""


def read_trained(
    path: str | Path,
    model: str,
    protocol: str,
    slug: str,
    candidates: Mapping[str, int],
    texts: pd.Series | None = None,
    natural: Mapping[str, int] | None = None,
    **statistics: Any,
) -> Trained:
    """Read results/<study>/<model>/<protocol>/cnns/<taxonomy>/predictions.parquet.

    Args:
        path: the file.
        model, protocol, slug: the names of its run.
        candidates: candidates by class.
        texts: of `text_keys`: samples of several models that have one text are drawn together. None
            keeps the texts of models apart.
        natural: how often each class occurs in a plain draw from a corpus; None where there is
            none.
        statistics: `resamples`, `confidence` and `seed`.

    Raises:
        EngramError: no test prediction on attention with real labels, or a class without
            candidates.
    """
    metadata = read_metadata(path)
    classes = tuple(metadata["classes"])
    if unknown := [name for name in classes if name not in candidates]:
        raise EngramError(f"{path}: the counts have no class {unknown[0]}; draw the samples again")
    frame = read_parquet(path)
    test = frame[frame["split"] == "test"]
    counted = tuple(int(candidates[name]) for name in classes)
    plain = tuple(int(natural[name]) for name in classes) if natural else ()
    if texts is not None:
        test = test.assign(content_group=texts.loc[test["content_group"]].to_numpy())
    place = model if texts is None else SHARED
    runs = {
        (str(source), str(labels)): replace(
            Run.of(part, classes, place), candidates=counted, natural=plain if any(plain) else ()
        )
        for (source, labels), part in test.groupby(["input", "labels"], sort=False)
    }
    if ATTENTION not in runs:
        raise EngramError(
            f"{path}: no test prediction on attention with real labels, so nothing can be scored; "
            f"train the CNNs again"
        )
    real = test[(test["input"] == ATTENTION[0]) & (test["labels"] == ATTENTION[1])]
    diverged = map(CnnKey.of_path, metadata["diverged"])
    return Trained(
        model,
        protocol,
        slug,
        classes,
        runs,
        probability_scores(real, classes, **statistics),
        int(real["sequence_id"].nunique()),
        sum((key.input, key.labels) == ATTENTION for key in diverged),
    )


def text_keys(candidates: str | Path, content_group: pd.Series, prefix: int) -> pd.Series:
    """Return a number for the suffix of every content group that is the same for every model.

    Args:
        candidates: `candidates.parquet` of a model.
        content_group: by sequence_id.
        prefix: tokens of the prompt.

    Returns:
        int64 by content group: equal iff the suffix tokens are.
    """
    parts = []
    for part in read_batches(candidates, ["sequence_id", "tokens"]):
        keys = suffix_keys(stacked_tokens(part)[:, prefix:])
        parts.append(pd.Series(keys, index=part["sequence_id"].to_numpy()))
    key = pd.concat(parts)
    groups = content_group.loc[key.index].to_numpy()
    return pd.Series(key.to_numpy(), index=groups).loc[lambda rows: ~rows.index.duplicated()]


def run_statistics(confusions: np.ndarray, run: Run) -> dict[str, np.ndarray]:
    """Return what is resampled of every run, (…) each: the scores of the tables, the F1 of every
    class as `f1/<position>` and, where natural frequencies are known, the scores at those.

    Args:
        confusions: of resamples of the run, (…, K, K).
        run: the run.
    """
    f1 = per_class_scores(confusions)[2]
    scores = table_scores(confusions) | {f"f1/{k}": f1[..., k] for k in range(f1.shape[-1])}
    if run.natural:
        scores |= natural_scores(confusions, np.array(run.natural))
    return scores


@dataclass(frozen=True)
class TaxonomyScores:
    """All taxonomies of one model (or of all) and protocol, resampled together."""

    models: str
    """Name of the model, or `ALL_MODELS`."""
    protocol: str
    """Name of the protocol."""
    trained: Mapping[str, tuple[Trained, ...]]
    """By slug; one entry per model."""
    values: Mapping[str, Mapping[str, Resampled]]
    """Statistic → slug → value and resamples."""
    runs: Mapping[str, Run]
    """By slug."""


def score_together(trained: Sequence[Trained], **settings: Any) -> list[TaxonomyScores]:
    """Score the taxonomies of every model and protocol, and of all models of a protocol where there
    are several.

    Args:
        trained: all taxonomies of the study.
        settings: `resamples` and `seed`.
    """
    result = []
    models = dict.fromkeys(part.model for part in trained)
    for protocol in dict.fromkeys(part.protocol for part in trained):
        for label in [*models, *([ALL_MODELS] if len(models) > 1 else [])]:
            by_slug: dict[str, list[Trained]] = {}
            for part in trained:
                if part.protocol == protocol and label in (part.model, ALL_MODELS):
                    by_slug.setdefault(part.slug, []).append(part)
            runs = {
                slug: summed(part.runs[ATTENTION] for part in parts)
                for slug, parts in by_slug.items()
            }
            values = resample(runs, run_statistics, **settings)
            parts_of = {slug: tuple(parts) for slug, parts in by_slug.items()}
            result.append(TaxonomyScores(label, protocol, parts_of, values, runs))
    return result


def score_columns(
    values: Mapping[str, Mapping[Key, Resampled]], key: Key, names: Iterable[str], confidence: float
) -> dict[str, float]:
    """Return the columns `<name>`, `<name>_low` and `<name>_high` of every named statistic of one
    run.
    """
    columns: dict[str, float] = {}
    for name in names:
        columns |= values[name][key].interval(confidence).columns(name)
    return columns
