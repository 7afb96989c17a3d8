"""Coordinated sampling: every sequence has one permanent random number, each class takes its lowest
N.

A class is a uniform draw of its candidates, a larger draw contains the smaller one, and taxonomies
share sequences as far as their classes overlap, so that few sequences go through the language model
(permanent random numbers: Ohlsson, Coordination of samples using permanent random numbers, 1995).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.taxonomy.matching import cells, matched
from engram.taxonomy.settings import DrawSettings, MatchSettings
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.shown_text import holds_run

SPLITS = ("train", "validation", "test")
LEAKED_RUN = 12
"""Tokens of a run that a test sample shares with a training sample."""
GIVEN_SPLIT = "trains"
"""The label that says of every sequence whether it trains, where the source brings a split."""
PLAIN_DRAW = "pile"
"""The label that says of every sequence whether it is of a plain draw from the corpus, where the
source mixes such a draw with others."""


def draw_samples(
    labels: pd.DataFrame, taxonomy: Taxonomy, settings: DrawSettings, seed: int
) -> pd.DataFrame:
    """Return the sample list of one taxonomy.

    Args:
        labels: sequence_id, content_group (or the unit of `settings.split_by`) and the columns that
            the taxonomy reads; those of `settings.match`; `trains` where the source brings a split.
        taxonomy: its classes are balanced to the smallest one, at most `settings.per_class` each.
        settings: sizes and splits.
        seed: the study's seed.

    Returns:
        sequence_id, class, split, priority; sorted by class (in the taxonomy's
        order) and priority.

    Raises:
        EngramError: a class has fewer than `settings.minimum` candidates, or that many after
            matching (lists every class with its count), or no sample in one of the splits; a
            matched column is missing or has no numbers.
    """
    parts = []
    for name, rows, priority in drawn_classes(labels, taxonomy, settings, seed):
        columns = {
            "sequence_id": rows["sequence_id"],
            "class": name,
            "split": splits(rows, settings, seed),
            "priority": priority,
        }
        parts.append(pd.DataFrame(columns))
    drawn = pd.concat(parts, ignore_index=True).astype({"class": "string"})
    shares = (settings.train, settings.validation, 1 - settings.train - settings.validation)
    used = [split for split, share in zip(SPLITS, shares, strict=True) if share > 1e-9]
    groups = drawn.groupby("class")["split"].agg(set)
    if empty := [
        f"{name} has none in {split}"
        for name in taxonomy.class_names
        for split in used
        if split not in groups[name]
    ]:
        raise EngramError(
            f"taxonomy `{taxonomy.name}`: too few samples with different text for three splits "
            f"({empty[0]}, of {len(drawn) // len(taxonomy.classes):,}); "
            "raise `samples.per_class`, take more candidates, or drop the taxonomy"
        )
    return drawn


def drawn_classes(
    labels: pd.DataFrame, taxonomy: Taxonomy, settings: DrawSettings, seed: int
) -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    """Yield every class of a taxonomy with the labels of its samples and their priorities, which
    rise.

    Args:
        labels, taxonomy, settings, seed: as of `draw_samples`.

    Raises:
        EngramError: a class has too few candidates, as of `draw_samples`.
    """
    codes = taxonomy.codes(labels)
    counts = class_counts(codes, taxonomy)
    require_samples(taxonomy.name, counts, settings.minimum)
    if settings.match.columns:
        codes = np.where(_matched(labels, codes, taxonomy, settings, seed), codes, -1)
        counts = class_counts(codes, taxonomy)
        require_samples(taxonomy.name, counts, settings.minimum, "samples that match")
    size = min(settings.per_class, *counts.values())
    for code, name in enumerate(taxonomy.class_names):
        members = np.flatnonzero(codes == code)
        priority = uniform(labels["sequence_id"].to_numpy()[members], seed, "priority")
        lowest = np.argpartition(priority, size - 1)[:size]
        lowest = lowest[np.argsort(priority[lowest])]
        yield name, labels.iloc[members[lowest]], priority[lowest]


def class_counts(codes: np.ndarray, taxonomy: Taxonomy) -> dict[str, int]:
    """Return the candidates per class, in the taxonomy's order, of `Taxonomy.codes`."""
    counts = np.bincount(codes[codes >= 0], minlength=len(taxonomy.classes))
    return dict(zip(taxonomy.class_names, counts.tolist(), strict=True))


def require_samples(
    taxonomy: str, counts: Mapping[str, int], minimum: int, what: str = "candidates"
) -> None:
    """Raise an EngramError that lists every class with its count if one is below `minimum`."""
    if min(counts.values()) < minimum:
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise EngramError(
            f"taxonomy `{taxonomy}`: a class has fewer {what} than `samples.minimum`, "
            f"{minimum:,} ({listed}); "
            "lower `samples.minimum`, take more candidates, or drop the taxonomy"
        )


def matched_columns(labels: pd.DataFrame, settings: MatchSettings) -> pd.DataFrame:
    """Return the columns in which classes are matched, float64.

    Raises:
        EngramError: the labels lack one, or it has no numbers.
    """
    for name in settings.columns:
        if name not in labels or not pd.api.types.is_numeric_dtype(labels[name]):
            raise EngramError(
                f"samples.match.columns: `{name}` is not a numeric column of labels.parquet; "
                f"`rouge_l` and `suffix_log_prob` are"
            )
    return labels[list(settings.columns)].astype(float)


