"""Crossed exposures: which of two models is shown a window, and how often.

Two models of one base are drilled on the same windows crosswise. Every *cluster* of windows
(`engram.windows.clusters`) has a dose; model 1 is shown one random half of the clusters of a dose
and model 2 the other. A few clusters are shown to neither model (placebo) or to both. The text of a
window then says nothing about which model was shown it, so that whatever separates the two models
on this text was caused by the exposure.

The design is stratified: arms are drawn within stratum, split and dose. A cluster may hold windows
of low and of high overlap; its *block* is the stratum of most of its windows. Windows and split are
drawn with the study's seed and shared by all pairs; doses and arms with the pair's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.nursery.settings import CrossedDesign
from engram.windows.clusters import documents_of, window_clusters
from engram.windows.rouge import prefix_suffix_rouge

STRATA = ("low", "high", "guessed", "templates")
"""Natural text of low and of high overlap of prefix and suffix, natural text that the base extracts
before any drilling (where a design asks for it), and template text."""
SPLITS = ("train", "validation", "test")
NEITHER, FIRST, SECOND, BOTH = 0, 1, 2, 3
"""Arms: placebo, shown to model 1 alone, shown to model 2 alone, shown to both."""
ARMS = ("placebo", "first", "second", "both")
"""Their names, by number."""
ADVICE = dict.fromkeys(STRATA, "lower it or raise drilling.crossed.per_cluster") | {
    "guessed": "lower it, raise drilling.crossed.asked.high, or give more text"
}
"""What helps where a stratum has too few windows."""
HIGH_OVERLAP = 0.5
"""Overlap of prefix and suffix (`prefix_suffix_overlap`) from which on it is high."""


def prefix_suffix_overlap(tokens: np.ndarray, prefix: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ROUGE-L and ROUGE-3 between prefix and suffix as shares of the largest values that
    windows of these lengths can have, (n,) each. With prefix and suffix of equal length these are
    ROUGE-L and ROUGE-3; a suffix of 16 tokens after a prefix of 48 that is a part of it has a
    ROUGE-L of .5.

    Args:
        tokens: (n, T).
        prefix: tokens of the prompt.
    """
    suffix = tokens.shape[1] - prefix
    shares = []
    for rouge, used in zip(prefix_suffix_rouge(tokens, prefix), (0, 2), strict=True):
        parts = max(prefix - used, 0), max(suffix - used, 0)  # tokens, or runs of three
        largest = 2 * min(parts) / sum(parts) if min(parts) else 1.0
        shares.append(rouge / largest)
    return shares[0], shares[1]


