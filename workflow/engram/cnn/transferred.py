"""Classifiers of one model on the samples of another one.

CNNs are taken as they were trained. Maps must have as many tokens as theirs; where the models have
different numbers of layers, the maps are resampled over relative depth, by linear interpolation
between neighbouring layers. The regressions on text are fitted again on the samples of the model
that the CNNs come from, as `engram.cnn.text_rivals` fits them. What depends on the model's own
coordinates or on further passes (hidden states, permuted weights, scalars of the labels) is not
transferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN, token_identity
from engram.cnn.probes import choose_strength
from engram.cnn.text_rivals import FUSED, KIND, SCALARS, TEXT
from engram.cnn.training import predict
from engram.io.errors import EngramError
from engram.io.spans import Spans

ATTENTION, IDENTITY = "attention", "token_identity"
SINGLE_DEPTH = 0.5
"""Relative depth of the layer of a model that has one."""
_BLOCK = 256
"""Samples that are resampled at a time."""


@dataclass(frozen=True)
class Samples:
    """Samples of one taxonomy and model, without their attention."""

    sequence_id: np.ndarray
    """int64 (n,)."""
    label: np.ndarray
    """Index of the class, int (n,)."""
    split: np.ndarray
    """train, validation or test, str (n,)."""
    features: Mapping[str, np.ndarray]
    """What the regressions on text see, (n, F) each; see `engram.cnn.text_rivals.text_features`."""

    def of_split(self, split: str) -> np.ndarray:
        """Return the positions of a split's samples."""
        return np.flatnonzero(self.split == split)

    def rows(self, chosen: np.ndarray) -> Samples:
        """Return some of the samples, bool (n,)."""
        features = {name: values[chosen] for name, values in self.features.items()}
        return Samples(self.sequence_id[chosen], self.label[chosen], self.split[chosen], features)


@dataclass(frozen=True)
class Texts:
    """Samples with their texts, and what says whether a classifier has seen them."""

    samples: Samples
    tokens: np.ndarray
    """Shown, without the model's opening, (n, T)."""
    keys: np.ndarray
    """Numbers of the true suffix, of the suffix shown and of the text of the window, int64 (n, 3):
    equal where these are equal, whatever the model."""

    def rows(self, chosen: np.ndarray) -> Texts:
        """Return some of the samples, bool (n,)."""
        return Texts(self.samples.rows(chosen), self.tokens[chosen], self.keys[chosen])


@dataclass(frozen=True)
class Maps:
    """What the CNNs are shown of n samples of the tested model."""

    mean: np.ndarray
    """Attention averaged over heads, packed, (n, L, P)."""
    max: np.ndarray
    """The largest attention of any head, packed, (n, L, P)."""
    tokens: np.ndarray
    """What the model read, its opening included, (n, T)."""
    spans: Spans | None = None
    """The tokens of every row of a map; None: one each."""

    @property
    def side(self) -> int:
        """Rows of a map."""
        return self.tokens.shape[1] if self.spans is None else self.spans.rows

    def rows(self, chosen: np.ndarray) -> Maps:
        """Return those of some samples, bool (n,)."""
        return Maps(self.mean[chosen], self.max[chosen], self.tokens[chosen], self.spans)


def unseen(tested: Texts, trained: Texts) -> np.ndarray:
    """Return which samples hold neither a suffix nor a text of the training and validation splits
    that classifiers come from, bool (n,).

    Args:
        tested: n samples.
        trained: of the model whose classifiers these are.
    """
    known = trained.keys[trained.samples.split != "test"]
    suffixes = np.isin(tested.keys[:, :2], known[:, :2]).any(axis=1)
    return ~(suffixes | np.isin(tested.keys[:, 2], known[:, 2]))


def relative_depth(layers: int) -> np.ndarray:
    """Return where the layers of a model lie between its first (0) and its last one (1), (L,)."""
    return np.linspace(0, 1, layers) if layers > 1 else np.array([SINGLE_DEPTH])


def resample_layers(maps: np.ndarray, layers: int) -> np.ndarray:
    """Return maps for a model of another number of layers, float32 (n, layers, P).

    A layer of the result is the linear interpolation, at its relative depth, of the two layers
    around it. Rows of mean attention still sum to 1. With the same number of layers, the maps
    themselves.

    Args:
        maps: (n, L, P).
        layers: of the result.
    """
    own = maps.shape[1]
    if own == layers:
        return maps.astype(np.float32, copy=False)
    place = relative_depth(layers) * (own - 1)  # in layers of the maps
    below = np.minimum(place.astype(int), max(own - 2, 0))
    share = (place - below).astype(np.float32)[:, None]  # (layers, 1)
    above = np.minimum(below + 1, own - 1)
    low, high = (maps[:, chosen].astype(np.float32) for chosen in (below, above))
    return low + share * (high - low)


def require_tokens(trained: int, tested: int, model: str) -> None:
    """Refuse maps of another number of tokens.

    Args:
        trained: T of the CNNs.
        tested: T of the maps.
        model: that the CNNs were trained on.

    Raises:
        EngramError: the numbers differ.
    """
    if trained != tested:
        raise EngramError(
            f"transfer.models: the CNNs of {model} see {trained} tokens, these maps have {tested}; "
            f"give both models the same `bos`"
        )


