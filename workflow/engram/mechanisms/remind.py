"""REMIND: the loss of a text and of its neighbours, as features of how the text was memorized.

(P) K = 15 neighbours of each text, whose tokens are replaced with p = .3 by one of their 20 nearest
(`engram.mechanisms.neighbours`), and features of the losses: the text's own; the neighbours' mean,
maximum, minimum, variance and standard deviation; the increments' mean, maximum, minimum and
variance (Cohen, Nemcovsky and Mendelson, arXiv 2511.04228). (U) What the paper leaves open: an
increment is a neighbour's loss minus the text's, and five features are of the losses in the order
of the number of replaced tokens, see `features_of`. Variances are those of a population.

What it competes with reads the text alone: its loss; its loss per byte of the compressed text
(zlib; Carlini et al., arXiv 2012.07805); the mean log-probability of its least likely tokens
(Min-K %; Shi et al., arXiv 2310.16789), and the same of log-probabilities that are standardized
over the vocabulary (Min-K %++; Zhang et al., arXiv 2404.02936).

A loss is the mean over the text's tokens after the first, in nats.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.finite import check_finite
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.models import suffix_logits, token_scores
from engram.mechanisms.neighbours import draw_neighbours, nearest_tokens

FEATURES = (
    "loss",
    *("neighbour_mean", "neighbour_max", "neighbour_min", "neighbour_variance", "neighbour_std"),
    *("increment_mean", "increment_max", "increment_min", "increment_variance"),
    *("gradient_mean", "gradient_max", "gradient_variance", "volatility", "curvature"),
)
"""The features, in this order."""
RIVALS = ("loss", "zlib", "min_k", "min_k_plus_plus")
"""What reads the text alone, in this order."""
LEAST = 0.2
"""Share of a text's tokens whose log-probabilities Min-K % and Min-K %++ average (P)."""
_LEAST_SPREAD = 1e-6
"""Of log-probabilities over the vocabulary: a model that is sure of a token has none."""


@dataclass(frozen=True)
class Neighbourhood:
    """Which neighbours of a text are drawn."""

    count: int = 15
    """Neighbours of a text K, 0 or more."""
    share: float = 0.3
    """Probability with which a token is replaced, 0 … 1."""
    nearest: int = 20
    """Nearest tokens of which one replaces it, 1 or more."""
    seed: int = 0
    """Of the draws, 0 or more."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            EngramError: a value is out of range.
        """
        if self.count < 0:
            raise EngramError(f"neighbours: {self.count}; give a number of 0 or more")
        if not 0 <= self.share <= 1:
            raise EngramError(f"share: {self.share}; give a probability, 0 to 1")
        if self.seed < 0:
            raise EngramError(f"seed: {self.seed}; give a whole number of 0 or more")


@dataclass(frozen=True)
class Landscape:
    """Losses of n texts and of their neighbours."""

    losses: np.ndarray
    """Of the neighbours, in nats, float64 (n, K)."""
    replaced: np.ndarray
    """How many tokens of a text a neighbour exchanges, int64 (n, K)."""
    rivals: np.ndarray
    """Of the text alone, in the order of `RIVALS`, float64 (n, 4). `zlib` is in nats per byte; of
    the last two, greater means more likely memorized, of the others less."""

    @property
    def features(self) -> np.ndarray:
        """Features in the order of `FEATURES`, float64 (n, 15)."""
        rows = zip(self.rivals[:, 0], self.losses, self.replaced, strict=True)
        values = [features_of(*row) for row in rows]
        return np.array(values, np.float64).reshape(-1, len(FEATURES))

    def values(self) -> dict[str, np.ndarray]:
        """Return features and rivals by name, float64 (n,) each."""
        return {
            **dict(zip(FEATURES, self.features.T, strict=True)),
            **dict(zip(RIVALS, self.rivals.T, strict=True)),
        }


def features_of(loss: float, losses: np.ndarray, replaced: np.ndarray) -> list[float]:
    """Return the features of a text, in the order of `FEATURES`.

    The last five are of the path that begins with the text's own loss and goes on with those of its
    neighbours, from the fewest to the most replaced tokens (equal numbers in the order in which
    they were drawn): the mean, maximum and variance of its steps; the mean size of a step
    (volatility), and the mean size of the change from a step to the next (curvature). Without
    neighbours, the text counts as its own.

    Args:
        loss: of the text.
        losses: of its neighbours, (K,).
        replaced: how many tokens each exchanges, (K,).
    """
    around = losses if len(losses) else np.array([loss])
    increments = around - loss
    path = np.concatenate([[loss], losses[np.argsort(replaced, kind="stable")]])
    steps = np.diff(path) if len(path) > 1 else np.zeros(1)
    turns = np.abs(np.diff(steps)) if len(steps) > 1 else np.zeros(1)
    of_neighbours = (around.mean(), around.max(), around.min(), around.var(), around.std())
    of_increments = (increments.mean(), increments.max(), increments.min(), increments.var())
    of_steps = (steps.mean(), steps.max(), steps.var(), np.abs(steps).mean(), turns.mean())
    return [loss, *map(float, (*of_neighbours, *of_increments, *of_steps))]


