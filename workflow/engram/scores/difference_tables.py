"""Tables of the differences that the study is about: between taxonomies, between attention and what
does without it, between protocols.

All differences are paired: the texts that two runs share are resampled together (see
`engram.scores.runs`). Every table states the family for which its simultaneous intervals hold (see
`engram.scores.comparisons`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from engram.scores.comparisons import Difference, differences
from engram.scores.runs import Run, resample, score_intervals
from engram.scores.trained import (
    ATTENTION,
    TaxonomyScores,
    Trained,
    run_statistics,
    score_columns,
)
from engram.taxonomy.partitions import Named

COMPARED_SCORES = ("min_f1", "mean_f1", "balanced_accuracy")
"""Scores by which taxonomies and protocols are compared."""
ADDED_SCORES = ("balanced_accuracy", "min_f1", "mean_f1")
"""Scores by which attention is compared with its baselines and controls."""
TEXT, FUSED = ("text", "real"), ("text_and_attention", "real")
"""Input and labels of the text alone, and of text and attention together."""
REFERENCE_PROTOCOL = "engram"
"""The protocol that the others are compared with."""
_DIFFERENCE_COLUMNS = (
    "difference",
    "difference_low",
    "difference_high",
    "simultaneous_low",
    "simultaneous_high",
    "p",
    "p_adjusted",
    "different",
)


def comparison_table(
    scores: Sequence[TaxonomyScores], names: Sequence[Named], confidence: float = 0.95
) -> pd.DataFrame:
    """Compare every pair of trained taxonomies, the better one first; the family is all pairs of
    one score, model (or all models) and protocol.

    Returns:
        models, protocol, score, first, second, difference (fractions) with its own and its
        simultaneous interval, p, p_adjusted, different (whether the simultaneous interval excludes
        0), shared (content groups that both are tested on).
    """
    name_of = {named.trained.slug: named.trained.name for named in names}
    rows = []
    for part in scores:
        groups = {slug: set(run.groups) for slug, run in part.runs.items()}
        for name in COMPARED_SCORES:
            values = part.values[name]
            ordered = sorted(values, key=lambda slug: -values[slug].value)
            pairs = list(itertools.combinations(ordered, 2))
            for (a, b), difference in zip(
                pairs, differences(values, pairs, confidence), strict=True
            ):
                row: dict[str, object] = {
                    "models": part.models,
                    "protocol": part.protocol,
                    "score": name,
                    "first": name_of[a],
                    "second": name_of[b],
                }
                row |= _difference_columns(difference)
                rows.append(row | {"shared": len(groups[a] & groups[b])})
    columns = ["models", "protocol", "score", "first", "second", *_DIFFERENCE_COLUMNS, "shared"]
    return pd.DataFrame(rows, columns=columns)


def added_table(
    trained: Sequence[Trained], names: Sequence[Named], confidence: float = 0.95, **settings: Any
) -> pd.DataFrame:
    """Tabulate what attention adds, on the same test samples: what text and attention together
    score more than the text alone, and by how much attention differs from its rivals.

    The family is all rivals and taxonomies of one score, model and protocol.

    Returns:
        model, protocol, taxonomy, compared (`text_and_attention`, in the rows whose input is
        `text`, else `attention`), input, labels (of the rival), score, attention (the score of what
        is compared), baseline (that of the rival; fractions), difference with its own and its
        simultaneous interval, p, p_adjusted, different; within_points: the simultaneous interval
        lies within ± that many points, so that a larger difference is excluded in either direction.
    """
    name_of = {named.trained.slug: named.trained.name for named in names}
    rows = []
    for model, protocol in dict.fromkeys((part.model, part.protocol) for part in trained):
        parts = [part for part in trained if (part.model, part.protocol) == (model, protocol)]
        runs = {(part.slug, run): part.runs[run] for part in parts for run in part.runs}
        values = resample(runs, run_statistics, **settings)
        pairs = [
            ((slug, FUSED if run == TEXT and (slug, FUSED) in runs else ATTENTION), (slug, run))
            for slug, run in runs
            if run not in (ATTENTION, FUSED)
        ]
        for name in ADDED_SCORES:
            for (own, other), difference in zip(
                pairs, differences(values[name], pairs, confidence), strict=True
            ):
                row: dict[str, object] = {
                    "model": model,
                    "protocol": protocol,
                    "taxonomy": name_of[own[0]],
                    "compared": own[1][0],
                    "input": other[1][0],
                    "labels": other[1][1],
                    "score": name,
                    "attention": values[name][own].value,
                    "baseline": values[name][other].value,
                }
                farthest = max(-difference.simultaneous_low, difference.simultaneous_high)
                row |= _difference_columns(difference)
                rows.append(row | {"within_points": 100 * farthest})
    columns = ["model", "protocol", "taxonomy", "compared", "input", "labels", "score"]
    columns += ["attention", "baseline", *_DIFFERENCE_COLUMNS, "within_points"]
    return pd.DataFrame(rows, columns=columns)


def protocol_table(
    trained: Sequence[Trained],
    names: Sequence[Named],
    leaked: Mapping[tuple[str, str, str], set[int]],
    confidence: float = 0.95,
    **settings: Any,
) -> pd.DataFrame:
    """Tabulate the protocols side by side: what each reports of a taxonomy, and how much more than
    `engram` that is.

    Where a protocol splits by sequence, a text can be in both train and test; the accuracy on such
    test samples and on the others shows what that is worth within one training.

    Args:
        trained: every taxonomy under every protocol.
        names: all names of the taxonomies.
        leaked: (model, protocol, slug) → content groups of test samples that are also in the train
            split.
        confidence: of the intervals.
        settings: `resamples` and `seed`.

    Returns:
        model, taxonomy, protocol; `min_f1`, `mean_f1`, `balanced_accuracy` with intervals, n;
        excess_<score>: the protocol's score minus that of `engram` with `_low`, `_high`
        (simultaneous over the taxonomies and protocols of a model) and `_p`; leaked_share of the
        test samples, accuracy_leaked and accuracy_clean with intervals.
    """
    name_of = {named.trained.slug: named.trained.name for named in names}
    rows = []
    for model in dict.fromkeys(part.model for part in trained):
        parts = {(part.slug, part.protocol): part for part in trained if part.model == model}
        runs = {key: part.runs[ATTENTION] for key, part in parts.items()}
        values = resample(runs, run_statistics, **settings)
        pairs = [
            ((slug, protocol), (slug, REFERENCE_PROTOCOL))
            for slug, protocol in parts
            if protocol != REFERENCE_PROTOCOL and (slug, REFERENCE_PROTOCOL) in parts
        ]
        excess: dict[tuple[str, str], dict[str, float]] = {}
        for name in COMPARED_SCORES:
            family = differences(values[name], pairs, confidence)
            for (key, _), difference in zip(pairs, family, strict=True):
                excess.setdefault(key, {}).update(
                    {
                        f"excess_{name}": difference.value,
                        f"excess_{name}_low": difference.simultaneous_low,
                        f"excess_{name}_high": difference.simultaneous_high,
                        f"excess_{name}_p": difference.p_adjusted,
                    }
                )
        for key, part in parts.items():
            slug, protocol = key
            row: dict[str, object] = {
                "model": model,
                "taxonomy": name_of[slug],
                "protocol": protocol,
            }
            row |= score_columns(values, key, COMPARED_SCORES, confidence) | {"n": part.n}
            row |= excess.get(key, {})
            groups = leaked.get((model, protocol, slug), set())
            rows.append(row | _leakage(runs[key], groups, confidence, **settings))
    return pd.DataFrame(rows)


def leaked_groups(samples: pd.DataFrame, content_group: pd.Series) -> set[int]:
    """Return the content groups of test samples that are also in the train split.

    Args:
        samples: a sample list: sequence_id, split.
        content_group: by sequence_id.
    """
    groups = samples["sequence_id"].map(content_group)
    return set(groups[samples["split"] == "test"]) & set(groups[samples["split"] == "train"])


def _leakage(run: Run, leaked: set[int], confidence: float, **settings: Any) -> dict[str, float]:
    """Return the share of leaked predictions, and the accuracy on leaked and on clean ones.

    The run's groups are pairs of source and content group.
    """
    inside = np.array([group[1] in leaked for group in run.groups])  # type: ignore[index]
    share = run.counts[:, inside].sum() / run.counts.sum()
    columns: dict[str, float] = {"leaked_share": float(share)}
    for name, mask in (("leaked", inside), ("clean", ~inside)):
        if mask.any():
            groups = tuple(itertools.compress(run.groups, mask))
            part = replace(run, groups=groups, counts=run.counts[:, mask])
            interval = score_intervals(part, _accuracy, confidence=confidence, **settings)
            columns |= interval["accuracy"].columns(f"accuracy_{name}")
    return columns


def _accuracy(confusions: np.ndarray) -> dict[str, np.ndarray]:
    return {"accuracy": np.trace(confusions, axis1=-2, axis2=-1) / confusions.sum(axis=(-2, -1))}


def _difference_columns(difference: Difference) -> dict[str, object]:
    """Return the columns of a difference, and whether its simultaneous interval excludes 0."""
    different = difference.simultaneous_low > 0 or difference.simultaneous_high < 0
    return difference.columns() | {"different": bool(different)}
