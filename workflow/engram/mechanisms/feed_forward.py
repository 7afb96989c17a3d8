"""Feed-forward layers: what a model reproduces without one of their blocks, or without the neurons
that are most active for a class.

(U) All of it: *Guess or Recall?* (arXiv 2508.02573) studies attention and names feed-forward layers
as future work. Blocks are removed one at a time, as heads are (`engram.mechanisms.heads`). Single
neurons are too many for that, so they are ranked by a difference Δ of their activity, on texts
other than those whose reproduction is then measured:

* between classes of texts in one model (`class_differences`), or
* between two models on the same texts, in pairs (`paired_difference`),

in standard deviations, and those of largest |Δ| are removed together. As many random neurons of the
same layers say what removing just any neurons costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.knockout.kept_conditions import measure_conditions
from engram.lm.conditions import MEASURES, OPERATIONS, Condition, check_operation, differences
from engram.lm.feed_forward_removal import (
    FeedForwardMeans,
    average_feed_forward,
    feed_forward_hook,
    neurons_per_layer,
)
from engram.lm.finite import check_finite
from engram.lm.inputs import model_input
from engram.lm.kept_batches import Kept
from engram.lm.models import in_batches

CHOSEN = ("delta", "random")
"""Which neurons are removed: those of largest |Δ|, or random ones of the same layers."""


@dataclass(frozen=True)
class BlockEffects:
    """What a model reproduces of n sequences without the feed-forward block of each layer."""

    intact: np.ndarray
    """Measures of the intact model, float32 (n, 3), in the order of
    `engram.lm.conditions.MEASURES`."""
    ablated: np.ndarray
    """Measures without the block of a layer, float32 (n, L, 3)."""

    def differences(self) -> dict[str, np.ndarray]:
        """Return `<measure>_difference`, without the block minus intact, float64 (n, L) each:
        negative for a loss.
        """
        return differences(self.intact, self.ablated)


@dataclass(frozen=True)
class NeuronEffects:
    """What a model reproduces of n sequences without sets of neurons: R rankings, S sizes."""

    intact: np.ndarray
    """Measures of the intact model, float32 (n, 3)."""
    ablated: np.ndarray
    """Measures without the neurons, float32 (n, R, S, 2, 3); in the order of `CHOSEN`, random ones
    averaged over their draws."""
    counts: tuple[int, ...]
    """Neurons of each size, (S,)."""

    def differences(self) -> dict[str, np.ndarray]:
        """Return `<measure>_difference`, without the neurons minus intact, float64 (n, R, S, 2)
        each.
        """
        return differences(self.intact, self.ablated)


def ablate_blocks(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    operation: str = "remove",
    reference: np.ndarray | None = None,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> BlockEffects:
    """Measure a model without the feed-forward block of each layer, one at a time.

    Args:
        model: the model.
        tokens: (n, T); the first `prefix` are the prompt, the others what is to be reproduced.
        prefix: tokens of the prompt.
        operation: `remove` (the block puts out 0) or `mean` (its mean over reference sequences).
        reference: (m, T), for `mean`; best not the same sequences.
        batch_tokens: tokens per forward.
        kept: where what is finished is kept; None keeps nothing.

    Raises:
        EngramError: an unknown operation, `mean` without reference, or as
            `engram.lm.interventions.knock_out`.
    """
    means = _means(model, operation, reference, batch_tokens, neurons=False)
    layers = model.config.get_text_config().num_hidden_layers
    each = np.eye(layers, dtype=bool)
    conditions = [Condition(), *(Condition(operation, blocks=block) for block in each)]
    measures = measure_conditions(
        model, tokens, prefix, conditions, None, batch_tokens, kept, means
    )
    return BlockEffects(measures[0], measures[1:].swapaxes(0, 1))


def neuron_activity(
    model: PreTrainedModel, tokens: np.ndarray, prefix: int, batch_tokens: int = 8192
) -> np.ndarray:
    """Return the mean of every neuron over the tokens that predict the suffix, float32 (n, L, M).

    Args:
        model: the model.
        tokens: (n, T).
        prefix: tokens of the prompt.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: a value is not finite, or the model has no single neurons
            (`engram.lm.feed_forward_removal.last_matrices`).
    """
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    layers = model.config.get_text_config().num_hidden_layers
    suffix = windows.shape[1] - prefix

    def run(part: slice) -> np.ndarray:
        batch = windows[part].to(model.device)  # (b, T)
        means: list[torch.Tensor] = []

        def keep(_layer: int, values: torch.Tensor) -> None:
            means.append(values[:, -suffix - 1 : -1].mean(1, dtype=torch.float32))  # (b, M)

        with torch.inference_mode(), feed_forward_hook(model, len(batch), neurons=keep):
            read = model_input(model, batch)
            model.base_model(input_ids=read, attention_mask=torch.ones_like(read), use_cache=False)
        stacked = torch.stack(means, 1)  # (b, L, M)
        check_finite(model, stacked, "feed-forward activations")
        return stacked.cpu().numpy()

    parts = [np.empty((0, layers, neurons_per_layer(model)), np.float32)]
    rows = max(1, batch_tokens // windows.shape[1])
    parts += [values for _, values in in_batches(run, len(windows), rows, "neurons", model.device)]
    return np.concatenate(parts)


def class_differences(activity: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Return Δ of every class, float64 (K, L, M): the mean activity on its texts minus the mean of
    the other classes' means, in standard deviations within classes; 0 where these are 0.

    Args:
        activity: of n texts, (n, L, M).
        label: class indices, (n,).
        classes: K, each of one text at least.

    Raises:
        EngramError: fewer than two classes, or a class without a text.
    """
    counts = np.bincount(label, minlength=classes)
    if classes < 2 or not counts.all():
        raise EngramError(
            f"neurons: {counts.tolist()} texts of the {classes} classes; Δ needs two classes or "
            f"more, and a text of each"
        )
    means = np.empty((classes, *activity.shape[1:]))
    squares = np.zeros(activity.shape[1:])
    for k in range(classes):
        own = activity[label == k].astype(np.float64)
        means[k] = own.mean(0)
        squares += np.square(own - means[k]).sum(0)
    spread = np.sqrt(squares / len(label))
    others = (means.sum(0) - means) / (classes - 1)
    return _in_deviations(means - others, spread)


