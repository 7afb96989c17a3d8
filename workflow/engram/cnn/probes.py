"""Baselines without a CNN: multinomial logistic regression on scalars of a sequence, and on hidden
states layer by layer.

Features are standardised on the training split. How strongly weights are kept small, and which
layer is reported, is chosen by the loss on the validation split; a protocol that has none chooses
on every fifth training sample and then fits all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from engram.cnn.dataset import Dataset
from engram.cnn.key import CnnKey
from engram.cnn.training import TrainedCnn, measure
from engram.taxonomy.sampling import SPLITS

log = logging.getLogger(__name__)

STRENGTHS = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""λ of the penalty λ/2 · Σ w², beside the mean loss in nats; standardised features."""
NOT_FEATURES = frozenset(
    {
        "sequence_id",
        "content_group",
        "memorization_score",
        "extracted",
        "matched_fraction",
        "exposures",
        "twin_extracted",
    }
)
"""Numbers among the labels that name a sequence, say outright that it is memorized, or are the
nursery's hidden truth.
"""


@dataclass(frozen=True)
class Probe:
    """A fitted logistic regression."""

    mean: np.ndarray
    """Of every feature over the samples it was fitted on, (F,)."""
    scale: np.ndarray
    """Standard deviation likewise, (F,); 1 where a feature is constant."""
    weight: np.ndarray
    """(K, F), for standardised features."""
    bias: np.ndarray
    """(K,)."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, F) -> (n, K) float32."""
        return (((features - self.mean) / self.scale) @ self.weight.T + self.bias).astype(
            np.float32
        )


@dataclass(frozen=True)
class ProbeChoice:
    """The probe of one set of features, at the strength that did best where it was chosen."""

    probe: Probe
    strength: float
    loss: float
    """Mean nats per sample where the strength was chosen."""


def scalar_features(labels: pd.DataFrame, defining: set[str]) -> pd.DataFrame:
    """Scalars of sequences: perplexities, duplicates, ROUGE, entropy, coding length, token
    frequencies, flags, as far as there are any.

    Counts, frequencies and perplexities, which have long tails, come as log(1 + x). Missing values
    become the column's median.

    Args:
        labels: the table `labels.parquet`, or some of its rows.
        defining: columns that the taxonomy's classes are defined by. They are left out: a
            regression on them would repeat the definition.

    Returns:
        a float column per feature, finite. What remains can still be near a definition: the
        perplexity of the suffix tells most memorized samples from others, for whom else would the
        model be that sure.
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
        if "perplexity" in name or "frequency" in name or name == "sequence_duplicates":
            column = np.log1p(np.maximum(column, 0))
        column = np.where(np.isfinite(column), column, np.nan)
        if not np.isnan(column).all():
            features[name] = np.where(np.isnan(column), np.nanmedian(column), column)
    return pd.DataFrame(features, index=labels.index)


def fit(features: np.ndarray, label: np.ndarray, classes: int, strength: float) -> Probe:
    """Multinomial logistic regression by L-BFGS in float64; the optimum is unique, so nothing is
    drawn at random.

    Args:
        features: (n, F).
        label: int (n,), 0 … classes - 1.
        classes: K.
        strength: λ, see `STRENGTHS`; the bias is not kept small.
    """
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 0, scale, 1.0)
    x, y = torch.from_numpy((features - mean) / scale), torch.from_numpy(label)
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=300,
        tolerance_grad=1e-6,
        tolerance_change=1e-10,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(x @ weight.T + bias, y) + strength / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return Probe(mean, scale, weight.detach().numpy(), bias.detach().numpy())


def choose(
    features: np.ndarray, label: np.ndarray, classes: int, train: np.ndarray, validation: np.ndarray
) -> ProbeChoice:
    """The probe at the best strength.

    Args:
        features: of all samples, (n, F).
        label: int (n,).
        classes: K.
        train: rows that the probe is fitted on.
        validation: rows by whose loss the strength is chosen; empty to choose on every fifth
            training row.
    """
    held_out = len(validation) == 0
    learned, judged = (
        (np.delete(train, np.s_[::5]), train[::5]) if held_out else (train, validation)
    )
    best: ProbeChoice | None = None
    for strength in STRENGTHS:
        probe = fit(features[learned], label[learned], classes, strength)
        loss = loss_of(probe.logits(features[judged]), label[judged])
        if best is None or loss < best.loss:
            best = ProbeChoice(probe, strength, loss)
    assert best is not None
    return (
        ProbeChoice(
            fit(features[train], label[train], classes, best.strength), best.strength, best.loss
        )
        if held_out
        else best
    )


def choose_all(
    inputs: Mapping[str, np.ndarray],
    label: np.ndarray,
    classes: int,
    train: np.ndarray,
    validation: np.ndarray,
    title: str,
) -> dict[str, ProbeChoice]:
    """`choose` for several sets of features by name, such as the layers of hidden states; the best
    first.

    Args:
        inputs: features of all samples, (n, F) each.
        title: what the progress bar and the log call them.
        label, classes, train, validation: as in `choose`.
    """
    chosen = {
        name: choose(features, label, classes, train, validation)
        for name, features in tqdm(inputs.items(), desc=title, mininterval=2)
    }
    ranked = dict(sorted(chosen.items(), key=lambda item: item[1].loss))
    log.info(
        "%s: %s",
        title,
        ", ".join(
            f"{name} {one.loss:.4f} nats at λ = {one.strength:g}" for name, one in ranked.items()
        ),
    )
    return ranked


def loss_of(logits: np.ndarray, label: np.ndarray) -> float:
    """Mean cross-entropy in nats; logits (n, K), label (n,)."""
    return cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(label)).item()


def fit_probes(dataset: Dataset, baseline: str, selection: str) -> dict[CnnKey, TrainedCnn]:
    """Fits the logistic regressions of a baseline, in the form of trained CNNs.

    Each is in the history, as epoch 0; only the one with the lowest loss where it was chosen
    predicts.
    """
    label, classes = dataset.label.astype(np.int64), len(dataset.classes)
    train, validation = (
        dataset.rows("train"),
        dataset.rows("validation") if selection == "best_epoch" else np.empty(0, np.int64),
    )
    inputs = dataset.features[baseline]
    chosen = choose_all(inputs, label, classes, train, validation, baseline.replace("_", " "))
    probes: dict[CnnKey, TrainedCnn] = {}
    for name, choice in chosen.items():
        first, probe = not probes, choice.probe
        predicted = (
            [dataset.rows(split) for split in (SPLITS if selection == "best_epoch" else ("test",))]
            if first
            else []
        )
        rows = np.concatenate([np.empty(0, np.int64), *predicted])
        history = []
        for split in ("train", "validation") if selection == "best_epoch" else ("train",):
            mine = dataset.rows(split)
            measured = measure(probe.logits(inputs[name][mine]), torch.from_numpy(label[mine]))
            history.append({"epoch": 0, "split": split, **measured, "selected": first})
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
