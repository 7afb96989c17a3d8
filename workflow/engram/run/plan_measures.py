"""What the measures inside a model will cost, those that are off by default: part of `snakemake
plan`.

Counted are forwards of whole windows. Steps that begin at a layer take less, so these are upper
bounds, as are the numbers of samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from engram.crossed.mechanism_inputs import MechanismInputs
from engram.mechanisms.cost import count_forwards
from engram.mechanisms.settings import MechanismsSettings
from engram.nursery.arms import STRATA
from engram.run.config import complete
from engram.run.plan import Shape
from engram.run.rates import Rates
from engram.run.study_taxonomies import attacked, localized, steered, taxonomies

COLUMNS = ("model", "measure", "forwards", "pflop", "gpu_hours")


def plan_measures(
    config: Mapping[str, Any], shapes: Mapping[str, tuple[Shape, Sequence[int]]]
) -> pd.DataFrame:
    """Return what each measure costs at most.

    Args:
        config: the study's config, as it was given.
        shapes: model → its shape, and the tokens that its sequences begin with.

    Returns:
        a row per model and measure that is part of the study: model, measure, forwards, pflop,
        gpu_hours (at the rate of `plan.forward`).
    """
    study = complete(dict(config))
    rates = Rates(**study["plan"])
    classes = {slug: len(taxonomy.class_names) for slug, taxonomy in taxonomies(study).items()}
    mechanisms = MechanismsSettings(**study["mechanisms"])
    rows = []
    for model, (shape, opening) in shapes.items():
        size = (shape.layers, shape.heads, study["prefix"])
        window = len(opening) + study["prefix"] + study["suffix"]
        flops = shape.forward_flops(window, study["suffix"])
        of_suffix = shape.forward_flops(study["suffix"], study["suffix"]) / flops
        forwards = Counter[str]()
        for slug in localized(study):
            forwards.update(count_forwards(mechanisms, *size, classes[slug]))
        forwards |= {
            "steering": sum(
                mechanisms.steering.forwards(classes[slug], shape.layers, of_suffix)
                for slug in steered(study)
            ),
            "locality": len(attacked(study))
            * mechanisms.locality.forwards(shape.layers, shape.heads),
        }
        totals = {measure: count * len(study["protocols"]) for measure, count in forwards.items()}
        totals |= _of_pairs(study, model)
        for measure, total in totals.items():
            if total:
                rows.append(
                    {
                        "model": model,
                        "measure": measure,
                        "forwards": total,
                        "pflop": total * flops / 1e15,
                        "gpu_hours": total * flops / rates.forward / 3600,
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_pairs(study: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return forwards of the measures that a paired scorer is shown, in one model of a pair."""
    section = study["crossed"]["mechanisms"]
    entry = next((model for model in study["models"] if model["name"] == name), None)
    if entry is None or not entry["arm"] or not section["enabled"]:
        return {}
    windows = sum(entry["drilling"]["crossed"][stratum] for stratum in STRATA)
    inputs = MechanismInputs.of(section, study["mechanisms"], seed=0)
    return {
        f"{measure}, of pairs": windows * forwards
        for measure, forwards in inputs.forwards().items()
    }


def measures_text(measures: pd.DataFrame) -> str:
    """Return the table as lines of text for the terminal; nothing where it has no rows."""
    if measures.empty:
        return ""
    shown = measures.to_string(index=False, float_format=lambda value: f"{value:,.4g}")
    return f"\nMeasures inside the models, at most:\n{shown}\n"
