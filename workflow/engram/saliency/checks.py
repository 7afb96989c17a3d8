"""Is the saliency real? Randomised CNNs, agreement, and what removing its cells does to the CNN.

- *Randomisation* (Adebayo et al., Sanity Checks for Saliency Maps, 2018): the map of a trained CNN
  beside that of the same CNN with layers drawn anew, from the last one on until none is left, and
  beside that of the CNNs trained on shuffled labels. A method whose map stays as it was shows the
  input, not what the CNN learned.
- *Agreement* between CNNs that differ in their seed, their architecture or their head pooling, and
  between methods.
- *Deletion and insertion* (Petsiuk et al., RISE, 2018): the CNNs' probability of the true class
  when the cells of the greatest Δ are removed, or are all that is kept, beside equally many random
  cells and the cells of the greatest attention. A removed cell takes its mean over samples of all
  classes, which says nothing about the class. Δ orders the cells on one half of the samples, the
  other half is measured.

Δ is attention times evidence, and attention alone makes two Δ alike. So every correlation is told
for Δ and for `evidence`, the mean of D alone; the evidence decides.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.cnn.training import predict
from engram.io.errors import EngramError
from engram.saliency.delta import delta, rows_of_classes
from engram.saliency.ranks import draws, interval, normal_interval, standard_ranks
from engram.saliency.settings import CheckSettings

GROUPS = 10
"""Groups of samples per class; fewer where a class is smaller."""
STAGES = ("fc2", "fc1", "conv2", "conv1")
"""Layers that are drawn anew, from the last one on."""
MAPS = ("Δ", "evidence")
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of all causal cells of all layers that are removed or kept."""
JUDGED_SHARE = 0.1
"""Share of removed cells at which a method is compared with random cells."""
RANDOM_DRAWS = 3


@dataclass(frozen=True)
class Samples:
    """Held-out samples."""

    mean: np.ndarray
    """Attention averaged over heads, packed, (n, L, P)."""
    maximum: np.ndarray
    """Attention of the largest head, packed, (n, L, P)."""
    label: np.ndarray
    """Index of the class, (n,)."""
    classes: Sequence[str]
    """The K class names."""

    def groups(self) -> list[list[np.ndarray]]:
        """Positions per class and group; every class has as many groups."""
        rows = rows_of_classes(self.label, self.classes)
        count = min(GROUPS, *map(len, rows))
        return [np.array_split(mine, count) for mine in rows]

    def pooled(self, cnn: AttentionCNN) -> np.ndarray:
        """The attention that a CNN wants, (n, L, P)."""
        return self.mean if cnn.head_pooling == "mean" else self.maximum


def reinitialized(cnn: AttentionCNN, layers: Sequence[str], seed: int) -> AttentionCNN:
    """A copy whose named layers have parameters drawn anew."""
    fresh, changed = copy.deepcopy(cnn), copy.deepcopy(cnn)
    fresh.initialize(seed)
    for name in layers:
        getattr(changed, name).load_state_dict(getattr(fresh, name).state_dict())
    return changed


def maps_of(
    cnns: Sequence[AttentionCNN], samples: Samples, methods: Sequence[str], progress: tqdm
) -> dict[str, np.ndarray]:
    """Δ and evidence of each CNN and group of samples: method → float32 (2, K, C, G, L, P)."""
    groups = samples.groups()
    shape = (2, len(groups), len(cnns), len(groups[0]), *samples.mean.shape[1:])
    found = {method: np.empty(shape, np.float32) for method in methods}
    for c, cnn in enumerate(cnns):
        pooled = samples.pooled(cnn)
        for k, parts in enumerate(groups):
            for g, rows in enumerate(parts):
                for method, one in delta(
                    cnn, pooled[rows], samples.maximum[rows], k, methods
                ).items():
                    found[method][:, k, c, g] = one.map, one.evidence
        progress.update()
    return found


