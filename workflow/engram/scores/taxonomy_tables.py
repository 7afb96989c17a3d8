"""Tables of taxonomies: every taxonomy by every name, with intervals and ranks, next to what the
paper published.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from engram.scores.comparisons import rank_intervals
from engram.scores.confusions import RUNS
from engram.scores.metrics import CLASS_SCORES, NATURAL_SCORES, per_class_scores
from engram.scores.probability_scores import BINS
from engram.scores.runs import summed
from engram.scores.trained import ALL_MODELS, TaxonomyScores, Trained, score_columns
from engram.taxonomy.catalogue import RHO_KINDS, rho_name
from engram.taxonomy.partitions import Named
from engram.taxonomy.taxonomy import Taxonomy


def taxonomy_table(
    scores: Sequence[TaxonomyScores],
    names: Sequence[Named],
    published: pd.DataFrame,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Tabulate every taxonomy by every name, best minimum F1 first, per model (and all models) and
    protocol.

    Args:
        scores: of `engram.scores.trained.score_together`.
        names: all names; an alias gets the scores of the taxonomy that is trained for it.
        published: `resources/published/taxonomy_scores.csv`.
        confidence: of the intervals.

    Returns:
        models, protocol, taxonomy, trained_as (the other name of the same partition that was
        trained, if any), classes (their number); the scores with intervals as `<score>_low` and
        `<score>_high`; rank by minimum F1 with ranks that hold for all rows at once; log_loss,
        auroc, ece (with intervals for single models); n, groups, cnns, diverged; published_models
        and the published scores, as fractions.
    """
    tables = []
    for part in scores:
        rows: list[dict[str, object]] = []
        ranked = rank_intervals(part.values["min_f1"], confidence)
        natural = [name for name in NATURAL_SCORES if name in part.values]
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
            columns = (*CLASS_SCORES, "balanced_accuracy", *natural)
            row |= score_columns(part.values, slug, columns, confidence)
            row |= dict(zip(("rank", "rank_low", "rank_high"), ranked[slug], strict=True))
            row |= _probabilities(part.trained[slug])
            row |= _sizes(part, slug)
            rows.append(row | _published(part.models, named.taxonomy.name, published))
        rows.sort(key=_rank_and_name)
        tables.append(pd.DataFrame(rows))
    return pd.concat(tables, ignore_index=True)


def class_table(
    scores: Sequence[TaxonomyScores], names: Sequence[Named], confidence: float = 0.95
) -> pd.DataFrame:
    """Tabulate precision, recall, F1 and AUROC of every class, by every name of the taxonomy.

    Returns:
        models, protocol, taxonomy, class, f1 with its interval, precision, recall, auroc (with its
        interval for single models), candidates, natural_share (of a plain draw from a corpus,
        where there is one).
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
                row: dict[str, object] = {
                    "models": part.models,
                    "protocol": part.protocol,
                    "taxonomy": named.taxonomy.name,
                    "class": named.classes[name],
                }
                row |= part.values[f"f1/{k}"][slug].interval(confidence).columns("f1")
                row |= {
                    "precision": float(precision[k]),
                    "recall": float(recall[k]),
                    "auroc": areas[k, 0],
                    "auroc_low": areas[k, 1] if single else np.nan,
                    "auroc_high": areas[k, 2] if single else np.nan,
                    "candidates": run.candidates[k],
                    "natural_share": run.natural[k] / sum(run.natural) if run.natural else np.nan,
                }
                rows.append(row)
    return pd.DataFrame(rows)


def confusion_table(scores: Sequence[TaxonomyScores]) -> pd.DataFrame:
    """Tabulate the confusion matrix of every trained taxonomy, input and kind of labels, per model
    and summed over models (paper, Figures 5 and 7-12).

    Args:
        scores: of `engram.scores.trained.score_together`.

    Returns:
        One row per cell: models, protocol, taxonomy, slug, input, labels, class (the true one),
        predicted, predictions (of all CNNs, seeds and reported epochs), share (of the class's
        predictions). A sum over models counts the CNNs that all of them have.
    """
    rows = []
    for part in scores:
        for slug, trained in part.trained.items():
            classes = trained[0].classes
            run_names = {
                "models": part.models,
                "protocol": part.protocol,
                "taxonomy": ", ".join(classes),
                "slug": slug,
            }
            for source, labels in RUNS:
                runs = [one.runs[source, labels] for one in trained if (source, labels) in one.runs]
                if len(runs) < len(trained):
                    continue
                counts = summed(runs).total  # (K, K)
                shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
                rows += [
                    run_names
                    | {"input": source, "labels": labels}
                    | {"class": classes[true], "predicted": classes[predicted]}
                    | {"predictions": int(count), "share": shares[true, predicted]}
                    for (true, predicted), count in np.ndenumerate(counts)
                ]
    return pd.DataFrame(rows)


def confusion_panels(
    table: pd.DataFrame, models: str, protocol: str, slug: str
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the confusion matrices of one taxonomy from a table that `confusion_table` made.

    Returns:
        The K class names, and title of the run (of `engram.scores.confusions.RUNS`) → counts
        (K, K), rows the true classes.
    """
    keys = (table["models"] == models, table["protocol"] == protocol, table["slug"] == slug)
    rows = table[np.logical_and.reduce(keys)]
    classes = list(dict.fromkeys(rows["class"]))
    panels = {
        RUNS[str(source), str(labels)]: part["predictions"].to_numpy().reshape(len(classes), -1)
        for (source, labels), part in rows.groupby(["input", "labels"], sort=False)
    }
    return classes, panels