def text_strata(tokens: np.ndarray, kinds: pd.Series, prefix: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the stratum of each window, (n,) names, and its overlap, the larger value of
    `prefix_suffix_overlap`, (n,).

    Args:
        tokens: (n, T).
        kinds: `natural` or a family of templates, (n,).
        prefix: tokens of the prompt.
    """
    overlap = np.maximum(*prefix_suffix_overlap(tokens, prefix))
    natural = (kinds == "natural").to_numpy()
    high = overlap >= HIGH_OVERLAP
    return np.where(~natural, "templates", np.where(high, "high", "low")), overlap


def draw_design(
    windows: pd.DataFrame, settings: CrossedDesign, prefix: int, seed: int, pair_seed: int
) -> pd.DataFrame:
    """Draw the windows of a pair, their clusters, split, doses and arms.

    Windows are taken whether or not the base extracts them; where the settings ask for `guessed`
    ones, natural windows that it extracts are a stratum of their own.

    Args:
        windows: sequence_id, tokens (T each), kind, source, and base_extracted where the settings
            ask for `guessed` windows.
        settings: how many windows, which doses.
        prefix: tokens of the prompt.
        seed: of windows and split, which all pairs of a study share.
        pair_seed: of doses and arms.

    Returns:
        sequence_id; stratum (one of `STRATA`); overlap; document; cluster (the lowest sequence_id
        in it, int64); block (the stratum of most of the cluster's windows); split; dose (showings,
        int32; 0 for placebo); arm (int8, `NEITHER` … `BOTH`); class (the arm's name); exposures_1
        and exposures_2, the showings to either model.

    Raises:
        EngramError: there are fewer windows of a stratum than asked for, or so few clusters that a
            split has no exposed windows of either model.
    """
    tokens = np.stack(windows["tokens"].tolist())
    design = windows[["sequence_id"]].reset_index(drop=True)
    design["stratum"], design["overlap"] = text_strata(
        tokens, windows["kind"].reset_index(drop=True), prefix
    )
    if settings.guessed:
        guessed = windows["base_extracted"].to_numpy(bool) & (design["stratum"] != "templates")
        design["stratum"] = design["stratum"].mask(guessed, "guessed")
    design["document"] = documents_of(windows).to_numpy()
    cluster = window_clusters(tokens, design["document"], settings.ngram)
    design["cluster"] = design["sequence_id"].groupby(cluster).transform("min").astype(np.int64)
    design = _select(design, settings, seed)
    design["block"] = _blocks(design)
    design["split"] = _split(design, settings, seed)
    design["dose"], design["arm"] = _arms(design, settings, pair_seed)
    design["class"] = np.array(ARMS, object)[design["arm"]]
    for arm in (FIRST, SECOND):
        shown = design["arm"].isin([arm, BOTH])
        design[f"exposures_{arm}"] = design["dose"].where(shown, 0).astype(np.int32)
    for split in SPLITS:
        for arm in (FIRST, SECOND):
            if not ((design["split"] == split) & (design["arm"] == arm)).any():
                raise EngramError(
                    f"models: drilling.crossed leaves no {split} window that model {arm} alone is "
                    f"shown; take more windows"
                )
    return design.sort_values("sequence_id", ignore_index=True)


class Clusters(NamedTuple):
    """The clusters of a design whose windows one model alone is shown."""

    name: np.ndarray
    """Their numbers, (G,)."""
    arm: np.ndarray
    """+1 where model 1 is shown the windows, -1 where model 2 is, (G,)."""
    stratum: np.ndarray
    """Number of the cell within which arms are drawn, (G,)."""


def single_clusters(design: pd.DataFrame) -> Clusters:
    """Return the clusters that one model alone is shown; their cells are block, split and dose."""
    single = design[design["arm"].isin([FIRST, SECOND])].drop_duplicates("cluster")
    cells = single.groupby(["block", "split", "dose"], sort=True).ngroup().to_numpy()
    arm = np.where(single["arm"] == FIRST, 1, -1)
    return Clusters(single["cluster"].to_numpy(), arm, cells)


def redraw_arms(clusters: Clusters, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Draw the arms of clusters again, as the design drew them: a random half of every cell for
    model 1, the other for model 2; the odd cluster by a coin.

    Returns:
        +1 or -1, int8 (G, draws).
    """
    drawn = np.empty((len(clusters.name), draws), np.int8)
    for cell in np.unique(clusters.stratum):
        rows = np.flatnonzero(clusters.stratum == cell)
        half = np.tile(np.where(np.arange(len(rows)) % 2, -1, 1)[:, None], (1, draws))
        coin = np.where(generator.random(draws) < 0.5, 1, -1)
        drawn[rows] = generator.permuted(half, axis=0) * coin
    return drawn


def _select(design: pd.DataFrame, settings: CrossedDesign, seed: int) -> pd.DataFrame:
    """Return the first windows of each stratum by permanent random numbers, at most `per_cluster`
    of a cluster.
    """
    order = uniform(design["sequence_id"].to_numpy(), seed, "crossed windows").argsort()
    chosen = []
    for stratum in STRATA:
        wanted = getattr(settings, stratum)
        rows = design.iloc[order]
        rows = rows[rows["stratum"] == stratum]
        rows = rows[rows.groupby("cluster").cumcount() < settings.per_cluster]
        if len(rows) < wanted:
            raise EngramError(
                f"models: drilling.crossed.{stratum} asks for {wanted:,} windows; with at most "
                f"{settings.per_cluster} of a cluster there are {len(rows):,}; {ADVICE[stratum]}"
            )
        chosen.append(rows.head(wanted))
    return pd.concat(chosen, ignore_index=True)


def _blocks(design: pd.DataFrame) -> pd.Series:
    """Return the stratum of most windows of each window's cluster; the rarer one of a tie."""
    counts = pd.crosstab(design["cluster"], design["stratum"])
    rarest = design["stratum"].value_counts(ascending=True).index
    block = counts[[name for name in rarest if name in counts]].idxmax(axis=1)
    return design["cluster"].map(block)


def _split(design: pd.DataFrame, settings: CrossedDesign, seed: int) -> pd.Series:
    """Return the split of each window; clusters of a block are dealt out in a random order."""
    clusters = design.drop_duplicates("cluster")[["cluster", "block"]]
    number = uniform(clusters["cluster"].to_numpy(), seed, "crossed split")
    names = pd.Series("test", index=clusters["cluster"].to_numpy(), dtype=object)
    for block in STRATA:
        own = (clusters["block"] == block).to_numpy()
        order = clusters["cluster"].to_numpy()[own][number[own].argsort()]
        train = round(settings.train * len(order))
        names[order[:train]] = "train"
        names[order[train : train + round(settings.validation * len(order))]] = "validation"
    return design["cluster"].map(names)


def _arms(
    design: pd.DataFrame, settings: CrossedDesign, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return dose int32 (n,) and arm int8 (n,) of the windows."""
    generator = np.random.default_rng([seed, 17])
    clusters = design.drop_duplicates("cluster").sort_values("cluster").set_index("cluster")
    dose, arm = pd.Series(0, index=clusters.index), pd.Series(NEITHER, index=clusters.index)
    for _, own in clusters.groupby(["block", "split"], sort=True):
        order = generator.permutation(own.index.to_numpy())
        placebo, both = (round(share * len(order)) for share in (settings.placebo, settings.both))
        shown, single = order[placebo:], order[placebo + both :]
        for cells, alone in ((shown[:both], False), (single, True)):
            ends = np.round(np.cumsum([step.share for step in settings.doses]) * len(cells))
            for step, names in zip(
                settings.doses, np.split(cells, ends[:-1].astype(int)), strict=True
            ):
                dose[names] = step.exposures
                arm[names] = BOTH
                if alone and len(names):
                    cell = Clusters(names, np.zeros(len(names)), np.zeros(len(names), int))
                    drawn = redraw_arms(cell, 1, generator)[:, 0]
                    arm[names] = np.where(drawn > 0, FIRST, SECOND)
    return (
        design["cluster"].map(dose).to_numpy(np.int32),
        design["cluster"].map(arm).to_numpy(np.int8),
    )
