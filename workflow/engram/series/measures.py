"""What a window of a series' model counts as: buckets of its memorization score, and classes.

(P) Buckets: full (score 1), half (a band around .5), none (0). (U) The band's width, which the
paper does not give; the classes of taxonomies; the score itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.scores.bootstrap import cluster_sums, share_interval
from engram.series.rates import BUCKETS, LINE, bucket, fit_measures
from engram.sources.early_exit import EarlyExit
from engram.taxonomy.expressions import evaluate, names_of
from engram.taxonomy.sampling import PLAIN_DRAW
from engram.taxonomy.taxonomy import NON_MEMO, Taxonomy

SCORE = "matched_fraction"
"""The measure that is the memorization score itself."""
ALL_FAMILIES = "all families"
"""Value of the column `family` for the slope that all families share."""
TESTS = ("wald", "p_texts", "p_bootstrap", "f", "p_models")
"""Columns of the row of all families alone: tests of equal slopes."""
KEYS = ("taxonomy", "measure")
"""Columns that name a measure: `taxonomy` is empty where it belongs to none."""


@dataclass(frozen=True)
class Member:
    """A model of a family."""

    name: str
    family: str
    parameters: int
    """Number of weights."""
    step: int | None = None
    """Training step, where rates are compared with it."""


def windows_of(
    member: Member,
    labels: pd.DataFrame,
    content: pd.Series,
    taxonomies: Sequence[Taxonomy],
    half: tuple[float, float],
    where: str = "",
    early_exit: EarlyExit | None = None,
) -> pd.DataFrame:
    """Return the windows of a model that count, with a column for every measure.

    Args:
        member: the model.
        labels: of its candidates: sequence_id, content_group, memorization_score, and what
            `where` and the taxonomies read.
        content: by content_group, a key that is the same for all models with the same suffix.
        taxonomies: whose classes are measures.
        half: least and greatest score of the bucket `half`.
        where: predicate over the labels; empty for all windows, of published data those of the
            plain draw (`PLAIN_DRAW`).
        early_exit: where the search for extracted windows used one: then only the windows of its
            random share count, because the scores of the others are known if they are extracted.

    Returns:
        sequence_id, family, model, parameters, step of a member that has one, content_group (the
        key), and the columns of
        `measure_names`, as float64; a class is 1 for its windows and 0 for others.

    Raises:
        EngramError: no window counts, or a score is not known.
    """
    if early_exit is not None:
        labels = labels[early_exit.draw(labels["sequence_id"].to_numpy())]
    if where:
        counts = evaluate(where, {str(name): labels[name].to_numpy() for name in labels})
        labels = labels[counts]
    elif PLAIN_DRAW in labels:
        labels = labels[labels[PLAIN_DRAW].astype(bool)]
    if labels.empty:
        raise EngramError(
            f"series.where: model {member.name} has no window of `{where or PLAIN_DRAW}`; name "
            f"windows that it has"
        )
    score = labels["memorization_score"].to_numpy(np.float64)
    if not np.isfinite(score).all():
        raise EngramError(
            f"series: model {member.name} has windows without a memorization_score; give its "
            f"table all scores, or leave out its family"
        )
    buckets = bucket(score, half)
    columns = {SCORE: score} | {name: buckets == name for name in BUCKETS}
    for taxonomy in taxonomies:
        classes = taxonomy.assign(labels).to_numpy(object, na_value="")
        columns |= {
            column_of(taxonomy.slug, name): classes == name for name in measured_classes(taxonomy)
        }
    return pd.DataFrame(
        {
            "sequence_id": labels["sequence_id"].to_numpy(),
            "family": member.family,
            "model": member.name,
            "parameters": member.parameters,
            **({} if member.step is None else {"step": member.step}),
            "content_group": content.loc[labels["content_group"]].to_numpy(),
            **{name: np.asarray(values, np.float64) for name, values in columns.items()},
        }
    )


def needed_labels(taxonomies: Sequence[Taxonomy], where: str) -> set[str]:
    """Return the columns of the labels that `windows_of` reads, `PLAIN_DRAW` left out."""
    columns = {"sequence_id", "content_group", "memorization_score"}
    return columns.union(
        names_of(where) if where else (), *(taxonomy.columns() for taxonomy in taxonomies)
    )


def measured_classes(taxonomy: Taxonomy) -> list[str]:
    """Return the classes of memorized windows: all but Non-Memo."""
    return [name for name in taxonomy.class_names if name != NON_MEMO]


def column_of(slug: str, measure: str) -> str:
    """Return the column of a measure: a bucket or the score (empty slug), or a class."""
    return f"{slug}: {measure}" if slug else measure


def measure_names(taxonomies: Sequence[Taxonomy]) -> list[tuple[str, str]]:
    """Return the slug of the taxonomy (empty for none) and the name of every measure, in order."""
    return [
        *(("", name) for name in (SCORE, *BUCKETS)),
        *((taxonomy.slug, name) for taxonomy in taxonomies for name in measured_classes(taxonomy)),
    ]


def size_tables(
    windows: pd.DataFrame,
    measures: Sequence[tuple[str, str]],
    *,
    resamples: int,
    confidence: float,
    seed: int,
    axis: str = "parameters",
) -> dict[str, pd.DataFrame]:
    """Return rates, lines and differences of slopes of every measure, as tables.

    Args:
        windows: of all models, as `windows_of` returns them.
        measures: as `measure_names` returns them.
        resamples: bootstrap draws of content groups.
        confidence: nominal coverage.
        seed: of the draws.
        axis: what rates are fitted over; see `fit_measures`.

    Returns:
        `rates`: taxonomy, measure, and the columns of `SizeFits.models`.
        `fits`: taxonomy, measure, axis, and the columns of `SizeFits.families`; a row of all
        families has the shared slope and the tests of `EqualSlopes` (`TESTS`).
        `slopes`: taxonomy, measure, axis, and the columns of `SizeFits.differences`.

    Raises:
        EngramError: as `engram.series.rates.fit_measures`.
    """
    columns = [column_of(*measure) for measure in measures]
    options: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    found = fit_measures(windows, columns, axis=axis, **options)
    tables: dict[str, list[pd.DataFrame]] = {"rates": [], "fits": [], "slopes": []}
    for measure, column in zip(measures, columns, strict=True):
        fits, named = found[column], dict(zip(KEYS, measure, strict=True))
        lines = fits.families.to_dict("records")
        if equal := fits.equal:
            of_lines = int(fits.families.loc[fits.families["slope"].notna(), "models"].sum())
            tested: dict[Any, Any] = vars(equal)
            lines.append({"family": ALL_FAMILIES, "models": of_lines, **tested})
        for name, table in (
            ("rates", fits.models),
            ("fits", pd.DataFrame(lines, columns=[*LINE, *TESTS])),
            ("slopes", fits.differences),
        ):
            over = {} if name == "rates" else {"axis": axis}
            tables[name].append(_named(table, named | over))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def score_distribution(windows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return how often a model reaches each memorization score.

    (P) Scores are bipolar: most windows are reproduced whole or hardly at all.

    Args:
        windows: of all models, as `windows_of` returns them.
        confidence: of Wilson's intervals over content groups.

    Returns:
        family, model, parameters, step where windows have it, score, windows, share, share_low,
        share_high; all scores that a model of the series has, for every model.
    """
    scores = np.unique(windows[SCORE])
    rows = []
    of_model = [name for name in ("family", "model", "parameters", "step") if name in windows]
    for values, own in windows.groupby(of_model, sort=False):
        reached = (own[SCORE].to_numpy()[:, None] == scores).astype(np.float64)  # (n, scores)
        sums, sizes = cluster_sums(reached, own["content_group"].to_numpy())
        for position, score in enumerate(scores):
            share = share_interval(sums[:, position], sizes, confidence)
            rows.append(
                {
                    **dict(zip(of_model, values, strict=True)),
                    "score": score,
                    "windows": int(sums[:, position].sum()),
                    "share": share.value,
                    "share_low": share.low,
                    "share_high": share.high,
                }
            )
    return pd.DataFrame(rows)


def _named(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return a table with its first columns saying what it is of."""
    return pd.concat([pd.DataFrame(names, index=table.index), table], axis=1)
