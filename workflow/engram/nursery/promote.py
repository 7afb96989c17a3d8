"""Makes results the nursery that ships: the only way that resources/nursery/ changes."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.io.artifacts import read_parquet, write_csv, write_json
from engram.io.errors import EngramError
from engram.io.shipped import ROOT
from engram.lm.generation import teacher_forced_scores
from engram.lm.models import load_model
from engram.nursery.shipped import BASE, DRILLED, EXPOSURES

BASE_FILES = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "windows.parquet",
    "replay.parquet",
    "training.csv",
    "base.json",
)
PROVENANCE = "drilled.json"
"""In the folder of the drilled model: study, drilling, and what rounding the weights changed."""


@dataclass(frozen=True)
class Rounding:
    """What storing the weights in float16 changes; both are run in float32."""

    windows: int
    """Windows that were compared: all that ship."""
    extracted: int
    """Windows whose suffix is extracted with the weights as they were trained, in float32."""
    extracted_rounded: int
    """Windows whose suffix is extracted with the weights rounded to float16."""
    differ: int
    """Windows that one of them extracts and the other does not."""
    largest_log_prob_difference: float
    """Largest difference of the suffix's mean log-probability, nats per token."""


def promote_base(trained: Path, root: Path = ROOT) -> Path:
    """Make a base that `snakemake nursery_base` trained one that ships: the first, or the one of
    its name.

    Args:
        trained: `results/nursery_base`, or the folder of a named base in it.
        root: the checkout.

    Returns:
        the folder that was written.

    Raises:
        EngramError: a file is missing.
    """
    if missing := [name for name in BASE_FILES if not (trained / name).is_file()]:
        raise EngramError(
            f"{trained}: {', '.join(missing)} missing; run `snakemake nursery_base` first"
        )
    described = json.loads((trained / "base.json").read_text(encoding="utf-8"))
    target = root / BASE / described["settings"].get("name", "")
    target.mkdir(parents=True, exist_ok=True)
    for name in BASE_FILES:
        shutil.copyfile(trained / name, target / name)
    return target


def promote_drilled(results: Path, root: Path = ROOT) -> Rounding:
    """Make the model that a study drilled the shipped one, its weights rounded to float16.

    The same study gives the same bytes.

    Args:
        results: `results/<study>/<model>` of a finished study, whose model was drilled from the
            base that ships.
        root: the checkout.

    Raises:
        EngramError: a file is missing, or the model has the tokenizer or windows of another base.
    """
    needed = ("model/model.safetensors", "model/config.json", "model/tokenizer.json")
    for path in (*(results / name for name in (*needed, "drilled.parquet")), _run_file(results)):
        if not path.is_file():
            raise EngramError(f"{path}: no such file; give results/<study>/<model> of a nursery")
    base, target = root / BASE, root / DRILLED
    tokenizer = results / "model" / "tokenizer.json"
    if tokenizer.read_bytes() != (base / "tokenizer.json").read_bytes():
        raise EngramError(f"{tokenizer}: not that of {base}; promote the base that was drilled")
    windows, drilled = read_parquet(base / "windows.parquet"), read_parquet(_drilled(results))
    tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)  # (n, T)
    shown = _exposures(windows, drilled, _drilled(results))
    entry = _entry(results)
    trained = load_model(results / "model", dtype="float32", device="cpu")
    prefix = entry["prefix"]
    before = teacher_forced_scores(trained, tokens, prefix)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as folder:
        trained.half().save_pretrained(folder)
        for name in ("config.json", "model.safetensors"):
            (Path(folder) / name).chmod(0o644)
            (Path(folder) / name).replace(target / name)
    after = teacher_forced_scores(load_model(target, dtype="float32", device="cpu"), tokens, prefix)
    write_csv(shown, target / EXPOSURES)
    rounding = Rounding(
        windows=len(windows),
        extracted=int(before["extracted"].sum()),
        extracted_rounded=int(after["extracted"].sum()),
        differ=int((before["extracted"] != after["extracted"]).sum()),
        largest_log_prob_difference=round(
            float((before["suffix_log_prob"] - after["suffix_log_prob"]).abs().max()), 4
        ),
    )
    write_json({**entry, "rounding": asdict(rounding)}, target / PROVENANCE)
    return rounding


def _drilled(results: Path) -> Path:
    return results / "drilled.parquet"


def _run_file(results: Path) -> Path:
    return results.parent / "run.json"


def _exposures(windows: pd.DataFrame, drilled: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return sequence_id, exposures and sequence_duplicates of the windows that have either."""
    shown = drilled.set_index("sequence_id")
    known = windows.set_index("sequence_id")["tokens"]
    if unknown := set(shown.index) - set(known.index):
        raise EngramError(f"{path}: window {min(unknown)} is not one of the base's that ships")
    if any(list(known[row]) != list(shown["tokens"][row]) for row in shown.index[:100]):
        raise EngramError(f"{path}: its windows are not those of the base that ships")
    counts = shown[["exposures", "sequence_duplicates"]]
    return counts[counts.any(axis=1)].sort_index().reset_index()


def _entry(results: Path) -> dict[str, Any]:
    """Return the study's name, seed and window and the model's drilling, from run.json."""
    config = json.loads(_run_file(results).read_text(encoding="utf-8"))["config"]
    models = {model["name"]: model for model in config["models"]}
    if results.name not in models:
        raise EngramError(f"{results}: {_run_file(results)} has no such model")
    model = models[results.name]
    return {
        "study": config["study"],
        "seed": model["seed"],
        "prefix": config["prefix"],
        "suffix": config["suffix"],
        "drilling": model["drilling"],
    }