def paired_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Δ of two models on the same texts, float64 (L, M): the mean of first minus second, in
    standard deviations of that difference over texts; 0 where these are 0.

    Neurons of the two models must mean the same, as they do where both were trained from one base.

    Args:
        first: activity of n texts in one model, (n, L, M).
        second: of the same texts in the other.
    """
    difference = first.astype(np.float64) - second
    return _in_deviations(difference.mean(0), difference.std(0))


def _in_deviations(difference: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.divide(difference, spread, out=np.zeros(difference.shape), where=spread > 0)


def rank_neurons(
    model: PreTrainedModel,
    tokens: np.ndarray,
    label: np.ndarray,
    classes: int,
    prefix: int,
    batch_tokens: int = 8192,
    counterpart: PreTrainedModel | None = None,
) -> np.ndarray:
    """Return Δ of every class of texts, float64 (K, L, M).

    Args:
        model: the model.
        tokens: (n, T).
        label: class indices, (n,).
        classes: K, each of one text at least.
        prefix: tokens of the prompt.
        batch_tokens: tokens per forward.
        counterpart: another model trained from the same base, with which the model is compared in
            pairs on the texts of each class; without it, classes are compared with each other.

    Raises:
        EngramError: a counterpart of another size, or as `neuron_activity` and `class_differences`.
    """
    activity = neuron_activity(model, tokens, prefix, batch_tokens)
    if counterpart is None:
        return class_differences(activity, label, classes)
    other = neuron_activity(counterpart, tokens, prefix, batch_tokens)
    if other.shape != activity.shape:
        raise EngramError(
            f"counterpart: {other.shape[1]} layers of {other.shape[2]} neurons, the model has "
            f"{activity.shape[1]} of {activity.shape[2]}; choose a model of the same base"
        )
    of_class = [label == k for k in range(classes)]
    return np.stack([paired_difference(activity[own], other[own]) for own in of_class])


def top_neurons(delta: np.ndarray, count: int) -> np.ndarray:
    """Return the neurons of largest |Δ|, bool (L, M); ties go to lower layers and neurons.

    Args:
        delta: (L, M).
        count: how many.
    """
    chosen = np.zeros(delta.size, bool)
    chosen[np.argsort(-np.abs(delta).ravel(), kind="stable")[:count]] = True
    return chosen.reshape(delta.shape)


def random_neurons(chosen: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return random neurons, as many of every layer as are chosen, bool (L, M); the chosen ones may
    be among them.

    Args:
        chosen: bool (L, M).
        generator: source of the draws.
    """
    drawn = np.zeros_like(chosen)
    for layer, count in enumerate(chosen.sum(1)):
        drawn[layer, generator.permutation(chosen.shape[1])[:count]] = True
    return drawn


