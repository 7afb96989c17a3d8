"""Which heads matter most to a class, and how far the sets of two classes overlap.

The overlap is the Jaccard index |A ∩ B| / |A ∪ B|. Three values it can be held against:

* *chance* (U): two sets of these sizes drawn at random from all heads; their overlap is
  hypergeometric. Of two sets of 20 % it is about 1/9;
* *null* (U): classes drawn at random from the same texts, by permuting the classes of content
  groups. If the classes used the same heads, the index would be like these; it is less than them
  if they differ. Where many heads are worth the same, random halves disagree as well, and the test
  sees little;
* 1, which noise keeps even equal classes from: the null shows by how much.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from engram.io.errors import EngramError
from engram.scores.bootstrap import (
    cluster_means,
    cluster_sums,
    draw_in_parts,
    normal_interval,
    percentile_ends,
)


def top_count(heads: int, share: float) -> int:
    """Return how many heads a share of them is, at least one.

    Raises:
        EngramError: the share is not in (0, 1].
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise EngramError(f"share: {share!r}; give the fraction of all heads, e.g. 0.2")
    return max(1, round(share * heads))


def top_heads(loss: np.ndarray, count: int) -> np.ndarray:
    """Return which heads cost most when they are ablated, bool (…, N).

    Args:
        loss: what is lost without each head, (…, N); of equal losses the first heads are taken.
        count: number of heads.
    """
    order = np.argsort(-loss, axis=-1, kind="stable")[..., :count]
    top = np.zeros(loss.shape, bool)
    np.put_along_axis(top, order, True, axis=-1)
    return top


def jaccard(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return |A ∩ B| / |A ∪ B| of sets as masks, bool (…, N) each -> float64 (…); NaN for two empty
    sets.
    """
    union = (first | second).sum(-1)
    with np.errstate(invalid="ignore"):
        index: np.ndarray = (first & second).sum(-1) / np.float64(union)
    return index


def chance_jaccard(heads: int, first: int, second: int) -> float:
    """Return the expected Jaccard index of two sets of given sizes, drawn independently from all
    heads without replacement.
    """
    shared = np.arange(max(0, first + second - heads), min(first, second) + 1)
    weights = hypergeom.pmf(shared, heads, first, second)
    return float((weights * shared / (first + second - shared)).sum())


def head_overlap(
    loss: np.ndarray,
    label: np.ndarray,
    group: np.ndarray,
    share: float = 0.2,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the heads that matter most to each two classes.

    Args:
        loss: what each sequence loses without each head, (n, N).
        label: class of each sequence, (n,).
        group: content group of each sequence, (n,): equal text is drawn and permuted as one unit,
            within a class.
        share: of all heads that count as top.
        resamples: bootstrap draws, and permutations.
        confidence: nominal coverage.
        seed: of draws and permutations.

    Returns:
        a row per pair of classes: first, second, n_first, n_second, top (heads of a set), shared
        (of them); jaccard with `_low` and `_high` (normal interval from a bootstrap over content
        groups: sets of drawn texts are noisier, so that percentiles would lie too low);
        chance, p_chance (of as many shared heads or more, if sets are drawn at random); null,
        null_low, null_high (mean and percentiles of the permutations), p_null (of as low an index
        or a lower one, if classes are drawn at random).

    Raises:
        EngramError: a share out of range.
    """
    heads = loss.shape[1]
    count = top_count(heads, share)
    generator = np.random.default_rng(seed)
    names = list(pd.unique(pd.Series(label)))
    of_class = {name: label == name for name in names}
    clusters = {name: cluster_sums(loss[rows], group[rows]) for name, rows in of_class.items()}
    tops, drawn = {}, {}
    for name, (sums, sizes) in clusters.items():
        tops[name] = top_heads(sums.sum(0) / sizes.sum(), count)
        drawn[name] = np.empty((resamples, heads), bool)
        for part, counts in draw_in_parts(generator, len(sizes), resamples, width=heads):
            drawn[name][part] = top_heads(cluster_means(counts, sums, sizes), count)
    rows = []
    for first, second in combinations(names, 2):
        index = float(jaccard(tops[first], tops[second]))
        shared = int((tops[first] & tops[second]).sum())
        interval = normal_interval(
            index, jaccard(drawn[first], drawn[second]), confidence, limits=(0.0, 1.0)
        )
        null = _permuted(clusters[first], clusters[second], count, resamples, generator)
        low, high = percentile_ends(null, confidence)
        rows.append(
            {
                "first": first,
                "second": second,
                "n_first": int(of_class[first].sum()),
                "n_second": int(of_class[second].sum()),
                "top": count,
                "shared": shared,
                **interval.columns("jaccard"),
                "chance": chance_jaccard(heads, count, count),
                "p_chance": float(hypergeom.sf(shared - 1, heads, count, count)),
                "null": float(null.mean()),
                "null_low": float(low),
                "null_high": float(high),
                "p_null": float((1 + (null <= index).sum()) / (1 + resamples)),
            }
        )
    return pd.DataFrame(rows)


def _permuted(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    count: int,
    permutations: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the index after random exchanges of clusters between two classes, (permutations,).

    Args:
        first: sums (G, N) and sizes (G,) of the clusters of a class.
        second: those of another.
        count: heads of a set.
        permutations: number of them.
        generator: of the permutations.
    """
    sums, sizes = (np.concatenate(parts) for parts in zip(first, second, strict=True))
    total, size = sums.sum(0), sizes.sum()
    result = np.empty(permutations)
    for number in range(permutations):
        chosen = generator.permutation(len(sizes))[: len(first[1])]
        part, part_size = sums[chosen].sum(0), sizes[chosen].sum()
        drawn = top_heads(part / part_size, count)
        rest = top_heads((total - part) / (size - part_size), count)
        result[number] = jaccard(drawn, rest)
    return result
