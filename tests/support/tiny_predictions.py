"""Predictions as a trained grid leaves them, drawn from known confusion rates: fast, and the truth
is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import write_parquet

CLASSES = ("Non-Memo", "Guess", "Others")


def predictions(
    accuracy: float = 0.7,
    *,
    classes: Sequence[str] = CLASSES,
    per_class: int = 40,
    cnns: Sequence[str] = ("k6-f10-mean", "k8-f10-max"),
    seeds: Sequence[int] = (0, 1),
    run: tuple[str, str] = ("attention", "real"),
    difficulty: float = 0.5,
    seed: int = 0,
    first_group: int = 0,
) -> pd.DataFrame:
    """Test predictions of CNNs that name the right class about as often as `accuracy`; pairs of
    samples share a content group.

    `difficulty`: share of a sample's noise that all CNNs have in common.
    """
    random = np.random.default_rng(seed)
    k, n = len(classes), per_class * len(classes)
    label = np.arange(n) % k
    shared = random.normal(size=(n, k))
    frames = []
    for cnn in cnns:
        for number in seeds:
            noise = np.sqrt(difficulty) * shared + np.sqrt(1 - difficulty) * random.normal(
                size=(n, k)
            )
            logits = noise + 4 * (accuracy - 1 / k) * np.eye(k)[label]
            frames.append(
                pd.DataFrame(
                    {
                        "sequence_id": first_group * 2 + np.arange(n),
                        "content_group": first_group + np.arange(n) // k // 2 * k + label,
                        "split": "test",
                        "class": np.array(classes, dtype=object)[label],
                        "input": run[0],
                        "labels": run[1],
                        "cnn": cnn,
                        "seed": number,
                        "epoch": 3,
                        "logits": list(logits.astype(np.float32)),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def write(
    frames: Sequence[pd.DataFrame],
    root: Path,
    taxonomy: str,
    slug: str,
    *,
    model: str = "m",
    protocol: str = "engram",
    diverged: Sequence[str] = (),
) -> Path:
    """The frames as predictions.parquet where a study has them; `diverged`: keys of CNNs that
    predict nothing.
    """
    path = root / model / protocol / "cnns" / slug / "predictions.parquet"
    frame = pd.concat(frames, ignore_index=True)
    write_parquet(
        frame,
        path,
        {"classes": taxonomy.split(", "), "taxonomy": taxonomy, "diverged": list(diverged)},
    )
    return path
