"""Do the maps show what the CNNs have learned? Rank correlations of maps.

- *Randomization* (Adebayo et al., Sanity Checks for Saliency Maps, 2018) compares the map of a
  trained CNN with that of the same CNN whose layers are reinitialized, from the last one on until
  none is left, and with that of the CNNs trained on shuffled labels. A method whose map stays the
  same shows the input, not what the CNN has learned.
- *Agreement* compares CNNs that differ in their seed, their architecture or their head pooling, and
  compares methods.

Δ is attention times evidence, and attention alone makes two Δ alike. So every correlation is given
for Δ and for `evidence`, the mean of D alone; the evidence decides.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from tqdm import tqdm

from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.saliency.delta import delta
from engram.saliency.held_out import HeldOut
from engram.saliency.ranks import rank_correlations, standard_ranks
from engram.saliency.settings import CheckSettings
from engram.scores.bootstrap import Interval, normal_interval, pigeonhole_shares

STAGES = ("fc2", "fc1", "conv2", "conv1")
"""Layers that are reinitialized, from the last one on."""
MAPS = ("Δ", "evidence")
"""The two maps of a method that are compared."""
_COLUMNS = ("method", "map", "against", "class", "layer", "rho", "low", "high")


def reinitialized(cnn: AttentionCNN, layers: Sequence[str], seed: int) -> AttentionCNN:
    """Return a copy of a CNN whose named layers have new random parameters."""
    fresh, changed = copy.deepcopy(cnn), copy.deepcopy(cnn)
    fresh.initialize(seed)
    for name in layers:
        getattr(changed, name).load_state_dict(getattr(fresh, name).state_dict())
    return changed


def group_maps(
    cnns: Sequence[AttentionCNN], samples: HeldOut, methods: Sequence[str], progress: tqdm
) -> dict[str, np.ndarray]:
    """Return Δ and evidence of each CNN and group: method → float32 (2, K, C, G, L, P)."""
    groups = samples.groups()
    shape = (2, len(groups), len(cnns), len(groups[0]), *samples.mean.shape[1:])
    maps = {method: np.empty(shape, np.float32) for method in methods}
    for c, cnn in enumerate(cnns):
        pooled = samples.pooled(cnn)
        for k, parts in enumerate(groups):
            for g, rows in enumerate(parts):
                of_methods = delta(cnn, pooled[rows], samples.maximum[rows], k, methods)
                for method, result in of_methods.items():
                    maps[method][:, k, c, g] = result.map, result.evidence
        progress.update()
    return maps


def drawn_ranks(maps: np.ndarray, settings: CheckSettings) -> np.ndarray:
    """Return standard ranks of Δ and evidence, drawn over CNNs and groups; the first draw is the
    estimate.

    Args:
        maps: (2, K, C, G, L, P).
        settings: number of draws and seed.

    Returns:
        float32 (2, K, 1 + R, L, P).
    """
    generator = np.random.default_rng(settings.seed)
    weights = pigeonhole_shares(generator, maps.shape[2], maps.shape[3], settings.rank_draws)
    return np.stack([[standard_ranks(of_class, weights) for of_class in of_map] for of_map in maps])


class RhoTable:
    """Rows of rank correlations, per class and layer and their means."""

    def __init__(self, classes: Sequence[str], confidence: float) -> None:
        self.classes, self.confidence = classes, confidence
        self.rows: list[dict] = []

    def add(self, method: str, against: str, rho: np.ndarray, **columns: object) -> None:
        """Add drawn correlations of a method's maps, (2, K, 1 + R, L); the first are the
        estimates.
        """
        for m, name in enumerate(MAPS):
            of_classes = zip(self.classes, rho[m], strict=True)
            for k, of_class in (("all", rho[m].mean(axis=0)), *of_classes):  # (1 + R, L)
                of_layers = ((str(i + 1), of_class[:, i]) for i in range(of_class.shape[1]))
                for layer, values in (("all", of_class.mean(axis=1)), *of_layers):
                    interval = correlation_interval(values, self.confidence)
                    row = (method, name, against, k, layer, *interval)
                    self.rows.append(dict(zip(_COLUMNS, row, strict=True)) | columns)

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table, with its columns even where there is no row."""
        return pd.DataFrame(self.rows, columns=None if self.rows else list(_COLUMNS))


def correlation_interval(values: np.ndarray, confidence: float) -> Interval:
    """Return a correlation, or a mean of some, with its normal interval, from the estimate and its
    draws, (1 + R,).

    A draw has some groups twice and others never, so that its maps are noisier and its correlations
    lower than the estimate; their percentiles would miss it.
    """
    return normal_interval(values[0], values[1:], confidence, limits=(-1, 1))


def map_agreement(
    keys: Sequence[CnnKey],
    trained: Mapping[str, np.ndarray],
    untrained: Mapping[str, np.ndarray],
    classes: Sequence[str],
    settings: CheckSettings,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Compare the maps of pairs of CNNs and of pairs of methods.

    Args:
        keys: of the C CNNs.
        trained: method → maps of the CNNs, (2, K, C, G, L, P).
        untrained: the same of the CNNs with all layers reinitialized.
        classes: the K class names.
        settings: how much is measured.

    Returns:
        The table `agreement` (see `engram.saliency.sanity_checks.check_saliency`); and, per method,
        how much better the evidence of a trained CNN agrees with that of another trained CNN than
        with that of an untrained one, (1 + R,). Methods without a pair of CNNs are missing there.
    """
    table, learned = RhoTable(classes, settings.confidence), {}
    pairs = _pairs(keys)
    for method, maps in trained.items():
        gains = []
        if pairs:
            alone, fresh = (
                [drawn_ranks(of_all[:, :, [c]], settings) for c in range(len(keys))]
                for of_all in (maps, untrained[method])
            )
        for name, which in pairs.items():
            both = _mean_rho([(alone[i], alone[j]) for i, j in which])  # (2, K, 1 + R, L)
            one = _mean_rho(
                [pair for i, j in which for pair in ((alone[i], fresh[j]), (fresh[i], alone[j]))]
            )
            table.add(method, name, both, pairs=len(which))
            table.add(method, f"{name} (untrained)", one, pairs=2 * len(which))
            gains.append((both - one)[1].mean(axis=(0, 2)))  # (1 + R,)
        if gains:
            learned[method] = np.mean(gains, axis=0)
    whole = {method: drawn_ranks(maps, settings) for method, maps in trained.items()}
    for a, b in combinations(trained, 2):
        table.add(a, b, rank_correlations(whole[a], whole[b]), pairs=1)
    return table.frame(), learned


def _pairs(keys: Sequence[CnnKey]) -> dict[str, list[tuple[int, int]]]:
    """Return pairs of CNNs that differ in one thing, by that thing."""
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
    """Return the mean correlation over pairs of standard ranks (2, K, R, L, P): (2, K, R, L)."""
    return np.mean([rank_correlations(first, second) for first, second in pairs], axis=0)
