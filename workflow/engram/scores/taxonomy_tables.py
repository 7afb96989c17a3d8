"""The benchmark's tables: every taxonomy by every name, with intervals and ranks, beside what the
paper published.

Scores are of the test split and the CNNs on attention with real labels, confusion matrices summed
over CNNs, seeds, reported epochs and, in the rows `models` = all, over models (paper, Tables 1, 3
and 5-7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.cnn.key import CnnKey
from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.scores.bootstrap import scores_of
from engram.scores.comparisons import ranks
from engram.scores.metrics import natural_scores, per_class_scores
from engram.scores.probability_scores import BINS, ProbabilityScores, probability_scores
from engram.scores.resampling import Key, Resampled, Run, resample, summed
from engram.taxonomy.catalogue import RHO_KINDS, rho_name
from engram.taxonomy.partitions import Named
from engram.taxonomy.taxonomy import Taxonomy

ALL = "all"
"""In the column `models`: all models summed."""
ATTENTION = ("attention", "real")
_SCORES = ("min_f1", "mean_f1", "min_precision", "mean_precision", "min_recall", "mean_recall")


@dataclass(frozen=True)
class Trained:
    """The test predictions of one trained taxonomy."""

    model: str
    protocol: str
    slug: str
    classes: tuple[str, ...]
    runs: Mapping[tuple[str, str], Run]
    """By input and kind of labels."""
    probabilities: ProbabilityScores
    """Of attention with real labels."""
    n: int
    """Test samples."""
    diverged: int
    """CNNs on attention with real labels that diverged and count nowhere."""


def read_trained(path: str | Path, candidates: Mapping[str, int], **statistics: Any) -> Trained:
    """Reads results/<study>/<model>/<protocol>/cnns/<taxonomy>/predictions.parquet.

    Args:
        path: the file.
        candidates: candidates by class.
        statistics: `resamples`, `confidence` and `seed`.

    Raises:
        EngramError: no prediction of the test split on attention and real labels, or a class
            without candidates.
    """
    model, protocol, _, slug = Path(path).parts[-5:-1]
    metadata = read_metadata(path)
    classes = tuple(metadata["classes"])
    if unknown := [name for name in classes if name not in candidates]:
        raise EngramError(f"{path}: the counts have no class {unknown[0]}; draw the samples again")
    frame = read_parquet(path)
    test = frame[frame["split"] == "test"]
    natural = tuple(int(candidates[name]) for name in classes)
    runs = {
        (str(source), str(labels)): replace(Run.of(part, classes, model), candidates=natural)
        for (source, labels), part in test.groupby(["input", "labels"], sort=False)
    }
    if ATTENTION not in runs:
        raise EngramError(
            f"{path}: no test prediction on attention with real labels, so nothing can be scored; "
            f"train the CNNs again"
        )
    real = test[(test["input"] == ATTENTION[0]) & (test["labels"] == ATTENTION[1])]
    return Trained(
        model,
        protocol,
        slug,
        classes,
        runs,
        probability_scores(real, classes, **statistics),
        int(real["sequence_id"].nunique()),
        sum(
            (key.input, key.labels) == ATTENTION
            for key in map(CnnKey.of_path, metadata["diverged"])
        ),
    )


def statistics_of(confusions: np.ndarray, run: Run) -> dict[str, np.ndarray]:
    """The scores of the tables, and the F1 of every class as `f1/<position>`."""
    f1 = per_class_scores(confusions)[2]
    scores = scores_of(confusions) | {f"f1/{k}": f1[..., k] for k in range(f1.shape[-1])}
    return scores | (
        natural_scores(confusions, np.array(run.candidates)) if sum(run.candidates) else {}
    )


@dataclass(frozen=True)
class Scores:
    """All taxonomies of one model (or of all) and protocol, resampled together."""

    models: str
    """Name of the model, or `ALL`."""
    protocol: str
    trained: Mapping[str, tuple[Trained, ...]]
    """By slug; one entry per model."""
    values: Mapping[str, Mapping[str, Resampled]]
    """Statistic → slug → value and resamples."""
    runs: Mapping[str, Run]
    """By slug."""


def score(trained: Sequence[Trained], **settings: Any) -> list[Scores]:
    """Scores per model and protocol, then of all models of a protocol where there are several;
    `settings` are `resample`'s.
    """
    result = []
    protocols = dict.fromkeys(part.protocol for part in trained)
    models = dict.fromkeys(part.model for part in trained)
    for protocol in protocols:
        for label in [*models, *([ALL] if len(models) > 1 else [])]:
            slugs: dict[str, list[Trained]] = {}
            for part in trained:
                if part.protocol == protocol and label in (part.model, ALL):
                    slugs.setdefault(part.slug, []).append(part)
            runs = {
                slug: summed(part.runs[ATTENTION] for part in parts)
                for slug, parts in slugs.items()
            }
            values = resample(runs, statistics_of, **settings)
            result.append(
                Scores(
                    label,
                    protocol,
                    {slug: tuple(parts) for slug, parts in slugs.items()},
                    values,
                    runs,
                )
            )
    return result


def benchmark_table(
    scores: Sequence[Scores],
    names: Sequence[Named],
    published: pd.DataFrame,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Every taxonomy by every name, best minimum F1 first, for every model, all models, and
    protocol.

    Args:
        scores: of `score`.
        names: all names; an alias gets the scores of the taxonomy that is trained for it.
        published: `resources/published/taxonomy_scores.csv`.
        confidence: of the intervals.

    Returns:
        models, protocol, taxonomy, trained_as (another name of the same partition, if that was
        trained), classes (their number); the scores with intervals as `<score>_low` and
        `<score>_high`; rank by minimum F1 with the ranks that resamples give it; log_loss, auroc,
        ece (with intervals for single models); n, groups, cnns, diverged; published_models and the
        published scores, as fractions.
    """
    tables = []
    for part in scores:
        rows: list[dict[str, object]] = []
        ranked = ranks(part.values["min_f1"], confidence)
        for named in names:
            slug = named.trained.slug
            if slug not in part.runs:
                continue
            row: dict[str, object] = {
                "models": part.models,
                "protocol": part.protocol,
                "taxonomy": named.taxonomy.name,
                "trained_as": named.trained.name if named.is_alias else "",
                "classes": len(named.taxonomy.classes),
            }
            row |= score_columns(
                part.values,
                slug,
                (*_SCORES, "balanced_accuracy", *_natural(part.values)),
                confidence,
            )
            row |= dict(zip(("rank", "rank_low", "rank_high"), ranked[slug], strict=True))
            row |= _probabilities(part.trained[slug])
            rows.append(
                row | _sizes(part, slug) | _published(part.models, named.taxonomy.name, published)
            )
        rows.sort(key=_rank_and_name)
        tables.append(pd.DataFrame(rows))
    return pd.concat(tables, ignore_index=True)


