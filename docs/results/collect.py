"""Copy the tables of a finished study into the folder of its name here.

    python docs/results/collect.py results/demo       # crossed exposures, one pair
    python docs/results/collect.py results/crossed    # crossed exposures, pairs of several bases
    python docs/results/collect.py results/mechanisms # measures inside the models of a pair
    python docs/results/collect.py results/classes

Afterwards run `make docs`, which writes their numbers into README.md and docs/. Tables of
`mechanisms` that a study has per model are joined, with the model in their first column; a table's
own `model`, intact or with heads removed, becomes `state`. Three tables of `classes` are made here,
because a study keeps what they hold in larger files:

- exposures.csv: windows by kind of text and number of exposures, and how many of them the drilled
  model and its twin extract (from labels.parquet);
- knockout_layers.csv: what removing one layer's attention costs each class (from the knock-outs);
- saliency_randomized.csv: agreement of each saliency map with that of the same CNN whose layers
  have all been drawn again at random (from the saliency checks).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
CROSSED = ("checks", "effects", "knockout", "layers", "matched", "scores")
FURTHER = ("mechanisms", "transfer")
CLASSES = (
    "attention_adds",
    "counts",
    "delta_layers",
    "double_dissociation",
    "recall_by_kind",
    "saliency_checks",
    "scores",
    "truth",
)
MODEL, PROTOCOL, TAXONOMY = "nursery", "engram", "non-memo_guess_others"
PER_MODEL = {
    "steering": {"depths": "steering_depths", "doses": "steering", "selectivity": "selectivity"},
    "locality": {
        "comparison": "attack",
        "curves": "attack_curves",
        "removal": "attack_removal",
        "overlap": "attack_heads",
    },
    "mechanisms": {
        "compression": "compression",
        "feed_forward": "feed_forward",
        "heads": "heads",
        "neurons": "neurons",
        "overlap": "heads_overlap",
        "remind": "remind",
        "winning": "lens",
    },
}
"""Tables that every model of a study has: folder, name there, and name here."""


def exposures(labels: pd.DataFrame) -> pd.DataFrame:
    """Return one row per kind of text and number of exposures: windows, and how many each model
    extracts."""
    text = labels["kind"].where(labels["kind"] == "natural", "templates").rename("text")
    counts = labels.groupby([text, "exposures"]).agg(
        n=("extracted", "size"), extracted=("extracted", "sum"), twin=("twin_extracted", "sum")
    )
    return counts.reset_index()


def copy_crossed(study: Path, target: Path) -> None:
    """Copy the tables of crossed pairs, `crossed_scores.csv` as `scores.csv` and so on; those of
    transfer and of mechanisms where the study has them."""
    tables = study / "tables"
    further = [name for name in FURTHER if (tables / f"crossed_{name}.csv").exists()]
    for name in (*CROSSED, *further):
        shutil.copyfile(tables / f"crossed_{name}.csv", target / f"{name}.csv")


def copy_mechanisms(study: Path, target: Path) -> None:
    """Join the tables of measures inside models, and copy the course of entropy."""
    for folder, names in PER_MODEL.items():
        for name, ours in names.items():
            paths = sorted(study.glob(f"*/{PROTOCOL}/{folder}/*/{name}.csv"))
            parts = {path.relative_to(study).parts[0]: pd.read_csv(path) for path in paths}
            rows = pd.concat(parts).rename(columns={"model": "state"})
            rows = rows.rename_axis(["model", "row"]).reset_index("model")
            rows.to_csv(target / f"{ours}.csv", index=False)
    shutil.copyfile(study / "tables" / "entropy_course.csv", target / "entropy_course.csv")


def copy_classes(study: Path, target: Path) -> None:
    """Copy the tables of classes, and make those that a study keeps in larger files."""
    for name in CLASSES:
        shutil.copyfile(study / "tables" / f"{name}.csv", target / f"{name}.csv")

    labels = pd.read_parquet(
        study / MODEL / "labels.parquet",
        columns=["kind", "exposures", "extracted", "twin_extracted"],
    )
    exposures(labels).to_csv(target / "exposures.csv", index=False)

    knockouts = pd.read_csv(study / MODEL / PROTOCOL / "knockout" / f"{TAXONOMY}.csv")
    layers = knockouts[knockouts["kind"] == "layer"]
    columns = ["class", "region", "operation", "n", *(c for c in layers if "_log_prob_" in c)]
    layers[columns].rename(columns={"region": "layer"}).to_csv(
        target / "knockout_layers.csv", index=False
    )

    checks = study / MODEL / PROTOCOL / "saliency_checks" / TAXONOMY / "randomization.csv"
    rows = pd.read_csv(checks)
    everywhere = (rows["class"] == "all") & (rows["layer"] == "all")
    rows[everywhere].to_csv(target / "saliency_randomized.csv", index=False)


def main(study: Path) -> None:
    """Copy the tables of the finished study in folder `study`."""
    target = HERE / study.resolve().name
    target.mkdir(exist_ok=True)
    if any(study.glob(f"*/{PROTOCOL}/steering")):
        copy_mechanisms(study, target)
    elif (study / "tables" / "crossed_scores.csv").exists():
        copy_crossed(study, target)
    else:
        copy_classes(study, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
