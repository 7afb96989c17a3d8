"""The direction in the residual stream that tells recalled texts from guessed ones.

(P) A linear probe per layer (*Dynamic Decoding for Mode Steering*, arXiv 2510.22099). (U) It is
fitted on single states, those that predict a suffix token, because that is what it judges while the
model decodes; states of pairs of texts are compared within the pair; the direction v̂ is the normal
of the probe's boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from transformers import PreTrainedModel

from engram.cnn.probes import fit_logistic
from engram.io.errors import EngramError
from engram.lm.finite import check_finite
from engram.lm.inputs import model_input, opening
from engram.lm.models import in_batches
from engram.lm.residual_stream import decoder_layers, residual_hook
from engram.mechanisms.edits import Edit

UNPAIRED = -1
"""The pair of a text that has none."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A probe of recall at one depth: it says *recalled* where weight·h + bias is above 0."""

    depth: int
    """1 … L."""
    weight: np.ndarray
    """float32 (width,)."""
    bias: float
    """In logits."""
    unit: float
    """Mean norm of the states that it was fitted on: steps are fractions of it."""
    vector: np.ndarray
    """v̂, the unit vector that steps follow, towards recall; float32 (width,)."""

    def logits(self, states: np.ndarray) -> np.ndarray:
        """Return the logits of recall of states (…, width), float64 (…)."""
        logits: np.ndarray = states.astype(np.float64) @ self.weight.astype(np.float64) + self.bias
        return logits

    def along(self, vector: np.ndarray) -> Direction:
        """Return the same probe, whose steps follow another unit vector."""
        return Direction(self.depth, self.weight, self.bias, self.unit, vector)

    def steer(self, alpha: float) -> Edit:
        """Return the edit h − α·u·σ(probe(h))·v̂, u the mean norm of a state: a positive α leads
        away from recall.
        """
        return Edit(self.depth, self.vector, self.weight, self.bias, gain=-alpha * self.unit)

    def patch(self, component: float) -> Edit:
        """Return the edit that sets the component of h along v̂."""
        return Edit(self.depth, self.vector, self.weight, slope=-1.0, offset=component)


def decoding_states(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    places: int,
    batch_tokens: int = 8192,
) -> np.ndarray:
    """Return states that predict a suffix token, at every depth, float32 (n, L, m, width).

    Args:
        model: the model.
        tokens: (n, T).
        prefix: tokens of the prompt.
        places: how many of the suffix's positions are taken, m at most, evenly spread.
        batch_tokens: tokens per forward.

    Raises:
        EngramError: a state that is not finite.
    """
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    layers, first = len(decoder_layers(model)), len(opening(model)) + prefix - 1
    suffix = windows.shape[1] - prefix
    chosen = np.unique(np.linspace(0, suffix - 1, min(places, suffix)).round().astype(int))
    positions = torch.from_numpy(first + chosen)

    def run(part: slice) -> np.ndarray:
        depths: list[torch.Tensor] = []

        def hook(depth: int, hidden: torch.Tensor) -> None:
            if depth:
                depths.append(hidden[:, positions.to(hidden.device)].float())

        with torch.inference_mode(), residual_hook(model, hook):
            batch = windows[part].to(model.device)
            model.base_model(input_ids=model_input(model, batch), use_cache=False)
            states = torch.stack(depths, 1)  # (b, L, m, width)
            check_finite(model, states, "hidden states")
        return states.cpu().numpy()

    rows = max(1, batch_tokens // (len(opening(model)) + windows.shape[1]))
    width = model.config.get_text_config().hidden_size
    parts = [part for _, part in in_batches(run, len(windows), rows, "states", model.device)]
    return np.concatenate([np.empty((0, layers, len(chosen), width), np.float32), *parts])


def fit_direction(
    states: np.ndarray,
    recalled: np.ndarray,
    depth: int,
    strength: float,
    pair: np.ndarray | None = None,
) -> Direction:
    """Fit the probe of a depth.

    Where texts come in pairs, the weight is fitted to their states minus the mean of the pair at
    the same place of the suffix, so that nothing that both share counts; the bias is then fitted to
    the states as they are.

    Args:
        states: (n, m, width).
        recalled: which texts are recalled, bool (n,); the others are guessed.
        depth: of the states.
        strength: λ of the penalty, see `engram.cnn.probes.STRENGTHS`.
        pair: the pair of each text, (n,), `UNPAIRED` for none; None where no text has one.

    Raises:
        EngramError: one of the classes has no text, or a pair has not one text of each.
    """
    for name, count in (("recalled", recalled.sum()), ("guessed", (~recalled).sum())):
        if not count:
            raise EngramError(f"steering: no {name} text to fit the probe on; take more texts")
    places, width = states.shape[1:]
    label = np.repeat(recalled, places).astype(np.int64)
    flat = states.reshape(-1, width).astype(np.float64)
    unit = float(np.linalg.norm(flat, axis=1).mean())
    if pair is None or (pair == UNPAIRED).all():
        weight, bias = _boundary(flat, label, strength)
    else:
        paired = np.flatnonzero(pair != UNPAIRED)
        centred = states[paired] - _pair_means(states[paired], pair[paired], recalled[paired])
        of_pairs = np.repeat(recalled[paired], places).astype(np.int64)
        weight, _ = _boundary(centred.reshape(-1, width), of_pairs, strength)
        scale, bias = _boundary((flat @ weight)[:, None], label, 0.0001)
        # A fit that turns the sign round would turn the direction round with it.
        weight, bias = (
            (weight * scale, bias) if scale[0] > 0 else (weight, -float((flat @ weight).mean()))
        )
    norm = np.linalg.norm(weight)
    vector = weight / norm if norm else weight
    return Direction(depth, weight.astype(np.float32), float(bias), unit, vector.astype(np.float32))


def _boundary(features: np.ndarray, label: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    """Return weight (F,) and bias of the logistic regression, in the features' own units."""
    probe = fit_logistic(features, label, 2, strength)
    weight = (probe.weight[1] - probe.weight[0]) / probe.scale
    return weight, float(probe.bias[1] - probe.bias[0] - probe.mean @ weight)


def _pair_means(states: np.ndarray, pair: np.ndarray, recalled: np.ndarray) -> np.ndarray:
    """Return the mean states of each text's pair, (n, m, width)."""
    numbers, place = np.unique(pair, return_inverse=True)
    of_class = np.stack(
        [np.bincount(place[chosen], minlength=len(numbers)) for chosen in (recalled, ~recalled)]
    )
    if (wrong := (of_class != 1).any(0)).any():
        number = int(wrong.argmax())
        raise EngramError(
            f"pair {numbers[number]}: {of_class[0, number]} recalled and {of_class[1, number]} "
            f"guessed texts; give one of each, in the same split"
        )
    means = np.zeros((len(numbers), *states.shape[1:]))
    np.add.at(means, place, states / 2)
    result: np.ndarray = means[place]
    return result


def random_directions(
    direction: Direction, draws: int, generator: np.random.Generator
) -> list[Direction]:
    """Return the same probe with random unit vectors: steps as long as its own, elsewhere."""
    vectors = generator.standard_normal((draws, len(direction.vector)))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [direction.along(vector) for vector in vectors.astype(np.float32)]


def separation(logits: np.ndarray, recalled: np.ndarray) -> float:
    """Return the AUROC of texts' mean logits, (n,) or (n, m); NaN without texts of both classes."""
    values = logits.reshape(len(logits), -1).mean(1)
    positive = int(recalled.sum())
    negative = len(recalled) - positive
    if not positive or not negative:
        return np.nan
    ranks = rankdata(values)[recalled].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))