def class_table(
    scores: Sequence[Scores], names: Sequence[Named], confidence: float = 0.95
) -> pd.DataFrame:
    """Precision, recall, F1 and AUROC with their intervals (AUROC of single models) and natural
    share of every class, by every name.
    """
    rows = []
    for part in scores:
        for named in names:
            slug = named.trained.slug
            if slug not in part.runs:
                continue
            run = part.runs[slug]
            precision, recall, _ = per_class_scores(run.total)
            areas = np.mean(
                [trained.probabilities.areas for trained in part.trained[slug]], axis=0
            )  # (K, 3)
            single = len(part.trained[slug]) == 1
            for k, name in enumerate(named.trained.class_names):
                low, high = part.values[f"f1/{k}"][slug].interval(confidence)
                rows.append(
                    {
                        "models": part.models,
                        "protocol": part.protocol,
                        "taxonomy": named.taxonomy.name,
                        "class": named.classes[name],
                        "f1": part.values[f"f1/{k}"][slug].value,
                        "f1_low": low,
                        "f1_high": high,
                        "precision": float(precision[k]),
                        "recall": float(recall[k]),
                        "auroc": areas[k, 0],
                        "auroc_low": areas[k, 1] if single else np.nan,
                        "auroc_high": areas[k, 2] if single else np.nan,
                        "candidates": run.candidates[k],
                        "natural_share": run.candidates[k] / max(1, sum(run.candidates)),
                    }
                )
    return pd.DataFrame(rows)