def check_saliency(
    cnns: Mapping[CnnKey, AttentionCNN], samples: Samples, settings: CheckSettings
) -> dict[str, pd.DataFrame]:
    """All checks of one taxonomy.

    Args:
        cnns: all CNNs of the taxonomy.
        samples: held-out samples.
        settings: how much is measured.

    Returns:
        `randomization`: method, map, against, class, layer, rho, low, high. `against` is `fc2`,
        `fc2 to fc1` … `fc2 to conv1` (layers drawn anew), `shuffled labels`, or `attention` (the
        mean of the largest head's attention); class and layer `all` are means. `agreement`: the
        same columns and `pairs`; `against` is another method, or what two CNNs differ in, `seed`,
        `architecture`, `head pooling`; with ` (untrained)`, all layers of one of the two are drawn
        anew. `deletion`: cells, mode (deletion or insertion), share, class, probability, low, high;
        `cells` is a method, `shuffled labels` (the first method on CNNs of shuffled labels),
        `attention` or `random`. `validity`: see `validity`.

    Raises:
        EngramError: no CNN on real attention and labels, or a class without samples.
    """
    real = {
        key: cnn for key, cnn in cnns.items() if (key.input, key.labels) == ("attention", "real")
    }
    shuffled = [
        cnn for key, cnn in cnns.items() if (key.input, key.labels) == ("attention", "shuffled")
    ]
    if not real:
        raise EngramError(
            "saliency checks: no CNN was trained on attention with real labels; look into "
            "history.csv for CNNs that diverged"
        )
    nets = list(real.values())
    variants = [
        [reinitialized(cnn, STAGES[: stage + 1], settings.seed + c) for c, cnn in enumerate(nets)]
        for stage in range(len(STAGES))
    ]
    names = [
        STAGES[0],
        *(f"{STAGES[0]} to {last}" for last in STAGES[1:]),
        *(["shuffled labels"] if shuffled else []),
    ]
    with tqdm(
        total=len(nets) * (1 + len(STAGES)) + len(shuffled),
        desc="saliency checks",
        unit="CNN",
        mininterval=2,
    ) as progress:
        trained = maps_of(nets, samples, settings.methods, progress)
        randomization = _Table(samples.classes, settings)
        ranked = {method: _ranked(maps, settings) for method, maps in trained.items()}
        for name, others in zip(names, [*variants, *([shuffled] if shuffled else [])], strict=True):
            maps = maps_of(others, samples, settings.methods, progress)
            for method in settings.methods:
                randomization.add(method, name, ranked[method], _ranked(maps[method], settings))
            if name == f"{STAGES[0]} to {STAGES[-1]}":
                untrained = maps
            elif name == "shuffled labels":
                of_shuffled = maps[settings.methods[0]]
    attention = np.stack(
        [
            [samples.maximum[rows].mean(axis=0, dtype=np.float32) for rows in parts]
            for parts in samples.groups()
        ]
    )
    of_attention = _ranked(
        np.broadcast_to(
            attention[None, :, None], (2, *attention.shape[:1], 1, *attention.shape[1:])
        ),
        settings,
    )
    for method in settings.methods:
        randomization.add(method, "attention", ranked[method], of_attention)
    agreement, learned = _agreement(list(real), trained, untrained, samples.classes, settings)
    orders = {method: _order(maps) for method, maps in trained.items()}
    if shuffled:
        orders["shuffled labels"] = _order(of_shuffled)
    deletion, gains = _deletion(nets, samples, orders, settings)
    tables = {"randomization": randomization.frame(), "agreement": agreement, "deletion": deletion}
    return tables | {"validity": validity(learned, gains, settings.confidence)}


def validity(
    learned: Mapping[str, np.ndarray], gains: Mapping[str, np.ndarray], confidence: float
) -> pd.DataFrame:
    """Which methods are called valid here, and by what.

    Two things are asked. *Learned*: the evidence of a trained CNN agrees better with that of
    another trained CNN than with that of the same other CNN all of whose layers are drawn anew
    (rank correlation, mean over layers, classes and pairs). *Used*: removing the cells of the
    greatest Δ costs more of the true class's probability than removing random ones (`JUDGED_SHARE`
    of the cells, mean over classes). Both differences must lie above 0 with their intervals.

    Args:
        learned: method → drawn differences of correlations, (R,); empty where no two CNNs can be
            compared.
        gains: method → drawn differences of probabilities, (R,).
        confidence: nominal coverage.

    Returns:
        method, learned, learned_low, learned_high, used, used_low, used_high, valid (yes, no, or
        `not judged` where no two CNNs can be compared).
    """
    rows = []
    for method, gain in gains.items():
        row: dict[str, object] = {"method": method}
        found = (
            normal_interval(learned[method], confidence)
            if method in learned
            else (np.nan, np.nan, np.nan)
        )
        for name, values in (("learned", found), ("used", interval(gain, confidence))):
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
        passed = found[1] > 0 and row["used_low"] > 0  # type: ignore[operator]
        rows.append(
            row | {"valid": ("yes" if passed else "no") if method in learned else "not judged"}
        )
    return pd.DataFrame(rows)


