"""Which knock-outs an experiment makes: every unit alone, the regions of Δ with their controls, and
units removed one after another.

A *unit* is a layer, a head or a distance band. Units are ranked by what their removal alone costs a
class on the ranking samples (validation); what is reported of the rankings is measured on the test
samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.io.hashing import splitmix64
from engram.io.spans import Spans
from engram.knockout.regions import check_bands, distance_band, random_region, top_cells
from engram.knockout.settings import KnockoutSettings
from engram.lm.conditions import Condition

UNITS = ("layer", "head", "band")
REGIONS = ("delta", "control_cells", "control_mass")
COLUMNS = ("kind", "region", "size", "draw", "operation")


@dataclass(frozen=True)
class Trial:
    """One condition, and what it is called in the tables."""

    kind: str
    """`intact`, `everything`, `layer`, `head`, `band`, `delta`, `control_cells`, `control_mass`, or
    `cumulative_<unit>`.
    """
    region: str
    """The unit (layers and heads from 1: `3`, `3.5`; distances: `4-7`), or the class whose Δ or
    ranking it is.
    """
    size: float
    """Share of all cells for regions of Δ and their controls, units removed for cumulative curves,
    else 0.
    """
    draw: int
    """Number of the random draw from 1; 0 where nothing is drawn."""
    condition: Condition

    @property
    def name(self) -> dict[str, object]:
        """The columns that name it."""
        return {
            "kind": self.kind,
            "region": self.region,
            "size": self.size,
            "draw": self.draw,
            "operation": self.condition.operation,
        }


def units(
    layers: int, heads: int, window: int, bands: Sequence[Sequence[int]]
) -> dict[str, dict[str, np.ndarray]]:
    """Return every unit: kind → name → the heads (L, H) or cells (L, P) that it is."""
    grid = np.arange(layers * heads).reshape(layers, heads)
    return {
        "layer": {
            f"{layer + 1}": np.repeat(np.arange(layers)[:, None] == layer, heads, axis=1)
            for layer in range(layers)
        },
        "head": {
            f"{layer + 1}.{head + 1}": grid == grid[layer, head]
            for layer, head in np.ndindex(layers, heads)
        },
        "band": {
            f"{low}-{high}": distance_band(low, high, layers, window)
            for low, high in check_bands(bands, window)
        },
    }


def single_trials(
    found: Mapping[str, Mapping[str, np.ndarray]], operations: Sequence[str]
) -> list[Trial]:
    """Return the intact model, every unit alone, and everything at once."""
    everything = np.ones_like(next(iter(found["layer"].values())))
    alone = [
        Trial(kind, name, 0, 0, _condition(kind, operation, mask))
        for operation in operations
        for kind in UNITS
        for name, mask in found[kind].items()
    ]
    return [
        Trial("intact", "", 0, 0, Condition()),
        *alone,
        *(
            Trial("everything", "", 0, 0, Condition(operation, heads=everything))
            for operation in operations
        ),
    ]


def region_trials(
    delta: np.ndarray,
    classes: Sequence[str],
    mass: np.ndarray,
    prefix: int,
    settings: KnockoutSettings,
    seed: int,
    spans: Spans | None = None,
) -> list[Trial]:
    """Return the cells of largest Δ of every class at every size, and random regions of equal cell
    count and of equal attention.

    Args:
        delta: of other samples than those that are knocked out, (K, L, P).
        classes: the K class names.
        mass: mean attention over heads and reference samples, (L, P); of blockwise maps, summed
            over the tokens of a cell.
        prefix: rows of a map before the suffix: tokens of the opening and the prefix, or spans of
            them.
        seed: of the draws; each draw has its own stream.
        spans: the tokens of every row of the maps; None: single tokens.
    """
    trials = []
    for k, name in enumerate(classes):
        for s, size in enumerate(settings.sizes):
            region = top_cells(delta[k], size)
            masks = [("delta", 0, region)]
            for kind, given in (("control_cells", None), ("control_mass", mass)):
                for draw in range(1, settings.draws + 1):
                    generator = np.random.default_rng([seed, k, s, draw, given is not None])
                    masks.append((kind, draw, random_region(region, prefix, generator, given)))
            trials += [
                Trial(kind, name, size, draw, Condition(operation, cells, spans=spans))
                for kind, draw, cells in masks
                for operation in settings.operations
            ]
    return trials


def cumulative_trials(
    found: Mapping[str, Mapping[str, np.ndarray]],
    rankings: Mapping[tuple[str, str, str], Sequence[str]],
    points: int,
) -> list[Trial]:
    """Return units removed one after another.

    Args:
        found: as `units` gives them.
        rankings: (kind, class, operation) → unit names, the costliest first.
        points: most points of a curve; they lie denser at its beginning.
    """
    trials = []
    for (kind, name, operation), order in rankings.items():
        masks = np.stack([found[kind][unit] for unit in order])
        counts = np.unique(
            np.round(np.geomspace(1, len(order), min(points, len(order)))).astype(int)
        )
        trials += [
            Trial(
                f"cumulative_{kind}",
                name,
                int(count),
                0,
                _condition(kind, operation, np.any(masks[:count], axis=0)),
            )
            for count in counts
        ]
    return trials


def rank_units(
    trials: Sequence[Trial], cost: np.ndarray, classes: Sequence[str]
) -> dict[tuple[str, str, str], list[str]]:
    """Return units by what their removal costs a class: (kind, class, operation) → names, the
    costliest first.

    Args:
        trials: as `single_trials` gives them.
        cost: fall of the suffix's log-probability under every trial, mean over the ranking samples
            of a class, (trials, K).
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for position, trial in enumerate(trials):
        if trial.kind in UNITS:
            groups.setdefault((trial.kind, trial.condition.operation), []).append(position)
    return {
        (kind, name, operation): [
            trials[p].region for p in sorted(positions, key=lambda p: -cost[p, k])
        ]
        for (kind, operation), positions in groups.items()
        for k, name in enumerate(classes)
    }


def model_seed(seed: int, fingerprint: str) -> int:
    """Return the seed of a model's draws: models of one study get different random regions."""
    with np.errstate(over="ignore"):
        return int(
            splitmix64(np.array([seed ^ int(fingerprint[:8], 16)], dtype=np.uint64))[0]
            >> np.uint64(1)
        )


def _condition(kind: str, operation: str, mask: Any) -> Condition:
    return Condition(operation, cells=mask) if kind == "band" else Condition(operation, heads=mask)
