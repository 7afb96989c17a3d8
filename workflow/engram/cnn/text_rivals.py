"""What the text alone gives away, next to every score, and what attention adds to it.

Any classifier that sees the text knows its kind, its overlap, its repetitions. So each taxonomy is
also predicted from one bit (`text_kind`: template or natural text, where the source says which) and
from a few scalars of the text that the samples show (`text_scalars`). `text` joins these with the
CNNs on token identity, and `text_and_attention` adds the CNNs on attention: the difference of the
two is what attention adds to the text. Both are logistic regressions fitted on the validation
split, whose samples no CNN learned from; a protocol without one has neither."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from scipy.special import log_softmax

from engram.cnn.dataset import Dataset
from engram.cnn.key import CnnKey
from engram.cnn.probes import choose_strength, fit_probes
from engram.cnn.training import TrainedCnn, measure
from engram.windows.shown_text import TEXT_MEASURES, text_measures

KIND, SCALARS, TEXT, FUSED = "text_kind", "text_scalars", "text", "text_and_attention"
NATURAL = "natural"
"""The kind of text that is no template."""


def text_features(
    tokens: np.ndarray, prefix: int, kinds: pd.Series | None
) -> dict[str, dict[str, np.ndarray]]:
    """Return what the rivals see, in the form of `engram.cnn.dataset.Dataset.features`.

    Args:
        tokens: the text shown, (n, T), without the model's opening.
        prefix: tokens of the prompt.
        kinds: kind of text of every sample, `natural` or a template family; None where the source
            does not say.

    Returns:
        `text_scalars`: `engram.windows.shown_text.TEXT_MEASURES`, their squares and products;
        `text_kind`: whether the text is natural, where both kinds occur.
    """
    measures = text_measures(tokens, prefix)
    scalars = np.stack([measures[name] for name in TEXT_MEASURES], axis=1)  # (n, 4)
    first, second = np.triu_indices(scalars.shape[1])
    products = scalars[:, first] * scalars[:, second]
    features = {SCALARS: {"logistic": np.concatenate([scalars, products], axis=1)}}
    if kinds is not None:
        natural = (kinds == NATURAL).to_numpy(float)
        if 0 < natural.mean() < 1:
            features[KIND] = {"logistic": natural[:, None]}
    return features


def fit_text_rivals(
    dataset: Dataset, selection: str, trained: Mapping[CnnKey, TrainedCnn]
) -> dict[CnnKey, TrainedCnn]:
    """Fit the rivals of the text alone, and the text together with attention.

    Args:
        dataset: samples with `text_features`; without them nothing is fitted.
        selection: see `engram.cnn.grid.train_grid`.
        trained: the CNNs.
    """
    rivals: dict[CnnKey, TrainedCnn] = {}
    for name in (KIND, SCALARS):
        if name in dataset.features:
            rivals |= fit_probes(dataset, name, selection)
    if rivals and selection == "best_epoch":
        rivals |= _joined(dataset, trained)
    return rivals


def _joined(dataset: Dataset, trained: Mapping[CnnKey, TrainedCnn]) -> dict[CnnKey, TrainedCnn]:
    """Return `text`, and `text_and_attention` for every CNN on attention."""
    sound = {key: cnn for key, cnn in trained.items() if key.labels == "real" and not cnn.diverged}
    identity = [
        _chances(cnn, dataset) for key, cnn in sound.items() if key.input == "token_identity"
    ]
    parts = [
        dataset.features[name]["logistic"] for name in (KIND, SCALARS) if name in dataset.features
    ]
    text = np.concatenate([*parts, *([np.mean(identity, axis=0)] if identity else [])], axis=1)
    joined = {CnnKey(TEXT, "real", "logistic", 0): _fitted(dataset, text)}
    for key, cnn in sound.items():
        if key.input == "attention":
            both = np.concatenate([text, _chances(cnn, dataset)], axis=1)
            joined[CnnKey(FUSED, "real", key.cnn, key.seed)] = _fitted(dataset, both)
    return joined


def _chances(cnn: TrainedCnn, dataset: Dataset) -> np.ndarray:
    """Return the log-probabilities that a CNN gives the classes of every sample, (n, K); 0 where it
    predicts nothing.
    """
    chances = np.zeros((len(dataset), cnn.logits.shape[1]))
    chances[cnn.row] = log_softmax(cnn.logits.astype(np.float64), axis=1)
    return chances


def _fitted(dataset: Dataset, features: np.ndarray) -> TrainedCnn:
    """Return a regression on features (n, F) of all samples, fitted on the validation split."""
    label, classes = dataset.label.astype(np.int64), len(dataset.classes)
    fitted, none = dataset.rows("validation"), np.empty(0, np.int64)
    choice = choose_strength(features, label, classes, fitted, none)
    rows = np.concatenate([fitted, dataset.rows("test")])
    logits = choice.probe.logits(features[rows])
    measured = measure(logits[: len(fitted)], torch.from_numpy(label[fitted]))
    return TrainedCnn(
        {name: torch.from_numpy(value) for name, value in vars(choice.probe).items()},
        [{"epoch": 0, "split": "validation", **measured, "selected": True}],
        rows,
        np.zeros(len(rows), np.int64),
        logits,
    )
