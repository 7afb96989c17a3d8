"""What storing means in half precision changes, and what compression would save, on the attention
of a finished study.

    python perf/storage.py results/classes/nursery --taxonomy non-memo_guess_others

Precision: the study's CNNs of mean pooling see the test samples of the taxonomy twice, in float32
as stored and rounded to float16. The table gives the largest difference of a logit, the predictions
that differ, macro F1 of both, and how far a cell of Δ (guided) moves as a share of the largest cell
of its class. Training on rounded maps is another question: it differs as two seeds do.

Compression: the same rows in HDF5 with one row a chunk, by gzip at its fastest level and lzf, both
after byte shuffling, against the plain layout: share of the bytes, and the time of reading a row
from the page cache, in one thread.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import torch

from engram.cnn.assembly import usable_samples
from engram.cnn.checkpoints import load_cnns, read_header
from engram.cnn.training import predict
from engram.io.artifacts import read_parquet
from engram.saliency.delta import delta
from engram.scores.metrics import class_scores, confusion_matrix
from engram.store.index import AttentionStore

FILTERS = {
    "plain": {},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "lzf": {"compression": "lzf", "shuffle": True},
}


def compare_precision(
    checkpoints: Path, mean: np.ndarray, maximum: np.ndarray, label: np.ndarray, classes: list[str]
) -> None:
    """Prints what rounding the means changes for each CNN of mean pooling."""
    rounded, rows = mean.astype(np.float16), np.arange(len(label))
    print(
        f"{'CNN':<16}{'n':>5}{'logit':>10}{'predictions':>13}{'F1 float32':>12}{'F1 float16':>12}"
        f"{'cell of Δ':>11}{'mean cell':>11}"
    )
    for key, cnn in load_cnns(checkpoints).items():
        if (key.input, key.labels, cnn.head_pooling) != ("attention", "real", "mean"):
            continue
        logits = [predict(cnn, maps, rows) for maps in (mean, rounded)]
        answers = [part.argmax(1) for part in logits]
        f1 = [
            class_scores(confusion_matrix(label, answer, len(classes)))["mean_f1"]
            for answer in answers
        ]
        moved = []
        for target in range(len(classes)):
            mine = label == target
            exact, near = (
                delta(cnn, maps[mine], maximum[mine], target, ["guided"])["guided"].map
                for maps in (mean, rounded)
            )
            moved.append(np.abs(exact - near) / max(exact.max(), 1e-12))
        print(
            f"{key.cnn + '/' + str(key.seed):<16}{len(label):>5}"
            f"{np.abs(logits[0] - logits[1]).max():>10.1e}"
            f"{(answers[0] != answers[1]).sum():>13}{f1[0]:>12.4f}{f1[1]:>12.4f}"
            f"{np.max(moved):>11.1e}{np.mean(moved):>11.1e}"
        )


def compare_compression(arrays: dict[str, np.ndarray], rounds: int = 3) -> None:
    """Prints size and reading time by filter."""
    print(
        f"\n{'maps':<14}{'kB a row':>9}" + "".join(f"{name:>8}{'ms a row':>10}" for name in FILTERS)
    )
    for name, rows in arrays.items():
        cells = ""
        for options in FILTERS.values():
            with TemporaryDirectory() as folder:
                path = Path(folder, "rows.h5")
                with h5py.File(path, "w") as file:
                    file.create_dataset(
                        "rows",
                        data=rows,
                        chunks=(1, *rows.shape[1:]) if options else None,
                        **options,
                    )
                    file.flush()
                    stored = file["rows"].id.get_storage_size()
                seconds = []
                for _ in range(rounds):
                    start = time.perf_counter()
                    with h5py.File(path) as file:
                        for row in range(len(rows)):
                            file["rows"][row]
                    seconds.append(time.perf_counter() - start)
            cells += f"{100 * stored / rows.nbytes:>7.0f}%{1e3 * min(seconds) / len(rows):>10.3f}"
        print(f"{name:<14}{rows[0].nbytes / 1e3:>9.1f}{cells}")


def main() -> None:
    """Runs both comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a model's folder of results")
    parser.add_argument(
        "--taxonomy", default="non-memo_guess_others", help="as in the names of files"
    )
    parser.add_argument("--protocol", default="engram")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    attention, study = arguments.model / "attention", arguments.model / arguments.protocol
    store = AttentionStore(attention / "index.parquet")
    verification = read_parquet(attention / "verification.parquet")
    samples = usable_samples(
        read_parquet(study / "samples" / f"{arguments.taxonomy}.parquet"),
        verification,
        drop_unverified=True,
    )
    test = samples[samples["split"] == "test"]
    checkpoints = study / "cnns" / arguments.taxonomy / "checkpoints.safetensors"
    classes = read_header(checkpoints)["classes"]
    mean, maximum = (store.read(test["sequence_id"], pooling) for pooling in ("mean", "max"))
    label = test["class"].map({name: index for index, name in enumerate(classes)}).to_numpy()
    compare_precision(checkpoints, mean, maximum, label, classes)
    compare_compression(
        {"max float16": maximum, "mean float32": mean, "mean float16": mean.astype(np.float16)}
    )


if __name__ == "__main__":
    main()