class _Table:
    """Rows of rank correlations, per class and layer and their means."""

    def __init__(self, classes: Sequence[str], settings: CheckSettings) -> None:
        self.classes, self.settings = classes, settings
        self.rows: list[dict] = []

    def add(
        self, method: str, against: str, first: np.ndarray, second: np.ndarray, **columns: object
    ) -> None:
        """Compares standard ranks (2, K, R, L, P)."""
        self.add_values(method, against, _mean_rho([(first, second)]), **columns)

    def add_values(self, method: str, against: str, rho: np.ndarray, **columns: object) -> None:
        """Correlations (2, K, R, L)."""
        for m, name in enumerate(MAPS):
            for k, of_class in (
                ("all", rho[m].mean(axis=0)),
                *zip(self.classes, rho[m], strict=True),
            ):  # (R, L)
                for layer, values in (
                    ("all", of_class.mean(axis=1)),
                    *((str(i + 1), of_class[:, i]) for i in range(of_class.shape[1])),
                ):
                    value, low, high = normal_interval(values, self.settings.confidence)
                    row = {
                        "method": method,
                        "map": name,
                        "against": against,
                        "class": k,
                        "layer": layer,
                    }
                    self.rows.append(row | {"rho": value, "low": low, "high": high} | columns)

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(
            self.rows,
            columns=None
            if self.rows
            else ["method", "map", "against", "class", "layer", "rho", "low", "high"],
        )


def _ranked(maps: np.ndarray, settings: CheckSettings) -> np.ndarray:
    """Standard ranks of Δ and evidence, drawn over CNNs and groups: (2, K, C, G, L, P) → (2, K, R,
    L, P).
    """
    weights = draws(maps.shape[2], maps.shape[3], settings.rank_draws, settings.seed)
    return np.stack([[standard_ranks(of_class, weights) for of_class in of_map] for of_map in maps])