def ablate_neurons(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    deltas: np.ndarray,
    shares: Sequence[float],
    operation: str = "remove",
    reference: np.ndarray | None = None,
    *,
    draws: int = 5,
    seed: int = 0,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> NeuronEffects:
    """Measure a model without the neurons of largest |Δ|, and without random ones.

    Args:
        model: the model.
        tokens: (n, T); best not those that Δ is of.
        prefix: tokens of the prompt.
        deltas: R rankings, (R, L, M).
        shares: sizes of the sets, as shares of all neurons; one neuron at least.
        operation: `remove` (a neuron is 0) or `mean` (its mean over reference sequences).
        reference: (m, T), for `mean`.
        draws: random sets of each size and ranking.
        seed: of the draws.
        batch_tokens: tokens per forward.
        kept: where what is finished is kept; None keeps nothing.

    Raises:
        EngramError: no share or draw, or one out of range; or as `ablate_blocks`.
    """
    if not shares or not all(0 < share <= 1 for share in shares) or draws < 1:
        raise EngramError(
            f"shares: {list(shares)}, draws: {draws}; give shares above 0, at most 1, and one draw "
            f"or more"
        )
    means = _means(model, operation, reference, batch_tokens, neurons=True)
    counts = tuple(max(1, round(share * deltas[0].size)) for share in shares)
    generator = np.random.default_rng(seed)
    sets = []
    for delta in deltas:
        for count in counts:
            chosen = top_neurons(delta, count)
            sets += [chosen, *(random_neurons(chosen, generator) for _ in range(draws))]
    conditions = [Condition(), *(Condition(operation, neurons=chosen) for chosen in sets)]
    measures = measure_conditions(
        model, tokens, prefix, conditions, None, batch_tokens, kept, means
    )
    shape = (len(deltas), len(counts), 1 + draws, len(tokens), len(MEASURES))
    of_sets = np.moveaxis(measures[1:].reshape(shape), 3, 0)  # (n, R, S, 1 + draws, 3)
    random = of_sets[:, :, :, 1:].mean(3, dtype=np.float64).astype(np.float32)
    return NeuronEffects(measures[0], np.stack([of_sets[:, :, :, 0], random], 3), counts)


def _means(
    model: PreTrainedModel,
    operation: str,
    reference: np.ndarray | None,
    batch_tokens: int,
    *,
    neurons: bool,
) -> FeedForwardMeans | None:
    check_operation(operation, OPERATIONS, reference)
    if operation != "mean" or reference is None:
        return None
    return average_feed_forward(model, reference, batch_tokens, neurons=neurons)
