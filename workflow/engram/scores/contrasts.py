"""Differences that the study is about: between taxonomies, between attention and what does without
it, between protocols.

All are paired: the texts that two runs share are resampled together (see
`engram.scores.resampling`), and every table states which family its simultaneous intervals hold for
(see `engram.scores.comparisons`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from engram.scores.comparisons import differences
from engram.scores.resampling import Run, resample
from engram.scores.taxonomy_tables import ATTENTION, Scores, Trained, score_columns, statistics_of
from engram.taxonomy.partitions import Named

COMPARED = ("min_f1", "mean_f1", "balanced_accuracy")
"""Scores that taxonomies are compared by."""
ADDED = ("balanced_accuracy", "min_f1", "mean_f1")
"""Scores that attention is compared with its baselines and controls by."""
REFERENCE_PROTOCOL = "engram"
_DIFFERENCE_COLUMNS = (
    "difference",
    "difference_low",
    "difference_high",
    "simultaneous_low",
    "simultaneous_high",
    "p",
    "p_adjusted",
)


def comparison_table(
    scores: Sequence[Scores], names: Sequence[Named], confidence: float = 0.95
) -> pd.DataFrame:
    """Every pair of trained taxonomies, the better one first; the family is all pairs of one score,
    model (or all) and protocol.

    Returns:
        models, protocol, score, first, second, difference (fractions) with its own and its
        simultaneous interval, p, p_adjusted, different (whether the simultaneous interval excludes
        0), shared (content groups that both are tested on).
    """
    name_of = {named.trained.slug: named.trained.name for named in names}
    rows = []
    for part in scores:
        groups = {slug: set(run.groups) for slug, run in part.runs.items()}
        for name in COMPARED:
            values = part.values[name]
            ordered = sorted(values, key=lambda slug: -values[slug].value)
            pairs = list(itertools.combinations(ordered, 2))
            for (a, b), found in zip(pairs, differences(values, pairs, confidence), strict=True):
                row: dict[str, object] = {
                    "models": part.models,
                    "protocol": part.protocol,
                    "score": name,
                }
                row |= {"first": name_of[a], "second": name_of[b]}
                row |= found.columns()
                rows.append(
                    row | {"different": _excludes_zero(row), "shared": len(groups[a] & groups[b])}
                )
    columns = [
        "models",
        "protocol",
        "score",
        "first",
        "second",
        *_DIFFERENCE_COLUMNS,
        "different",
        "shared",
    ]
    return pd.DataFrame(rows, columns=columns)


def added_table(
    trained: Sequence[Trained], names: Sequence[Named], confidence: float = 0.95, **settings: Any
) -> pd.DataFrame:
    """What attention adds: its scores minus those of every baseline and of the shuffled control, on
    the same test samples.

    The family is all baselines and taxonomies of one score, model and protocol.

    Returns:
        model, protocol, taxonomy, input, labels (of the baseline), score, attention, baseline
        (values as fractions), difference with its own and its simultaneous interval, p, p_adjusted,
        different.
    """
    name_of = {named.trained.slug: named.trained.name for named in names}
    rows = []
    for model, protocol in dict.fromkeys((part.model, part.protocol) for part in trained):
        parts = [part for part in trained if (part.model, part.protocol) == (model, protocol)]
        runs = {(part.slug, run): part.runs[run] for part in parts for run in part.runs}
        values = resample(runs, statistics_of, **settings)
        pairs = [((slug, ATTENTION), (slug, run)) for slug, run in runs if run != ATTENTION]
        for name in ADDED:
            for (own, other), found in zip(
                pairs, differences(values[name], pairs, confidence), strict=True
            ):
                row: dict[str, object] = {
                    "model": model,
                    "protocol": protocol,
                    "taxonomy": name_of[own[0]],
                }
                row |= {"input": other[1][0], "labels": other[1][1], "score": name}
                row |= {
                    "attention": values[name][own].value,
                    "baseline": values[name][other].value,
                } | found.columns()
                rows.append(row | {"different": _excludes_zero(row)})
    columns = [
        "model",
        "protocol",
        "taxonomy",
        "input",
        "labels",
        "score",
        "attention",
        "baseline",
        *_DIFFERENCE_COLUMNS,
        "different",
    ]
    return pd.DataFrame(rows, columns=columns)


def protocol_table(
    trained: Sequence[Trained],
    names: Sequence[Named],
    leaked: Mapping[tuple[str, str, str], set[int]],
    confidence: float = 0.95,
    **settings: Any,
) -> pd.DataFrame:
    """The protocols side by side: what each reports of a taxonomy, and how much more than `engram`
    it does.

    Where a protocol splits by sequence, a text can stand in train and in test; the accuracy on such
    test samples and on the others tells what that is worth within one training.

    Args:
        trained: every taxonomy under every protocol.
        names: all names of the taxonomies.
        leaked: (model, protocol, slug) → content groups of the test samples that are in the train
            split, too.
        confidence: of the intervals.
        settings: `resamples` and `seed`.

    Returns:
        model, taxonomy, protocol, `min_f1`, `mean_f1`, `balanced_accuracy` with intervals, n;
        excess_<score>: the protocol's score minus that of `engram` with `_low`, `_high`
        (simultaneous over the taxonomies and protocols of a model) and `_p`; leaked_share of the
        test samples, accuracy_leaked and accuracy_clean with intervals.
    """
    name_of = {named.trained.slug: named.trained.name for named in names}
    rows = []
    for model in dict.fromkeys(part.model for part in trained):
        parts = {(part.slug, part.protocol): part for part in trained if part.model == model}
        values = resample(
            {key: part.runs[ATTENTION] for key, part in parts.items()}, statistics_of, **settings
        )
        pairs = [
            ((slug, protocol), (slug, REFERENCE_PROTOCOL))
            for slug, protocol in parts
            if protocol != REFERENCE_PROTOCOL and (slug, REFERENCE_PROTOCOL) in parts
        ]
        found = {
            name: dict(zip(pairs, differences(values[name], pairs, confidence), strict=True))
            for name in COMPARED
        }
        for (slug, protocol), part in parts.items():
            row: dict[str, object] = {
                "model": model,
                "taxonomy": name_of[slug],
                "protocol": protocol,
            }
            row |= score_columns(values, (slug, protocol), COMPARED, confidence) | {"n": part.n}
            pair = ((slug, protocol), (slug, REFERENCE_PROTOCOL))
            for name in COMPARED:
                if pair in found[name]:
                    excess = found[name][pair]
                    row |= {
                        f"excess_{name}": excess.value,
                        f"excess_{name}_low": excess.simultaneous_low,
                    }
                    row |= {
                        f"excess_{name}_high": excess.simultaneous_high,
                        f"excess_{name}_p": excess.p_adjusted,
                    }
            rows.append(
                row
                | _leakage(
                    part.runs[ATTENTION],
                    leaked.get((model, protocol, slug), set()),
                    confidence,
                    **settings,
                )
            )
    return pd.DataFrame(rows)


def leaked_groups(samples: pd.DataFrame, content_group: pd.Series) -> dict[str, set[int]]:
    """By slug of the taxonomy: content groups of test samples that also stand in the train split.

    Args:
        samples: the table `samples.parquet`.
        content_group: by sequence_id.
    """
    frame = samples.assign(group=samples["sequence_id"].map(content_group))
    groups = frame.groupby(["taxonomy", "split"])["group"].agg(set)
    return {
        slug: groups.get((slug, "test"), set()) & groups.get((slug, "train"), set())
        for slug in frame["taxonomy"].unique()
    }


def _leakage(run: Run, leaked: set[int], confidence: float, **settings: Any) -> dict[str, float]:
    inside = np.array([group[1] in leaked for group in run.groups])  # type: ignore[index]
    columns: dict[str, float] = {
        "leaked_share": float(run.counts[:, inside].sum() / run.counts.sum())
    }
    for name, mask in (("leaked", inside), ("clean", ~inside)):
        if mask.any():
            part = replace(
                run, groups=tuple(itertools.compress(run.groups, mask)), counts=run.counts[:, mask]
            )
            columns |= score_columns(
                {f"accuracy_{name}": resample({0: part}, _accuracy, **settings)["accuracy"]},
                0,
                [f"accuracy_{name}"],
                confidence,
            )
    return columns


def _accuracy(confusions: np.ndarray, run: Run) -> dict[str, np.ndarray]:
    return {"accuracy": np.trace(confusions, axis1=-2, axis2=-1) / confusions.sum(axis=(-2, -1))}


def _excludes_zero(row: Mapping[str, Any]) -> bool:
    return bool(row["simultaneous_low"] > 0 or row["simultaneous_high"] < 0)