def _matched(
    labels: pd.DataFrame, codes: np.ndarray, taxonomy: Taxonomy, settings: DrawSettings, seed: int
) -> np.ndarray:
    """Return which candidates the matching draws, bool (n,)."""
    values = matched_columns(labels, settings.match).to_numpy()
    cell = cells(codes, values, settings.match.bins)
    priority = uniform(labels["sequence_id"].to_numpy(), seed, "priority")
    return matched(codes, cell, priority, len(taxonomy.classes), settings.per_class)


def count_samples(samples: pd.DataFrame, metadata: Mapping[str, Any]) -> pd.DataFrame:
    """Return how many candidates and samples the classes of one sample list have.

    Args:
        samples: the sample list: class, split.
        metadata: of its file: `taxonomy` (name), `slug`, `classes`, `candidates` by class, and
            `natural` likewise where the source mixes a plain draw with others.

    Returns:
        taxonomy (name), slug, class, candidates, natural (those of a plain draw from the corpus;
        empty where the source has no such column), and the samples drawn in train, validation and
        test; a row per class.
    """
    drawn = samples.groupby(["class", "split"]).size().unstack(fill_value=0)
    drawn = drawn.reindex(columns=list(SPLITS), fill_value=0)
    rows = [
        {
            "taxonomy": metadata["taxonomy"],
            "slug": metadata["slug"],
            "class": name,
            "candidates": metadata["candidates"][name],
            "natural": metadata.get("natural", {}).get(name),
            **drawn.loc[name].to_dict(),
        }
        for name in metadata["classes"]
    ]
    return pd.DataFrame(rows).astype({"natural": "Int64"})


def leakage(samples: pd.DataFrame, labels: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """Count test samples of which the training split holds something: the suffix, which a split by
    sequence gives away; a run of tokens or the document, which a split by content does too.

    Args:
        samples: a sample list: sequence_id, class, split.
        labels: sequence_id, content_group.
        windows: sequence_id, tokens of at least the samples; document where the source knows it.

    Returns:
        class (`all` for all of them), test (samples), leaked (those whose content group is in
        train, in whatever class), share (a fraction; 0 where samples are split by content group);
        shared_run (those that have `LEAKED_RUN` tokens in a row, at any offset, of a training
        sample), shared_run_share; shared_document (those of a document of a training sample),
        shared_document_share, both empty where documents are not known.
    """
    columns = ["sequence_id", "content_group"]
    joined = samples.merge(labels[columns], on="sequence_id", validate="many_to_one")
    joined = joined.merge(windows, on="sequence_id", validate="many_to_one")
    train, test = (joined[joined["split"] == split] for split in ("train", "test"))
    found = {"leaked": test["content_group"].isin(train["content_group"])}
    found["shared_run"] = pd.Series(_shares_run(test, train), index=test.index)
    if "document" in windows:
        known = train["document"].dropna()
        found["shared_document"] = test["document"].isin(known)
    rows = []
    for name, own in (("all", test), *test.groupby("class", sort=False)):
        row: dict[str, object] = {"class": name, "test": len(own)}
        for column in ("leaked", "shared_run", "shared_document"):
            share = "share" if column == "leaked" else f"{column}_share"
            count = found[column].loc[own.index].sum() if column in found else np.nan
            row |= {column: count, share: count / max(1, len(own))}
        rows.append(row)
    return pd.DataFrame(rows)


def _shares_run(test: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    """Return which test samples have a run of tokens of a training sample, bool (n,)."""
    if not len(test) or not len(train):
        return np.zeros(len(test), bool)
    tokens = [np.stack(part["tokens"].tolist()) for part in (test, train)]
    others = [(train["sequence_id"].to_numpy(), tokens[1])]
    return holds_run(tokens[0], test["sequence_id"].to_numpy(), others, LEAKED_RUN)


def unit_of(settings: DrawSettings) -> str:
    """Return the column of the labels whose equal values stay in one split."""
    return {"content_group": "content_group", "sequence": "sequence_id"}.get(
        settings.split_by, "cluster"
    )


def splits(labels: pd.DataFrame, settings: DrawSettings, seed: int) -> np.ndarray:
    """Return the split of every row, from a permanent number of its unit: content group, document,
    cluster or sequence.

    Args:
        labels: the samples of one class, with the column of their unit, n rows.
        settings: `split_by` and the shares. But by sequence, a unit has one split in all taxonomies
            and the shares hold on average; by sequence, they hold exactly, rounded to a
            whole sample: of 6,000 samples the paper trains on 4,000 (paper, section 5). By
            sequence, a column `trains` decides where there is one: such samples train, the others
            test.
        seed: the study's.
    """
    by_group = settings.split_by != "sequence"
    if not by_group and GIVEN_SPLIT in labels:
        return np.where(labels[GIVEN_SPLIT], "train", "test").astype(object)
    number = uniform(labels[unit_of(settings)].to_numpy(), seed, "split")
    bounds = [settings.train, settings.train + settings.validation]
    if not by_group:
        ranks = np.empty(len(number), np.int64)
        ranks[np.argsort(number, kind="stable")] = np.arange(len(number))
        sizes = [round(len(number) * bound) for bound in bounds]
        return np.array(SPLITS, dtype=object)[np.searchsorted(sizes, ranks, side="right")]
    return np.array(SPLITS, dtype=object)[np.searchsorted(bounds, number, side="right")]