def cnn_logits(
    cnns: Mapping[CnnKey, AttentionCNN], maps: Maps, precision: str = "float32"
) -> dict[CnnKey, np.ndarray]:
    """Return the logits of CNNs on the maps of another model, float32 (n, K) each.

    Args:
        cnns: of one model; those on other inputs than attention and token identity are left out.
        maps: of the other model.
        precision: `float32` or `bfloat16`.

    Raises:
        EngramError: as `require_tokens`.
    """
    chosen = {key: cnn for key, cnn in cnns.items() if key.input in (ATTENTION, IDENTITY)}
    for key, cnn in chosen.items():
        require_tokens(cnn.tokens, maps.side, key.path)
    logits: dict[CnnKey, list[np.ndarray]] = {key: [] for key in chosen}
    for start in range(0, len(maps.tokens), _BLOCK):
        part = slice(start, start + _BLOCK)
        shown: dict[tuple[str, int], np.ndarray] = {}
        for key, cnn in chosen.items():
            name = (IDENTITY if key.input == IDENTITY else cnn.head_pooling, cnn.layers)
            if name not in shown:
                shown[name] = (
                    token_identity(maps.tokens[part], maps.spans)[:, None]
                    if key.input == IDENTITY
                    else resample_layers(getattr(maps, cnn.head_pooling)[part], cnn.layers)
                )
            rows = np.arange(len(shown[name]))
            logits[key].append(predict(cnn, shown[name], rows, precision))
    classes = next(iter(chosen.values())).classes if chosen else 0
    none = np.empty((0, classes), np.float32)
    return {key: np.concatenate([none, *parts]) for key, parts in logits.items()}


def stored_logits(predictions: pd.DataFrame, sequence_id: np.ndarray) -> dict[CnnKey, np.ndarray]:
    """Return what CNNs on attention and token identity said of the samples of their own model,
    float32 (n, K) each.

    Args:
        predictions: the table `predictions.parquet`.
        sequence_id: of n samples, in the order wanted.
    """
    shown = predictions[predictions["input"].isin((ATTENTION, IDENTITY))]
    return {
        CnnKey(str(source), str(labels), str(cnn), int(str(seed))): np.stack(
            part.set_index("sequence_id")["logits"].loc[sequence_id].tolist()
        )
        for (source, labels, cnn, seed), part in shown.groupby(
            ["input", "labels", "cnn", "seed"], sort=False
        )
    }


def text_logits(
    trained: Samples,
    trained_logits: Mapping[CnnKey, np.ndarray],
    tested: Samples,
    tested_logits: Mapping[CnnKey, np.ndarray],
    classes: int,
) -> dict[CnnKey, np.ndarray]:
    """Return the logits of regressions on text, and on text and attention, float32 (n, K) each.

    They are fitted on the samples of the model that the CNNs were trained on: those on text alone
    on its training split, those that see a CNN's predictions on its validation split.

    Args:
        trained: samples of that model.
        trained_logits: of its CNNs on these samples, (m, K).
        tested: samples of the other model; features that only one model has are left out.
        tested_logits: of the same CNNs on those, (n, K).
        classes: K.
    """
    names = [n for n in (KIND, SCALARS) if n in trained.features and n in tested.features]
    train, validation = trained.of_split("train"), trained.of_split("validation")
    none = np.empty(0, np.int64)
    sides = ((trained, trained_logits), (tested, tested_logits))
    real = [key for key in tested_logits if key in trained_logits and key.labels == "real"]
    identity = [key for key in real if key.input == IDENTITY]

    def fitted(
        features: tuple[np.ndarray, ...], rows: np.ndarray, judged: np.ndarray
    ) -> np.ndarray:
        own, other = features
        return choose_strength(own, trained.label, classes, rows, judged).probe.logits(other)

    logits = {
        CnnKey(name, "real", "logistic", 0): fitted(
            (trained.features[name], tested.features[name]), train, validation
        )
        for name in names
    }
    if not names:
        return logits
    text = tuple(
        np.concatenate([side.features[name] for name in names] + _mean_chances(of, identity), 1)
        for side, of in sides
    )
    logits[CnnKey(TEXT, "real", "logistic", 0)] = fitted(text, validation, none)
    for key in real:
        if key.input == ATTENTION:
            both = tuple(
                np.concatenate([known, _chances(of[key])], axis=1)
                for known, (_, of) in zip(text, sides, strict=True)
            )
            logits[CnnKey(FUSED, "real", key.cnn, key.seed)] = fitted(both, validation, none)
    return logits


def prediction_rows(
    samples: pd.DataFrame, logits: Mapping[CnnKey, np.ndarray], trained_on: str
) -> pd.DataFrame:
    """Return predictions as a table: trained_on and the columns of `predictions.parquet` without
    `epoch`, a row per classifier and sample.

    Args:
        samples: sequence_id, content_group, split, class of n samples.
        logits: (n, K) each.
        trained_on: name of the model.
    """
    return pd.concat(
        [
            samples.assign(**vars(key), logits=list(values), trained_on=trained_on)
            for key, values in logits.items()
        ],
        ignore_index=True,
    )


def _chances(logits: np.ndarray) -> np.ndarray:
    return log_softmax(logits.astype(np.float64), axis=1)


def _mean_chances(logits: Mapping[CnnKey, np.ndarray], keys: list[CnnKey]) -> list[np.ndarray]:
    """Return the mean log-probabilities of some CNNs, as a list of one; none of none."""
    return [np.mean([_chances(logits[key]) for key in keys], axis=0)] if keys else []
