"""Baselines without a CNN: multinomial logistic regression on scalars of a sequence, and on hidden
states layer by layer.

Features are standardized on the training split. The strength of the penalty and the layer that is
reported are chosen by the loss on the validation split; a protocol without one chooses on every
fifth training sample and then fits all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from engram.cnn.dataset import Dataset
from engram.cnn.key import CnnKey
from engram.cnn.training import TrainedCnn, measure
from engram.taxonomy.sampling import SPLITS

log = logging.getLogger(__name__)

STRENGTHS = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""λ of the penalty λ/2 · Σ w² that is added to the mean loss in nats; standardized features."""
NOT_FEATURES = frozenset(
    {
        "sequence_id",
        "content_group",
        "memorization_score",
        "extracted",
        "matched_fraction",
        "longest_match",
        "sequence_duplicates",
        "exposures",
        "scheduled",
        "twin_extracted",
        "counterpart_exposures",
        "counterpart_extracted",
        "counterpart_matched_fraction",
        "counterpart_suffix_log_prob",
        "unseen",
        "seen_before",
        "repeated",
        "copies",
        "scored",
        "trains",
        "pile",
    }
)
"""Numbers among the labels that identify a sequence, state that it is memorized, are the hidden
truth of the nursery or of a counterpart or follow from it (duplicates: what was shown often is
extracted), say how old or how common a text is, whether it was scored in full, or the split of a
table or of the published data."""
_TOLERANCE = 1e-8
"""Of the gradient of the mean loss."""
_ITERATIONS = 10_000
"""Most iterations of a fit; a few hundred are enough."""
_ABSENT_LOGIT = -30.0
"""Logit of a class that no fitted sample has; those of the others have mean 0."""


@dataclass(frozen=True)
class Probe:
    """A fitted logistic regression."""

    mean: np.ndarray
    """Of every feature over the fitted samples, (F,)."""
    scale: np.ndarray
    """Standard deviation likewise, (F,); 1 where a feature is constant."""
    weight: np.ndarray
    """(K, F), for standardized features."""
    bias: np.ndarray
    """(K,)."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return the logits of features (n, F), float32 (n, K)."""
        return (((features - self.mean) / self.scale) @ self.weight.T + self.bias).astype(
            np.float32
        )


@dataclass(frozen=True)
class ProbeChoice:
    """The probe of one set of features, at the strength with the lowest loss."""

    probe: Probe
    strength: float
    """λ, see `STRENGTHS`."""
    loss: float
    """Mean nats per sample where the strength was chosen."""


def scalar_features(labels: pd.DataFrame, defining: set[str]) -> pd.DataFrame:
    """Return scalars of sequences: perplexities, ROUGE, entropy, coding length, token frequencies,
    flags, as far as the labels have them.

    Frequencies and perplexities, which have long tails, come as log(1 + x). Missing values
    become the column's median. What remains can still be close to a definition: the perplexity of
    the suffix separates most memorized samples from the others, because the model is sure of what
    it has memorized.

    Args:
        labels: the table `labels.parquet`, or some of its rows.
        defining: columns that define the taxonomy's classes. They are left out: a regression on
            them would repeat the definition.

    Returns:
        A float column per feature, finite.
    """
    features = {}
    for name in labels.columns:
        values = labels[name]
        if (
            name in NOT_FEATURES
            or name in defining
            or not (is_numeric_dtype(values) or is_bool_dtype(values))
        ):
            continue
        column = values.to_numpy(np.float64, na_value=np.nan)
        if "perplexity" in name or "frequency" in name:
            column = np.log1p(np.maximum(column, 0))
        column = np.where(np.isfinite(column), column, np.nan)
        if not np.isnan(column).all():
            features[name] = np.where(np.isnan(column), np.nanmedian(column), column)
    return pd.DataFrame(features, index=labels.index)


def fit_logistic(features: np.ndarray, label: np.ndarray, classes: int, strength: float) -> Probe:
    """Fit a multinomial logistic regression in float64; the optimum is unique, so nothing is drawn
    at random.

    A class that no sample has, which happens only where few samples are left to fit, gets no weight
    and a logit far below the others.

    Args:
        features: (n, F).
        label: int (n,), 0 … classes - 1, of two classes at least.
        classes: K.
        strength: λ, see `STRENGTHS`; the bias is not penalized.
    """
    scaler = StandardScaler()
    standard = scaler.fit_transform(np.asarray(features, dtype=np.float64))
    present = np.unique(label)
    # scikit-learn minimizes C · Σ loss + Σ w² / 2. Of two classes it fits the difference v of their
    # weights, v/2 and -v/2, whose penalty is λ/2 · v²/2.
    cost = (2 if len(present) == 2 else 1) / (strength * len(label))
    model = LogisticRegression(C=cost, tol=_TOLERANCE, max_iter=_ITERATIONS)
    model.fit(standard, label)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(present) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight, bias = np.zeros((classes, standard.shape[1])), np.full(classes, _ABSENT_LOGIT)
    weight[present], bias[present] = coefficients, intercepts - intercepts.mean()
    return Probe(scaler.mean_, scaler.scale_, weight, bias)


