"""Copy the tables of a finished study into the folder of its name here.

    python docs/results/collect.py results/demo       # crossed exposures, one pair
    python docs/results/collect.py results/crossed    # crossed exposures, pairs of several bases
    python docs/results/collect.py results/mechanisms # measures inside the models of a pair
    python docs/results/collect.py results/smollm2    # natural text, known truth
    python docs/results/collect.py results/classes

Afterwards run `make docs`, which writes their numbers into README.md and docs/. Tables of
`mechanisms` that a study has per model are joined, with the model in their first column; a table's
own `model`, intact or with heads removed, becomes `state`. Some tables are made here, because a
study keeps what they hold in larger files:

- windows.csv of studies on natural text: windows by what is known of them, and how many of them the
  model extracts (from candidates.parquet);
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
NATURAL = ("matched_comparison", "scores")
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


def windows(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return one row per kind of natural windows: whether they are unseen (the others are repeated
    text), code, and of high overlap; windows, how many the model extracts, and their clusters."""
    high = (candidates["half_overlap"] >= 0.5).rename("high_overlap")
    kinds = candidates.assign(own=candidates["cluster"].where(candidates["extracted"])).groupby(
        ["unseen", "is_code", high]
    )
    counts = kinds.agg(n=("extracted", "size"), extracted=("extracted", "sum"))
    return counts.assign(clusters=kinds["own"].nunique()).reset_index()


def copy_natural(study: Path, target: Path) -> None:
    """Copy the tables of a study on natural text, and count its windows."""
    for name in NATURAL:
        shutil.copyfile(study / "tables" / f"{name}.csv", target / f"{name}.csv")
    columns = ["sequence_id", "unseen", "is_code", "half_overlap", "extracted"]
    (candidates,) = study.glob("*/candidates.parquet")
    clusters = pd.read_parquet(candidates.with_name("clusters.parquet"))
    rows = pd.read_parquet(candidates, columns=columns).merge(clusters, on="sequence_id")
    windows(rows).to_csv(target / "windows.csv", index=False)


COPIED = {
    "classes": (copy_classes,),
    "mechanisms": (copy_mechanisms,),
    "smollm2": (copy_natural,),
    "gemma3-270m": (copy_natural,),
}
"""What is copied of a study; of others, the tables of crossed pairs."""


def main(study: Path) -> None:
    """Copy the tables of the finished study in folder `study`."""
    name = study.resolve().name
    target = HERE / name
    target.mkdir(exist_ok=True)
    for copy in COPIED.get(name, (copy_crossed,)):
        copy(study, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
