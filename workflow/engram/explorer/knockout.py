"""Knock-out as the explorer shows it: losses by layer, by head and by region of Δ, for classes and
for single samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES


def read_knockout(
    stem: Path, classes: list[str], layers: int, sequence_ids: np.ndarray
) -> tuple[dict[str, Any], dict[int, dict]]:
    """Return what removing attention costs each class, and each of some samples. A *loss* is the
    intact model's value less the damaged one's.

    Args:
        stem: path of the knock-out's `.csv` (effects per class) and `.parquet` (per sample),
            without their endings.
        classes: the K class names.
        layers: L, layers of the model.
        sequence_ids: of the samples.

    Returns:
        for the classes `operations`, `n` (K), `layers` (operation → measure → `loss`, `low`,
        `high`, each (K, L)), `heads` (operation → measure → (K, L, H)) and `regions` (of Δ, by
        size, with their random controls); and sequence_id → operation → measure → loss by layer (L)
        of the samples that were knocked out.

    Raises:
        EngramError: a file cannot be read, or a layer is missing in it.
    """
    path = stem.with_name(f"{stem.name}.csv")
    try:
        table = pd.read_csv(path, dtype={"region": str, "kind": str, "operation": str}).fillna(
            {"region": ""}
        )
    except (OSError, ValueError) as error:
        raise EngramError(
            f"{path}: cannot be read ({error}); delete it, and it is made again"
        ) from None
    operations = table.loc[table["kind"] == "layer", "operation"].unique().tolist()
    named = {
        "operations": operations,
        "n": [int(table.loc[table["class"] == name, "n"].iloc[0]) for name in classes],
    }
    by_layer, by_head = {}, {}
    for operation in operations:
        mine = table[table["operation"] == operation]
        by_layer[operation] = {
            measure: _by_layer(mine[mine["kind"] == "layer"], measure, classes, layers, path)
            for measure in MEASURES
        }
        heads = mine[mine["kind"] == "head"]
        by_head[operation] = {
            measure: [_by_head(heads[heads["class"] == name], measure, layers) for name in classes]
            for measure in MEASURES
        }
    entry = {**named, "layers": by_layer, "heads": by_head, "regions": _regions(table, classes)}
    return entry, _samples(
        read_parquet(stem.with_name(f"{stem.name}.parquet")), operations, layers, sequence_ids
    )


def _rounded(values: Any) -> Any:
    """Return nested lists with four decimals: losses are shares and log-probabilities."""
    return np.asarray(values, np.float64).round(4).tolist()


def _by_layer(
    table: pd.DataFrame, measure: str, classes: list[str], layers: int, path: Path
) -> dict[str, Any]:
    wanted = [str(layer + 1) for layer in range(layers)]
    rows = [table[table["class"] == name].set_index("region").reindex(wanted) for name in classes]
    if any(row[f"{measure}_difference"].isna().any() for row in rows):
        raise EngramError(
            f"{path}: not every one of {layers} layers is knocked out in it; delete it to have it "
            f"made again"
        )
    ends = {
        "loss": "difference",
        "low": "high",
        "high": "low",
    }  # a loss is a difference with its sign, and so its ends, turned
    return {
        name: _rounded([-row[f"{measure}_{column}"] for row in rows])
        for name, column in ends.items()
    }


def _by_head(table: pd.DataFrame, measure: str, layers: int) -> list[list[float]]:
    """Return (L, H); empty rows where heads were not knocked out."""
    losses: list[list[float]] = [[] for _ in range(layers)]
    for region, difference in zip(table["region"], table[f"{measure}_difference"], strict=True):
        losses[int(region.split(".")[0]) - 1].append(round(-float(difference), 4))
    return losses


def _regions(table: pd.DataFrame, classes: list[str]) -> list[dict[str, Any]]:
    """Return regions of Δ in the table's order: per measure and class the loss with its interval,
    and the least, mean and largest random draw.
    """
    found = []
    key: Any
    for key, rows in table[table["kind"] == "delta"].groupby(
        ["region", "size", "operation"], sort=False
    ):
        region, size, operation = key
        same = table[
            (table["region"] == region)
            & (table["size"] == size)
            & (table["operation"] == operation)
        ]
        controls = {
            kind: draws for kind, draws in same.groupby("kind") if str(kind).startswith("control")
        }
        entry: dict[str, Any] = {
            "region": region,
            "size": float(size),
            "operation": operation,
            "loss": {},
            "controls": {},
        }
        for measure in MEASURES:
            own = rows.set_index("class").loc[classes]
            columns = [f"{measure}_{end}" for end in ("difference", "high", "low")]
            entry["loss"][measure] = _rounded(-own[columns].to_numpy())
            for kind, draws in controls.items():
                losses = (
                    -draws.groupby("class")[f"{measure}_difference"].agg(["max", "mean", "min"])
                ).loc[classes]
                entry["controls"].setdefault(kind, {})[measure] = _rounded(losses.to_numpy())
        found.append(entry)
    return found


def _samples(
    results: pd.DataFrame, operations: list[str], layers: int, sequence_ids: np.ndarray
) -> dict[int, dict]:
    mine = results[
        results["sequence_id"].isin(sequence_ids) & results["kind"].isin(["intact", "layer"])
    ]
    found: dict[int, dict] = {}
    sequence: Any
    for sequence, rows in mine.groupby("sequence_id"):
        intact = rows[rows["kind"] == "intact"].iloc[0]
        alone = {
            operation: rows[(rows["kind"] == "layer") & (rows["operation"] == operation)]
            for operation in operations
        }
        ordered = {
            name: part.set_index("region").loc[[str(layer + 1) for layer in range(layers)]]
            for name, part in alone.items()
        }
        found[int(sequence)] = {
            name: {
                measure: _rounded(float(intact[measure]) - part[measure].to_numpy(np.float64))
                for measure in MEASURES
            }
            for name, part in ordered.items()
        }
    return found