def _agreement(
    keys: list[CnnKey],
    trained: dict[str, np.ndarray],
    untrained: dict[str, np.ndarray],
    classes: Sequence[str],
    settings: CheckSettings,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The table, and per method how much better evidence agrees between trained CNNs than with an
    untrained one, (R,).
    """
    table, learned = _Table(classes, settings), {}
    pairs = _pairs(keys)
    for method, maps in trained.items():
        differences = []
        if pairs:
            alone, anew = (
                [_ranked(m[:, :, [c]], settings) for c in range(len(keys))]
                for m in (maps, untrained[method])
            )
        for name, which in pairs.items():
            both = _mean_rho([(alone[i], alone[j]) for i, j in which])  # (2, K, R, L)
            one = _mean_rho(
                [pair for i, j in which for pair in ((alone[i], anew[j]), (anew[i], alone[j]))]
            )
            table.add_values(method, name, both, pairs=len(which))
            table.add_values(method, f"{name} (untrained)", one, pairs=2 * len(which))
            differences.append((both - one)[1].mean(axis=(0, 2)))  # (R,)
        if differences:
            learned[method] = np.mean(differences, axis=0)
    whole = {method: _ranked(maps, settings) for method, maps in trained.items()}
    for a, b in combinations(trained, 2):
        table.add(a, b, whole[a], whole[b], pairs=1)
    return table.frame(), learned


def _pairs(keys: list[CnnKey]) -> dict[str, list[tuple[int, int]]]:
    """Pairs of CNNs that differ in one thing, by that thing."""
    pairs: dict[str, list[tuple[int, int]]] = {}
    for (i, first), (j, second) in combinations(enumerate(keys), 2):
        shapes, poolings = zip(*(key.cnn.rsplit("-", 1) for key in (first, second)), strict=True)
        differs = {
            "seed": first.seed != second.seed,
            "architecture": len(set(shapes)) > 1,
            "head pooling": len(set(poolings)) > 1,
        }
        if sum(differs.values()) == 1:
            pairs.setdefault(max(differs, key=lambda name: differs[name]), []).append((i, j))
    return pairs


def _mean_rho(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Mean over pairs of standard ranks (2, K, R, L, P) of their correlations: (2, K, R, L)."""
    return np.mean(
        [
            np.einsum("mkrlp,mkrlp->mkrl", first, second) / first.shape[-1]
            for first, second in pairs
        ],
        axis=0,
    )


def _order(maps: np.ndarray) -> np.ndarray:
    """Cells of each class, flattened over (L, P), by falling Δ of the even groups: (K, L·P)."""
    means = maps[0, :, :, ::2].mean(axis=(1, 2))  # (K, L, P)
    return np.argsort(-means.reshape(len(means), -1), axis=1, kind="stable")


def _deletion(
    cnns: Sequence[AttentionCNN],
    samples: Samples,
    orders: dict[str, np.ndarray],
    settings: CheckSettings,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Probabilities of the true class under deletion and insertion, and per method what it gains
    over random cells, (R,).
    """
    groups = samples.groups()
    odd = [
        np.concatenate(parts[1::2] or parts) for parts in groups
    ]  # a single group is ordered and measured on the same samples
    even = [np.concatenate(parts[::2]) for parts in groups]
    size, random = int(np.prod(samples.mean.shape[1:])), np.random.default_rng(settings.seed)
    attention = np.stack(
        [samples.maximum[rows].mean(axis=0, dtype=np.float32).ravel() for rows in even]
    )  # (K, L·P)
    orders = orders | {"attention": np.argsort(-attention, axis=1, kind="stable")}
    chances = [np.stack([random.permutation(size) for _ in groups]) for _ in range(RANDOM_DRAWS)]
    neutral = {
        pooling: np.mean(
            [maps[rows].mean(axis=0, dtype=np.float32) for rows in odd], axis=0
        ).ravel()
        for pooling, maps in (("mean", samples.mean), ("max", samples.maximum))
    }
    steps = [(name, [order]) for name, order in orders.items()] + [("random", chances)]
    found: dict[tuple[str, str, float], list[np.ndarray]] = {}  # per class (C, n)
    with tqdm(
        total=2 * len(SHARES) * len(steps),
        desc="deletion and insertion",
        unit="setting",
        mininterval=2,
    ) as progress:
        for mode, share, (name, drawn) in product(("deletion", "insertion"), SHARES, steps):
            cells = [
                [order[k][: max(1, round(share * size))] for order in drawn]
                for k in range(len(odd))
            ]
            found[name, mode, share] = [
                np.mean(
                    [
                        _probabilities(cnns, samples, rows, k, some, mode, neutral)
                        for some in cells[k]
                    ],
                    axis=0,
                )
                for k, rows in enumerate(odd)
            ]
            progress.update()
    no_cell = np.empty(0, np.int64)
    found["none", "deletion", 0.0] = [
        _probabilities(cnns, samples, rows, k, no_cell, "deletion", neutral)
        for k, rows in enumerate(odd)
    ]
    table = []
    for (name, mode, share), per_class in found.items():
        means = np.stack([_drawn_means(values, settings) for values in per_class])  # (K, R)
        for of_class, drawn_values in (
            ("all", means.mean(axis=0)),
            *zip(samples.classes, means, strict=True),
        ):
            value, low, high = interval(drawn_values, settings.confidence)
            table.append(
                {
                    "cells": name,
                    "mode": mode,
                    "share": share,
                    "class": of_class,
                    "probability": value,
                    "low": low,
                    "high": high,
                }
            )
    gains: dict[str, np.ndarray] = {}
    for name in settings.methods:
        left = zip(
            found["random", "deletion", JUDGED_SHARE],
            found[name, "deletion", JUDGED_SHARE],
            strict=True,
        )
        gains[name] = np.mean(
            [_drawn_means(chance - mine, settings) for chance, mine in left], axis=0
        )
    return pd.DataFrame(table), gains


def _probabilities(
    cnns: Sequence[AttentionCNN],
    samples: Samples,
    rows: np.ndarray,
    target: int,
    cells: np.ndarray,
    mode: str,
    neutral: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Probability of the target class for each CNN and sample, (C, n): cells removed (deletion) or
    kept alone (insertion).
    """
    changed, found = {}, []
    for pooling in {cnn.head_pooling for cnn in cnns}:
        maps = samples.mean if pooling == "mean" else samples.maximum
        flat, mean = maps[rows].astype(np.float32).reshape(len(rows), -1), neutral[pooling]
        result = flat if mode == "deletion" else np.broadcast_to(mean, flat.shape).copy()
        result[:, cells] = mean[cells] if mode == "deletion" else flat[:, cells]
        changed[pooling] = result.reshape(len(rows), *maps.shape[1:])
    for cnn in cnns:
        logits = torch.from_numpy(predict(cnn, changed[cnn.head_pooling], np.arange(len(rows))))
        found.append(logits.softmax(dim=1)[:, target].numpy())
    return np.stack(found)


def _drawn_means(values: np.ndarray, settings: CheckSettings) -> np.ndarray:
    """Means of (C, n) over drawn CNNs and samples, (R,)."""
    return np.einsum(
        "rcn,cn->r",
        draws(values.shape[0], values.shape[1], settings.resamples, settings.seed),
        values,
    )
