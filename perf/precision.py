"""What bfloat16 does to the scores: the same CNNs, seeds and batches trained in float32 and in
bfloat16 on a study's attention.

    python perf/precision.py results/classes/nursery [--taxonomy "Non-Memo, Guess, Others"]
    [--seeds 2]

Trains two architectures (kernel 6, 10 features, both poolings) per seed. Prints the F1 of every
class on the test split, how far the two precisions lie apart in it, and how far two seeds do in
float32.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np

from engram.cnn.assembly import assemble, usable_samples
from engram.cnn.dataset import Dataset
from engram.cnn.grid import train_grid
from engram.cnn.key import CnnKey
from engram.cnn.settings import CnnSettings
from engram.cnn.training import TrainedCnn
from engram.io.artifacts import read_metadata, read_parquet
from engram.scores.metrics import confusion_matrix, per_class_scores
from engram.store.index import AttentionStore
from engram.store.memory import Memory
from engram.taxonomy.taxonomy import Taxonomy

PRECISIONS = ("float32", "bfloat16")


def study_dataset(model: Path, slug: str, scratch: Path) -> Dataset:
    """The samples of a taxonomy of a finished study, protocol engram."""
    predictions = model / "engram" / "cnns" / slug / "predictions.parquet"
    verification = read_parquet(model / "attention" / "verification.parquet")
    return assemble(
        usable_samples(
            read_parquet(model / "engram" / "samples" / f"{slug}.parquet"),
            verification,
            drop_unverified=True,
        ),
        read_metadata(predictions)["classes"],
        read_parquet(model / "labels.parquet"),
        read_parquet(model / "candidates.parquet", ["sequence_id", "tokens"]),
        read_parquet(model / "continuations.parquet", ["sequence_id", "tokens"]),
        AttentionStore(model / "attention" / "index.parquet"),
        Memory(8192, scratch),
    )


def test_predictions(data: Dataset, cnn: TrainedCnn) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes on the test split, in the order of the samples."""
    mine = np.flatnonzero(data.split[cnn.row] == "test")
    mine = mine[np.argsort(cnn.row[mine])]
    return data.label[cnn.row[mine]], cnn.logits[mine].argmax(axis=1)


def main() -> None:
    """Trains both and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", type=Path, help="folder of a model in the results of a finished study"
    )
    parser.add_argument("--taxonomy", default="Non-Memo, Guess, Others")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = study_dataset(
            arguments.model, Taxonomy.parse(arguments.taxonomy).slug, Path(scratch)
        )
        classes = len(data.classes)
        f1: dict[tuple[CnnKey, str], np.ndarray] = {}
        named: dict[tuple[CnnKey, str], np.ndarray] = {}
        for precision in PRECISIONS:
            settings = CnnSettings(
                kernels=(6,),
                features=(10,),
                seeds=tuple(range(arguments.seeds)),
                controls=(),
                baselines=(),
                precision=precision,
            )
            for key, cnn in train_grid(data, settings, "best_epoch").trained.items():
                label, named[key, precision] = test_predictions(data, cnn)
                f1[key, precision] = per_class_scores(
                    confusion_matrix(label, named[key, precision], classes)
                )[2]
    print(f"test samples: {len(label)}; F1 by class: {', '.join(data.classes)}")
    for (key, precision), values in f1.items():
        print(
            f"{key.cnn}/{key.seed} {precision:<9} "
            + " ".join(f"{value:.3f}" for value in values)
            + f"  min {values.min():.3f}"
        )
    keys = [key for key, precision in f1 if precision == "float32"]
    shift = np.array([f1[key, "bfloat16"] - f1[key, "float32"] for key in keys])  # (CNNs, K)
    pairs = [(a, b) for a, b in combinations(keys, 2) if a.cnn == b.cnn]
    spread = np.array([f1[a, "float32"] - f1[b, "float32"] for a, b in pairs])
    same = [np.mean(named[key, "bfloat16"] == named[key, "float32"]) for key in keys]
    same_seeds = [np.mean(named[a, "float32"] == named[b, "float32"]) for a, b in pairs]
    least = np.mean([f1[key, "bfloat16"].min() - f1[key, "float32"].min() for key in keys])
    print(
        f"bfloat16 - float32: F1 {shift.mean():+.3f} on average, {np.abs(shift).mean():.3f} apart; "
        f"minimum F1 {least:+.3f} on average"
    )
    print(f"two seeds, float32: F1 {np.abs(spread).mean():.3f} apart")
    print(
        f"test samples named alike: {np.mean(same):.1%} by the two precisions, "
        f"{np.mean(same_seeds):.1%} by two seeds"
    )


if __name__ == "__main__":
    main()
