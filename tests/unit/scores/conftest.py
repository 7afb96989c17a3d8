"""Predictions of two models and two taxonomies, one of which has an alias."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_predictions
from scored_taxonomies import NAMES, read

from engram.scores.trained import Trained
from engram.taxonomy.partitions import Named, merge_equal
from engram.taxonomy.taxonomy import Taxonomy


@pytest.fixture(scope="session")
def names() -> list[Named]:
    return merge_equal(map(Taxonomy.parse, NAMES))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("study")
    paths = []
    for model, shift in (("pythia-12b-deduped-v0", 0), ("other", 7)):
        for name, accuracy in zip(NAMES[:2], (0.8, 0.6), strict=True):
            classes, slug = name.split(", "), Taxonomy.parse(name).slug
            frames = [
                tiny_predictions.predictions(accuracy, classes=classes, seed=shift),
                tiny_predictions.predictions(
                    1 / 3, classes=classes, seed=shift, run=("attention", "shuffled")
                ),
                tiny_predictions.predictions(
                    0.7,
                    classes=classes,
                    seed=shift,
                    cnns=["k6-f10"],
                    seeds=[0],
                    run=("token_identity", "real"),
                ),
            ]
            paths.append(tiny_predictions.write(frames, root, name, slug, model=model))
    return paths


@pytest.fixture(scope="session")
def trained(files: list[Path]) -> list[Trained]:
    candidates = {"Non-Memo": 800, "Guess": 50, "Others": 150, "Recite[5]": 100}
    return [read(path, candidates) for path in files]
