"""Is the saliency real? Randomized CNNs, agreement, and what removing its cells does to the CNN."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from tqdm import tqdm

from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.io.errors import EngramError
from engram.saliency.deletion import deletion_curves, falling_order
from engram.saliency.held_out import HeldOut
from engram.saliency.map_checks import (
    STAGES,
    RhoTable,
    correlation_interval,
    drawn_ranks,
    group_maps,
    map_agreement,
    reinitialized,
)
from engram.saliency.ranks import rank_correlations
from engram.saliency.settings import CheckSettings
from engram.scores.bootstrap import Interval, percentile_interval

_AGAINST = {"used": "random", "over_shuffled": "shuffled labels", "over_attention": "attention"}
"""Column of `validity` → the cells that a method's are compared with."""


def check_saliency(
    cnns: Mapping[CnnKey, AttentionCNN], samples: HeldOut, settings: CheckSettings
) -> dict[str, pd.DataFrame]:
    """Run all checks of one taxonomy.

    Args:
        cnns: all CNNs of the taxonomy.
        samples: held-out samples.
        settings: how much is measured.

    Returns:
        Tables by name.

        - `randomization`: method, map, against, class, layer, rho, low, high. `against` is `fc2`,
          `fc2 to fc1` … `fc2 to conv1` (layers that are reinitialized), `shuffled labels`, or
          `attention` (the mean attention of the largest head); class and layer `all` are means.
        - `agreement`: the same columns and `pairs`; `against` is another method, or what two CNNs
          differ in, `seed`, `architecture`, `head pooling`; with ` (untrained)`, all layers of one
          of the two are reinitialized.
        - `deletion`: cells, mode (deletion or insertion), share, class, probability, low, high;
          `cells` is a method, `shuffled labels` (the first method on CNNs of shuffled labels),
          `attention`, `random` or `none`.
        - `validity`: see `validity`.

    Raises:
        EngramError: no CNN on attention with real labels, or a class without samples.
    """
    real = {key: cnn for key, cnn in cnns.items() if _is_of(key, "real")}
    shuffled = [cnn for key, cnn in cnns.items() if _is_of(key, "shuffled")]
    if not real:
        raise EngramError(
            "saliency checks: no CNN was trained on attention with real labels; look into "
            "history.csv for CNNs that diverged"
        )
    nets, methods = list(real.values()), settings.methods
    others = {
        " to ".join(dict.fromkeys((STAGES[0], last))): [
            reinitialized(cnn, STAGES[: stage + 1], settings.seed + c) for c, cnn in enumerate(nets)
        ]
        for stage, last in enumerate(STAGES)
    }
    untrained = list(others)[-1]
    by_shuffled: dict[str, np.ndarray] = {}
    if shuffled:
        others["shuffled labels"] = shuffled
    with tqdm(
        total=len(nets) * (1 + len(STAGES)) + len(shuffled),
        desc="saliency checks",
        unit="CNN",
        mininterval=2,
    ) as progress:
        trained = group_maps(nets, samples, methods, progress)
        randomization = RhoTable(samples.classes, settings.confidence)
        ranked = {method: drawn_ranks(maps, settings) for method, maps in trained.items()}
        for name, variants in others.items():
            maps = group_maps(variants, samples, methods, progress)
            for method in methods:
                changed = drawn_ranks(maps[method], settings)
                randomization.add(method, name, rank_correlations(ranked[method], changed))
            if name == untrained:
                of_untrained = maps
            elif name == "shuffled labels":
                by_shuffled = {method: falling_order(maps[method]) for method in methods}
    of_attention = drawn_ranks(_attention_maps(samples), settings)
    for method in methods:
        randomization.add(method, "attention", rank_correlations(ranked[method], of_attention))
    agreement, learned = map_agreement(list(real), trained, of_untrained, samples.classes, settings)
    orders = {method: falling_order(maps) for method, maps in trained.items()}
    if by_shuffled:
        orders["shuffled labels"] = by_shuffled[methods[0]]
    deletion, gains = deletion_curves(nets, samples, orders, by_shuffled, settings)
    return {
        "randomization": randomization.frame(),
        "agreement": agreement,
        "deletion": deletion,
        "validity": validity(learned, gains, settings.confidence),
    }


def validity(
    learned: Mapping[str, np.ndarray],
    gains: Mapping[str, Mapping[str, np.ndarray]],
    confidence: float,
) -> pd.DataFrame:
    """Judge which methods are valid here, and by what.

    There are four criteria. *Learned*: the evidence of a trained CNN agrees better with that of
    another trained CNN than with that of the same other CNN with all layers reinitialized (rank
    correlation, mean over layers, classes and pairs). *Used*: removing the cells of the greatest Δ
    costs more of the true class's probability than removing random ones
    (`engram.saliency.deletion.JUDGED_SHARE` of the cells, mean over classes). *Over shuffled*: more
    than removing the cells that the same method finds in CNNs of shuffled labels, which learned
    nothing of the classes. *Over attention*: more than removing the cells of the greatest
    attention, which needs no CNN. The intervals of all four differences must be above 0.

    Args:
        learned: method → drawn differences of correlations, (1 + R,), the first the estimate; a
            method is missing where no two CNNs can be compared.
        gains: method → `random`, `attention` and, where there are such CNNs, `shuffled labels` →
            drawn differences of probabilities, (1 + R,), the first the estimate.
        confidence: nominal coverage.

    Returns:
        method; learned, used, over_shuffled, over_attention with `_low` and `_high`; valid (yes,
        no, or `not judged` where no two CNNs can be compared or none has shuffled labels).
    """
    rows = []
    for method, of_method in gains.items():
        intervals = {name: Interval(np.nan, np.nan, np.nan) for name in ("learned", *_AGAINST)}
        if method in learned:
            intervals["learned"] = correlation_interval(learned[method], confidence)
        for name, other in _AGAINST.items():
            if other in of_method:
                gain = of_method[other]
                intervals[name] = percentile_interval(gain[0], gain[1:], confidence)
        row: dict[str, object] = {"method": method}
        for name, interval in intervals.items():
            row |= interval.columns(name)
        judged = not any(np.isnan(interval.value) for interval in intervals.values())
        passed = all(interval.low > 0 for interval in intervals.values())
        rows.append(row | {"valid": ("yes" if passed else "no") if judged else "not judged"})
    return pd.DataFrame(rows)


def _is_of(key: CnnKey, labels: str) -> bool:
    return (key.input, key.labels) == ("attention", labels)


def _attention_maps(samples: HeldOut) -> np.ndarray:
    """Return the mean attention of the largest head per class and group, in the place of both Δ and
    evidence of a single CNN, (2, K, 1, G, L, P).
    """
    means = np.stack(
        [
            [samples.maximum[rows].mean(axis=0, dtype=np.float32) for rows in parts]
            for parts in samples.groups()
        ]
    )  # (K, G, L, P)
    return np.broadcast_to(means[None, :, None], (2, len(means), 1, *means.shape[1:]))