def measure_landscape(
    model: PreTrainedModel,
    tokens: np.ndarray,
    texts: Sequence[str],
    neighbourhood: Neighbourhood | None = None,
    batch_tokens: int = 4096,
    kept: Kept | None = None,
) -> Landscape:
    """Measure the losses of texts and of their neighbours, and what competes with them.

    K + 1 forwards per text; neighbours that equal their text take none.

    Args:
        model: the model.
        tokens: (n, T), T of 2 or more.
        texts: the same as strings, whose compressed size is measured.
        neighbourhood: which neighbours are drawn.
        batch_tokens: tokens per forward. A batch holds logits of all its tokens, and for the texts
            themselves two float32 arrays of their size; halved when a GPU runs out of memory.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: fewer tokens in the vocabulary than are to be chosen from, or a logit that is
            not finite.
    """
    chosen = neighbourhood or Neighbourhood()
    windows = np.asarray(tokens, np.int64)
    rivals = _rivals(model, windows, texts, batch_tokens, kept)
    n, length = windows.shape
    if not n or not chosen.count:
        empty = np.empty((n, chosen.count))
        return Landscape(empty, empty.astype(np.int64), rivals)
    known, position = np.unique(windows, return_inverse=True)
    nearest = nearest_tokens(model, known, chosen.nearest)[position.reshape(n, length)]
    drawn = np.stack(
        [
            draw_neighbours(window, near, chosen.count, chosen.share, chosen.seed)
            for window, near in zip(windows, nearest, strict=True)
        ]
    )  # (n, K, T)
    replaced = (drawn != windows[:, None]).sum(2)
    losses = np.repeat(rivals[:, :1], chosen.count, axis=1)
    losses[replaced > 0] = _losses(model, drawn[replaced > 0], batch_tokens, kept)
    return Landscape(losses, replaced, rivals)


def _losses(
    model: PreTrainedModel, windows: np.ndarray, batch_tokens: int, kept: Kept | None
) -> np.ndarray:
    """Return the losses of windows (n, T), float64 (n,)."""
    tokens = torch.from_numpy(windows)

    def run(part: slice) -> list[np.ndarray]:
        batch = tokens[part].to(model.device)  # (b, T)
        with torch.inference_mode():
            logits, _ = suffix_logits(model, batch, 1)
            _, log_probabilities = token_scores(model, logits, batch[:, 1:])  # (b, T - 1)
        return [-log_probabilities.double().mean(1).cpu().numpy()]

    rows = max(1, batch_tokens // windows.shape[1])
    batches = kept_batches(run, windows, rows, "neighbours", model.device, kept)
    parts = [values for _, (values,) in batches]
    return np.concatenate([np.empty(0), *parts])


def _rivals(
    model: PreTrainedModel,
    windows: np.ndarray,
    texts: Sequence[str],
    batch_tokens: int,
    kept: Kept | None,
) -> np.ndarray:
    """Return what reads the texts alone, float64 (n, 4)."""
    tokens = torch.from_numpy(windows)
    scored = windows.shape[1] - 1
    least = max(1, int(LEAST * scored))

    def run(part: slice) -> list[np.ndarray]:
        batch = tokens[part].to(model.device)  # (b, T)
        with torch.inference_mode():
            logits, _ = suffix_logits(model, batch, 1)
            _, log_probabilities = token_scores(model, logits, batch[:, 1:])  # (b, T - 1)
            mean, spread = _moments(logits)
            standard = (log_probabilities - mean) / spread.clamp(min=_LEAST_SPREAD)
            check_finite(model, standard, "standardized log-probabilities")
            lowest = [
                values.double().sort(1).values[:, :least].mean(1)
                for values in (log_probabilities, standard)
            ]
            loss = -log_probabilities.double().mean(1)
        return [torch.stack([loss, *lowest], 1).cpu().numpy()]

    rows = max(1, batch_tokens // windows.shape[1])
    batches = kept_batches(run, windows, rows, "texts", model.device, kept)
    parts = [values for _, (values,) in batches]
    loss, min_k, standardized = np.concatenate([np.empty((0, 3)), *parts]).T
    sizes = np.array([len(zlib.compress(text.encode("utf-8", "replace"))) for text in texts], float)
    return np.stack([loss, loss * scored / sizes.reshape(len(loss)), min_k, standardized], 1)


def _moments(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of the log-probability of a token that the model draws,
    (b, S, V) -> float32 (b, S) each.
    """
    means, spreads = [], []
    for row in logits:  # one sequence's float32 copy at a time
        log_p = row.float().log_softmax(-1)  # (S, V)
        p = log_p.exp()
        # A token without any chance has no part in the mean.
        seen = log_p.masked_fill(p == 0, 0)
        mean = (p * seen).sum(-1)
        means.append(mean)
        spreads.append((p * (seen - mean[:, None]).square()).sum(-1).sqrt())
    return torch.stack(means), torch.stack(spreads)