def rho_table(
    scores: Sequence[TaxonomyScores],
    names: Sequence[Named],
    rho: Mapping[str, Sequence[float]],
    published: pd.DataFrame,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Tabulate the new taxonomy at every threshold of the config's section `rho` (paper, Table 4),
    next to the published scores.

    Args:
        scores: of `engram.scores.trained.score_together`.
        names: all names of the taxonomies.
        rho: kind (of `engram.taxonomy.catalogue.RHO_KINDS`) → thresholds.
        published: `resources/published/rho_scores.csv`.
        confidence: of the intervals.

    Returns:
        models, protocol, kind, rho, taxonomy, the scores with intervals, n, groups, cnns, diverged,
        published_<score> as fractions.
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
                    "taxonomy": named.taxonomy.name,
                }
                columns = (*CLASS_SCORES, "balanced_accuracy")
                row |= score_columns(part.values, slug, columns, confidence)
                same_kind = published["rouge_l"].eq(kind != "rouge_3") & published["rouge_3"].eq(
                    kind != "rouge_l"
                )
                matches = published[same_kind & np.isclose(published["rho"], value)]
                rows.append(row | _sizes(part, slug) | _published_scores(matches))
    if rows:
        return pd.DataFrame(rows)
    first = ["models", "protocol", "kind", "rho", "taxonomy"]
    return pd.DataFrame(columns=[*first, "min_f1", "min_f1_low", "min_f1_high", "published_min_f1"])


def calibration_table(trained: Iterable[Trained], names: Sequence[Named]) -> pd.DataFrame:
    """Tabulate how often the CNNs on attention are right, by how sure they are.

    Returns:
        model, protocol, taxonomy, bin (its upper end), predictions, confidence and accuracy (means
        over the predictions); bins without predictions are left out.
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
                    "predictions": int(count),
                    "confidence": confidence / count,
                    "accuracy": hits / count,
                }
                rows.append(row)
    return pd.DataFrame(rows)


def _probabilities(parts: Sequence[Trained]) -> dict[str, float]:
    """Return the columns of log_loss, auroc and ece: of one model with intervals, of several their
    means.
    """
    columns = [part.probabilities.columns() for part in parts]
    if len(parts) == 1:
        return columns[0]
    return {
        name: float(np.mean([of_model[name] for of_model in columns]))
        for name in ("log_loss", "auroc", "ece")
    }


def _sizes(part: TaxonomyScores, slug: str) -> dict[str, int]:
    run = part.runs[slug]
    return {
        "n": sum(trained.n for trained in part.trained[slug]),
        "groups": len(set(run.groups)),
        "cnns": len(run.cnns),
        "diverged": sum(trained.diverged for trained in part.trained[slug]),
    }


def _published(models: str, taxonomy: str, published: pd.DataFrame) -> dict[str, object]:
    """Return the published row of the same model, else of all three models; a model is recognized
    by the size in its name.
    """
    size = re.search(r"pythia-(12b|6\.9b|2\.8b)-deduped", models)
    label = size[1] if size else ALL_MODELS
    matches = published[published["models"].eq(label) & published["taxonomy"].eq(taxonomy)]
    return {"published_models": label if len(matches) else ""} | _published_scores(matches)


def _published_scores(matches: pd.DataFrame) -> dict[str, object]:
    """Return the published scores, in percent in the first row of `matches`, as fractions."""
    return {
        f"published_{name}": matches[name].iloc[0] / 100 if len(matches) else np.nan
        for name in CLASS_SCORES
    }


def _rank_and_name(row: Mapping[str, Any]) -> tuple[int, str]:
    return row["rank"], row["taxonomy"]
