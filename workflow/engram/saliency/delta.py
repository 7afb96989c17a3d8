"""Δ of CNNs over samples, from pooled maps.

For a CNN and a class t0, over samples of t0, with C of `engram.saliency.methods`:

    D = clip(C / max C, min 0)                  per sample, over all layers and causal cells
    Δ = mean over samples of max over heads of D · A

Δ is averaged over CNNs. The definition asks for every head, yet pooled maps give the same Δ
exactly: under mean pooling each head of a cell has the same gradient, so max over heads of D · A is
D times the largest attention of any head; under max pooling the gradient reaches the head of the
largest attention alone; the map of `gradcam` is the same for all heads. The tests hold every method
and pooling against the definition, head by head.

What the study's code did otherwise, and this does not: its "guided" backpropagation was the plain
gradient; it normalised over cells above the diagonal too, where attention is always 0; it flipped
signs or made NaN where no C is positive. Here D is 0 in that case, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from engram.cnn.network import AttentionCNN
from engram.io.errors import EngramError
from engram.io.spans import Spans
from engram.saliency.file import Bins, Saliency
from engram.saliency.methods import check_methods, contrasts

GROUPS = 20
"""Groups of samples per class whose sums are kept, for intervals."""
_BATCH = 32


def normalize(evidence: torch.Tensor) -> torch.Tensor:
    """Return D: C over its largest value per sample, negative values set to 0; all 0 for a sample
    where no C is positive.

    Args:
        evidence: C on causal cells, (n, L, P).
    """
    largest = evidence.amax(dim=(1, 2), keepdim=True)  # (n, 1, 1)
    return evidence.clamp(min=0) / torch.where(largest > 0, largest, 1)


@dataclass(frozen=True)
class Delta:
    """Δ of one CNN and class by one method."""

    map: np.ndarray
    """Δ, float32 (L, P)."""
    evidence: np.ndarray
    """Mean over samples of D alone, without the attention it is multiplied with, float32 (L, P)."""
    without_evidence: int
    """Samples where no C is positive."""
    dead: bool
    """Whether C is 0 everywhere."""


def delta(
    cnn: AttentionCNN,
    attention: np.ndarray,
    attention_max: np.ndarray,
    target: int,
    methods: Sequence[str],
) -> dict[str, Delta]:
    """Return Δ of one CNN over samples of one class, by several methods that share a pass through
    the CNN.

    Args:
        cnn: the CNN.
        attention: packed attention pooled by `cnn.head_pooling`, (n, L, P).
        attention_max: packed attention of the largest head, (n, L, P).
        target: index of the samples' class.
        methods: of `METHODS`.

    Raises:
        EngramError: no samples, or an unknown method.
    """
    check_methods(methods)
    if len(attention) == 0:
        raise EngramError(
            f"saliency: class number {target} has no sample; take more samples per class"
        )
    totals = {
        method: torch.zeros(2, *attention.shape[1:], dtype=torch.float64) for method in methods
    }  # Δ and D, (2, L, P)
    without, dead = dict.fromkeys(methods, 0), dict.fromkeys(methods, True)
    for start in range(0, len(attention), _BATCH):
        batch = slice(start, start + _BATCH)
        largest = torch.from_numpy(attention_max[batch]).float()  # (b, L, P)
        for method, evidence in contrasts(
            cnn, torch.from_numpy(attention[batch]).float(), target, methods
        ).items():
            without[method] += int((evidence.amax(dim=(1, 2)) <= 0).sum())
            dead[method] = dead[method] and not evidence.any()
            shares = normalize(evidence)
            totals[method][1] += shares.sum(dim=0)
            totals[method][0] += shares.mul_(largest).sum(dim=0)
    means = {method: (total / len(attention)).float().numpy() for method, total in totals.items()}
    return {
        method: Delta(means[method][0], means[method][1], without[method], dead[method])
        for method in methods
    }


def saliency_of_grid(
    cnns: Mapping[str, AttentionCNN],
    mean: np.ndarray,
    maximum: np.ndarray,
    label: np.ndarray,
    classes: Sequence[str],
    methods: Sequence[str],
    prefix: int,
    opening: int = 0,
    block: int = 1,
) -> dict[str, Saliency]:
    """Return Δ of every class, averaged over CNNs, by every method.

    Args:
        cnns: name → CNN; those trained on real labels and attention, for the paper's Δ.
        mean: attention averaged over heads, packed, (n, L, P), of samples that no CNN was trained
            on.
        maximum: attention of the largest head, packed, (n, L, P).
        label: index of the class, (n,).
        classes: the K class names.
        methods: of `METHODS`.
        prefix: tokens of the prefix, for the bins.
        opening: special tokens in front of every window, the first rows and columns of its map.
        block: tokens of every other row and column.

    Raises:
        EngramError: no CNN, a class without samples, or an unknown method.
    """
    check_methods(methods)
    rows = rows_of_classes(label, classes)
    if not cnns:
        raise EngramError(
            "saliency: no CNN was trained on attention with real labels; look into history.csv for "
            "CNNs that diverged"
        )
    groups = [np.array_split(mine, min(GROUPS, len(mine))) for mine in rows]
    before = Spans(opening, prefix, 0, block).before_suffix
    bins = Bins(next(iter(cnns.values())).tokens, before, block)
    shape = (len(cnns), len(classes), *mean.shape[1:])  # (C, K, L, P)
    maps = {method: np.zeros(shape, np.float32) for method in methods}
    binned = {
        method: np.zeros((*shape[:2], GROUPS, shape[2], *bins.shape), np.float32)
        for method in methods
    }
    without = {method: np.zeros(shape[:2], np.int64) for method in methods}  # (C, K)
    dead = {method: np.ones(len(cnns), bool) for method in methods}
    attention = np.zeros((len(classes), GROUPS, shape[2], *bins.shape), np.float32)
    sizes = np.zeros((len(classes), GROUPS), np.int64)
    with tqdm(
        total=len(cnns) * len(classes),
        desc="saliency",
        unit="CNN and class",
        mininterval=2,
        delay=2,
    ) as progress:
        for k, parts in enumerate(groups):
            for g, part in enumerate(parts):
                sizes[k, g] = len(part)
                attention[k, g] = bins.sums(maximum[part].sum(axis=0, dtype=np.float32))
            for c, cnn in enumerate(cnns.values()):
                pooled = mean if cnn.head_pooling == "mean" else maximum
                for g, part in enumerate(parts):
                    for method, found in delta(
                        cnn, pooled[part], maximum[part], k, methods
                    ).items():
                        total = found.map * len(part)
                        maps[method][c, k] += total / len(rows[k])
                        binned[method][c, k, g] = bins.sums(total)
                        without[method][c, k] += found.without_evidence
                        dead[method][c] &= found.dead
                progress.update()
    return {
        method: Saliency(
            delta=maps[method].mean(axis=0),
            spread=maps[method].std(axis=0, ddof=1)
            if len(cnns) > 1
            else np.zeros(shape[1:], np.float32),
            profile=maps[method].sum(axis=-1),
            classes=list(classes),
            cnns=list(cnns),
            n=[len(mine) for mine in rows],
            dead=int(dead[method].sum()),
            without_evidence=without[method].sum(axis=0).tolist(),
            prefix=prefix,
            binned=binned[method],
            attention=attention,
            sizes=sizes,
            opening=opening,
            block=block,
        )
        for method in methods
    }


def mean_delta(
    cnns: Mapping[str, AttentionCNN],
    mean: np.ndarray,
    maximum: np.ndarray,
    label: np.ndarray,
    classes: Sequence[str],
    method: str,
) -> np.ndarray | None:
    """Return Δ of every class by one method, averaged over CNNs, float32 (K, L, P); None where a
    class has no sample. The arguments are those of `saliency_of_grid`.
    """
    if set(range(len(classes))) - set(label.tolist()):
        return None
    maps = [
        [
            delta(
                cnn,
                (mean if cnn.head_pooling == "mean" else maximum)[rows],
                maximum[rows],
                k,
                [method],
            )[method].map
            for cnn in cnns.values()
        ]
        for k, rows in enumerate(rows_of_classes(label, classes))
    ]
    return np.array(maps).mean(axis=1, dtype=np.float64).astype(np.float32)


def rows_of_classes(label: np.ndarray, classes: Sequence[str]) -> list[np.ndarray]:
    """Return the positions of each class's samples.

    Raises:
        EngramError: a class has none.
    """
    rows = [np.flatnonzero(label == k) for k in range(len(classes))]
    if empty := [name for name, mine in zip(classes, rows, strict=True) if not len(mine)]:
        raise EngramError(
            f"saliency: class {empty[0]} has no held-out sample; take more samples per class"
        )
    return rows


def region_split(split: np.ndarray) -> str:
    """Return the split whose samples choose the regions of a knock-out, which is measured on test
    samples: validation, or train where there is none.

    Args:
        split: of every sample, (n,).
    """
    return "validation" if (split == "validation").any() else "train"


def choose_held_out(
    split: np.ndarray, label: np.ndarray, priority: np.ndarray, per_class: int, which: str = "test"
) -> np.ndarray:
    """Return the positions of the samples of a split that Δ is averaged over: per class those of
    the lowest priority, at most `per_class`; sorted.
    """
    rows = np.flatnonzero(split == which)
    chosen = [
        mine[np.argsort(priority[mine], kind="stable")][:per_class]
        for k in np.unique(label)
        if len(mine := rows[label[rows] == k])
    ]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
