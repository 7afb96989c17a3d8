"""Controls that can fail: a cheap classifier on labels that were permuted a thousand times.

CNNs on shuffled labels often predict one class whatever they see, and a few of them say little of
what chance gives. A linear classifier is fitted within milliseconds, so that its score on the real
labels can be compared with the whole distribution under permuted ones; also under labels permuted
among samples of one kind of text alone, where all that the kind gives away remains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve

from engram.cnn.dataset import Dataset
from engram.cnn.text_rivals import SCALARS

PERMUTATIONS = 1_000
"""Permuted labellings per input."""
STRENGTHS = (0.01, 0.1, 1.0)
"""Ridge penalties, of which the validation split chooses for every labelling."""
MOST_SAMPLES = 1_000
"""Most samples of a class; the others of a large study change nothing here."""
_BLOCK = 256


def permutation_table(
    dataset: Dataset, kinds: pd.Series | None, seed: int, permutations: int = PERMUTATIONS
) -> pd.DataFrame:
    """Tabulate what a linear classifier scores on the real labels and on permuted ones.

    The classifier is a ridge regression on the classes; the labels of train and of validation are
    permuted within each split, and all labellings are scored on the real labels of the test split.
    One sample of each text takes part.

    Args:
        dataset: samples of one taxonomy, with `engram.cnn.text_rivals.text_features`.
        kinds: kind of text of every sample; None where the source does not say.
        seed: of the permutations.
        permutations: R.

    Returns:
        input (`attention_mean`, `attention_max`, `random_weights`, `token_identity`,
        `text_scalars`, as far as the data set has them), permuted (`all`, or `within kind`, where
        several kinds occur), accuracy (balanced, on the real labels), null_mean and null_95 (mean
        and 95 % quantile under permuted labels), p, n (test samples), train, permutations.
    """
    first = ~pd.Series(dataset.content_group).duplicated().to_numpy()
    rows = {
        split: dataset.rows(split)[first[dataset.rows(split)]]
        for split in ("train", "validation", "test")
    }
    if not len(rows["validation"]):
        rows["validation"] = rows["train"][::5]
        rows["train"] = np.delete(rows["train"], np.s_[::5])
    used = np.concatenate(list(rows.values()))
    sizes = [len(rows[split]) for split in rows]
    train, validation, test = np.split(np.arange(len(used)), np.cumsum(sizes)[:2])
    label = dataset.label[used]
    blocks: dict[str, np.ndarray] = {"all": np.zeros(len(used), np.int64)}
    if kinds is not None:
        blocks["within kind"] = pd.factorize(kinds.to_numpy()[used])[0]
    table: list[dict[str, object]] = []
    grams = {name: _gram(layers, len(used), train) for name, layers in _inputs(dataset, used)}
    for permuted, block in blocks.items():
        if permuted != "all" and len(np.unique(block)) < 2:
            continue
        labellings = _labellings(label, block, (train, validation), seed, permutations)
        for name, gram in grams.items():
            scores = _scores(
                gram, labellings, label, len(dataset.classes), train, validation, test
            )  # (1 + R,)
            null = scores[1:]
            table.append(
                {
                    "input": name,
                    "permuted": permuted,
                    "accuracy": scores[0],
                    "null_mean": null.mean(),
                    "null_95": np.quantile(null, 0.95),
                    "p": (1 + (null >= scores[0] - 1e-12).sum()) / (1 + permutations),
                    "n": len(test),
                    "train": len(train),
                    "permutations": permutations,
                }
            )
    return pd.DataFrame(table)


def _inputs(dataset: Dataset, used: np.ndarray) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """Yield the inputs by name, each as its layers (n, F)."""
    maps = [("attention_mean", "attention", "mean"), ("attention_max", "attention", "max")]
    if dataset.random_mean is not None:
        maps.append(("random_weights", "random_weights", "mean"))
    maps.append(("token_identity", "token_identity", "none"))
    for name, source, pooling in maps:
        values = dataset.maps(source, pooling)
        yield name, (_rows(values, used, layer) for layer in range(values.shape[1]))
    if SCALARS in dataset.features:
        scalars = dataset.features[SCALARS]["logistic"][used]
        spread = scalars.std(axis=0)
        yield SCALARS, iter([scalars / np.where(spread > 0, spread, 1)])


def _rows(maps: np.ndarray, used: np.ndarray, layer: int) -> np.ndarray:
    """Return one layer of some samples, float32 (n, P), a block at a time."""
    parts = [maps[used[start : start + _BLOCK]][:, layer] for start in range(0, len(used), _BLOCK)]
    return np.concatenate(parts).astype(np.float32)


def _gram(layers: Iterator[np.ndarray], n: int, train: np.ndarray) -> np.ndarray:
    """Return the products of all pairs of samples, (n, n), every layer centred on the training
    samples and counting alike.
    """
    gram = np.zeros((n, n))
    for values in layers:
        centred = values - values[train].mean(axis=0)
        product = (centred @ centred.T).astype(np.float64)
        scale = np.diag(product)[train].mean()
        gram += product / (scale if scale > 0 else 1)
    return gram


def _labellings(
    label: np.ndarray,
    block: np.ndarray,
    splits: tuple[np.ndarray, np.ndarray],
    seed: int,
    permutations: int,
) -> np.ndarray:
    """Return the real labels and permuted ones, int (1 + R, n): within each split and block."""
    generator = np.random.default_rng(seed)
    labellings = np.tile(label, (1 + permutations, 1))
    for rows in splits:
        for name in np.unique(block[rows]):
            own = rows[block[rows] == name]
            labellings[1:, own] = generator.permuted(labellings[1:, own], axis=1)
    return labellings


def _scores(
    gram: np.ndarray,
    labellings: np.ndarray,
    label: np.ndarray,
    classes: int,
    train: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
) -> np.ndarray:
    """Return the balanced accuracy on the test split after training on each labelling, (1 + R,)."""
    one_hot = np.eye(classes)[labellings[:, train]]  # (1 + R, n, K)
    target = one_hot - one_hot.mean(axis=1, keepdims=True)
    flat = target.transpose(1, 0, 2).reshape(len(train), -1)  # (n, (1 + R)·K)
    judged: list[np.ndarray] = []
    scored: list[np.ndarray] = []
    for strength in STRENGTHS:
        own = gram[np.ix_(train, train)] + strength * len(train) * np.eye(len(train))
        weights = cho_solve(cho_factor(own), flat)
        for rows, true, results in (
            (validation, labellings[:, validation], judged),
            (test, np.broadcast_to(label[test], (len(labellings), len(test))), scored),
        ):
            values = (gram[np.ix_(rows, train)] @ weights).reshape(len(rows), len(labellings), -1)
            results.append(_balanced(values.argmax(axis=2).T, true, classes))
    best = np.argmax(judged, axis=0)  # (1 + R,)
    return np.stack(scored)[best, np.arange(len(labellings))]


def _balanced(predicted: np.ndarray, true: np.ndarray, classes: int) -> np.ndarray:
    """Return the mean recall over the classes that occur, (R,), of labels (R, n)."""
    hit, recalls = predicted == true, []
    for k in range(classes):
        own = true == k
        count = own.sum(axis=1)
        recalls.append(np.where(count > 0, (hit & own).sum(axis=1) / np.maximum(count, 1), np.nan))
    return np.nanmean(recalls, axis=0)