def rho_table(
    scores: Sequence[Scores],
    names: Sequence[Named],
    rho: Mapping[str, Sequence[float]],
    published: pd.DataFrame,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The new taxonomy at every threshold of the config's section `rho` (paper, Table 4), beside
    the published scores.

    Returns:
        models, protocol, kind (of `engram.taxonomy.catalogue.RHO_KINDS`), rho, taxonomy, the scores
        with intervals, n, groups, cnns, diverged, published_<score> as fractions.
    """
    by_name = {named.taxonomy.name: named for named in names}
    rows = []
    for part in scores:
        for kind in RHO_KINDS:
            for value in sorted(rho.get(kind, ())):
                named = by_name[Taxonomy.parse(rho_name(kind, value)).name]
                slug = named.trained.slug
                if slug not in part.runs:
                    continue
                row: dict[str, object] = {
                    "models": part.models,
                    "protocol": part.protocol,
                    "kind": kind,
                    "rho": value,
                }
                row["taxonomy"] = named.taxonomy.name
                row |= score_columns(part.values, slug, (*_SCORES, "balanced_accuracy"), confidence)
                same = published["rouge_l"].eq(kind != "rouge_3") & published["rouge_3"].eq(
                    kind != "rouge_l"
                )
                found = published[same & np.isclose(published["rho"], value)]
                row |= _sizes(part, slug)
                rows.append(
                    row
                    | {
                        f"published_{name}": found[name].iloc[0] / 100 if len(found) else np.nan
                        for name in _SCORES
                    }
                )
    columns = [
        "models",
        "protocol",
        "kind",
        "rho",
        "taxonomy",
        "min_f1",
        "min_f1_low",
        "min_f1_high",
        "published_min_f1",
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def calibration_table(trained: Iterable[Trained], names: Sequence[Named]) -> pd.DataFrame:
    """model, protocol, taxonomy, bin (its upper end), predictions, confidence and accuracy; bins
    without predictions are left out.
    """
    by_slug = {named.trained.slug: named.trained.name for named in names}
    rows = []
    for part in trained:
        for index, (count, confidence, hits) in enumerate(part.probabilities.reliability):
            if count:
                row = {
                    "model": part.model,
                    "protocol": part.protocol,
                    "taxonomy": by_slug[part.slug],
                    "bin": (index + 1) / BINS,
                }
                rows.append(
                    row
                    | {
                        "predictions": int(count),
                        "confidence": confidence / count,
                        "accuracy": hits / count,
                    }
                )
    return pd.DataFrame(rows)


def score_columns(
    values: Mapping[str, Mapping[Key, Resampled]], key: Key, names: Iterable[str], confidence: float
) -> dict[str, float]:
    """`<name>`, `<name>_low`, `<name>_high` for every name."""
    columns: dict[str, float] = {}
    for name in names:
        low, high = values[name][key].interval(confidence)
        columns |= {name: values[name][key].value, f"{name}_low": low, f"{name}_high": high}
    return columns


def _natural(values: Mapping[str, object]) -> list[str]:
    return [
        name for name in ("natural_accuracy", "natural_min_f1", "natural_mean_f1") if name in values
    ]


def _probabilities(parts: Sequence[Trained]) -> dict[str, float]:
    """Means over models; intervals are a single model's."""
    columns = [part.probabilities.columns() for part in parts]
    return (
        columns[0]
        if len(parts) == 1
        else {
            name: float(np.mean([part[name] for part in columns]))
            for name in ("log_loss", "auroc", "ece")
        }
    )


def _sizes(part: Scores, slug: str) -> dict[str, int]:
    run = part.runs[slug]
    sizes = {
        "n": sum(trained.n for trained in part.trained[slug]),
        "groups": len(run.groups),
        "cnns": len(run.cnns),
    }
    return sizes | {"diverged": sum(trained.diverged for trained in part.trained[slug])}


def _published(models: str, taxonomy: str, published: pd.DataFrame) -> dict[str, object]:
    """The published row of the same model, else of all three models; a model is known by its size
    in its name.
    """
    size = re.search(r"pythia-(12b|6\.9b|2\.8b)-deduped", models)
    label = size[1] if size else ALL
    found = published[published["models"].eq(label) & published["taxonomy"].eq(taxonomy)]
    columns: dict[str, object] = {"published_models": label if len(found) else ""}
    return columns | {
        f"published_{name}": found[name].iloc[0] / 100 if len(found) else np.nan for name in _SCORES
    }


def _rank_and_name(row: Mapping[str, Any]) -> tuple[int, str]:
    return row["rank"], row["taxonomy"]