def choose_strength(
    features: np.ndarray, label: np.ndarray, classes: int, train: np.ndarray, validation: np.ndarray
) -> ProbeChoice:
    """Return the probe at the strength with the lowest loss.

    Args:
        features: of all samples, (n, F).
        label: int (n,).
        classes: K.
        train: rows that the probe is fitted on.
        validation: rows by whose loss the strength is chosen; empty to choose on every fifth
            training row.
    """
    held_out = len(validation) == 0
    fitted, judged = (np.delete(train, np.s_[::5]), train[::5]) if held_out else (train, validation)
    choices = []
    for strength in STRENGTHS:
        probe = fit_logistic(features[fitted], label[fitted], classes, strength)
        loss = mean_loss(probe.logits(features[judged]), label[judged])
        choices.append(ProbeChoice(probe, strength, loss))
    best = min(choices, key=lambda choice: choice.loss)
    if not held_out:
        return best
    probe = fit_logistic(features[train], label[train], classes, best.strength)
    return ProbeChoice(probe, best.strength, best.loss)


def rank_inputs(
    inputs: Mapping[str, np.ndarray],
    label: np.ndarray,
    classes: int,
    train: np.ndarray,
    validation: np.ndarray,
    title: str,
) -> dict[str, ProbeChoice]:
    """Fit a probe on each of several sets of features, such as the layers of hidden states.

    Args:
        inputs: name → features of all samples, (n, F) each.
        label: as in `choose_strength`.
        classes: as in `choose_strength`.
        train: as in `choose_strength`.
        validation: as in `choose_strength`.
        title: what the progress bar and the log call the inputs.

    Returns:
        Name → probe, the one with the lowest loss first.
    """
    chosen = {
        name: choose_strength(features, label, classes, train, validation)
        for name, features in tqdm(inputs.items(), desc=title, mininterval=2)
    }
    ranked = dict(sorted(chosen.items(), key=lambda item: item[1].loss))
    losses = (
        f"{name} {choice.loss:.4f} nats at λ = {choice.strength:g}"
        for name, choice in ranked.items()
    )
    log.info("%s: %s", title, ", ".join(losses))
    return ranked


def mean_loss(logits: np.ndarray, label: np.ndarray) -> float:
    """Return the mean cross-entropy in nats; logits (n, K), label (n,)."""
    return measure(logits, torch.from_numpy(label))["loss"]


def fit_probes(dataset: Dataset, baseline: str, selection: str) -> dict[CnnKey, TrainedCnn]:
    """Fit the logistic regressions of a baseline, in the form of trained CNNs.

    All are in the history, as epoch 0; only the one with the lowest loss where the strength was
    chosen predicts.

    Args:
        dataset: samples with the baseline's features.
        baseline: a key of the data set's features, `scalar_features` for instance.
        selection: see `engram.cnn.grid.train_grid`.
    """
    label, classes = dataset.label.astype(np.int64), len(dataset.classes)
    by_validation = selection == "best_epoch"
    train = dataset.rows("train")
    validation = dataset.rows("validation") if by_validation else np.empty(0, np.int64)
    inputs = dataset.features[baseline]
    ranked = rank_inputs(inputs, label, classes, train, validation, baseline.replace("_", " "))
    probes: dict[CnnKey, TrainedCnn] = {}
    for name, choice in ranked.items():
        reported, probe = not probes, choice.probe
        splits: tuple[str, ...] = ()
        if reported:
            splits = tuple(SPLITS) if by_validation else ("test",)
        rows = np.concatenate([np.empty(0, np.int64), *map(dataset.rows, splits)])
        history = []
        for split in ("train", "validation") if by_validation else ("train",):
            of_split = dataset.rows(split)
            measured = measure(
                probe.logits(inputs[name][of_split]), torch.from_numpy(label[of_split])
            )
            history.append({"epoch": 0, "split": split, **measured, "selected": reported})
        parameters = {
            part: torch.from_numpy(getattr(probe, part))
            for part in ("mean", "scale", "weight", "bias")
        }
        probes[CnnKey(baseline, "real", name, 0)] = TrainedCnn(
            parameters,
            history,
            rows,
            np.zeros(len(rows), np.int64),
            probe.logits(inputs[name][rows]),
        )
    return probes
