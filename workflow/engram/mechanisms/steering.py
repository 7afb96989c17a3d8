"""Steering: pushing the states of a model away from recall while it decodes.

(P) A linear probe reads how far the model relies on memorization, a layer is chosen by activation
patching, and at every step of decoding h ← h − α·σ(probe(h))·v̂ (*Generalization or Memorization:
Dynamic Decoding for Mode Steering*, arXiv 2510.22099, without code). (U) What the formula leaves
open, and how it is judged:

* α is a fraction of the mean norm of a state at the depth, so that models compare;
* patching sets the component of h along v̂ to the mean of the guessed texts. The depth is the one
  where this costs the recalled texts of the validation split most, compared with the guessed ones;
* α has both signs; outcomes are reported per class of test texts, and for other text;
* controls: random directions with the same probe and step, and probes of shuffled classes;
* *selectivity*: the effect on recalled texts minus that on guessed ones, with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES
from engram.lm.kept_batches import Kept
from engram.lm.residual_stream import decoder_layers
from engram.mechanisms.edits import Edit, measure_edits
from engram.mechanisms.recall_direction import (
    Direction,
    decoding_states,
    fit_direction,
    random_directions,
    separation,
)
from engram.mechanisms.steering_results import (
    PROBE,
    RANDOM,
    SHUFFLED,
    DepthChoice,
    SplitTexts,
    Steered,
)
from engram.mechanisms.steering_settings import SteeringSettings

LEFT = 0.2
"""The share of recalled texts that may be left where recall counts as switched off."""
_LOG_PROB = MEASURES.index("suffix_log_prob")


def steer(
    model: PreTrainedModel,
    texts: SplitTexts,
    prefix: int,
    settings: SteeringSettings,
    batch_tokens: int = 8192,
    *,
    seed: int = 0,
    kept: Kept | None = None,
) -> Steered:
    """Fit probes of recall, choose a depth, and measure the model while it is steered.

    Args:
        model: the model.
        texts: of the three splits.
        prefix: tokens of the prompt.
        settings: see `SteeringSettings`.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.
        seed: of the random directions and the shuffled classes.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: a class or a depth that is not there, or a value that is not finite.
    """
    layers = len(decoder_layers(model))
    if settings.depth > layers:
        raise EngramError(f"steering.depth: {settings.depth}; the model has 1 to {layers}")
    directions, states = fit_directions(model, texts, prefix, settings, batch_tokens)
    choice = choose_depth(model, texts, prefix, directions, states, settings, batch_tokens, kept)
    main = directions[choice.depth - 1]
    generator = np.random.default_rng(seed)
    controls = random_directions(main, settings.draws, generator)
    shuffled = _shuffled_directions(texts, states, choice.depth, settings, generator)
    every = (main, *controls, *shuffled)
    kinds = (PROBE, *[RANDOM] * len(controls), *[SHUFFLED] * len(shuffled))
    alphas = tuple(sorted({0.0, *map(float, settings.alphas)}))

    def sweep(tokens: np.ndarray, chosen: Sequence[Direction]) -> np.ndarray:
        edits = [direction.steer(alpha) for direction in chosen for alpha in alphas]
        measures = measure_edits(model, tokens, prefix, edits, batch_tokens, kept)
        return measures.reshape(len(tokens), len(chosen), len(alphas), len(MEASURES))

    return Steered(
        texts,
        settings,
        choice,
        every,
        kinds,
        alphas,
        _choose_alpha(sweep(texts.validation.tokens, [main])[:, 0], alphas, texts, settings),
        sweep(texts.test.tokens, every),
        sweep(texts.other, every),
    )


@dataclass(frozen=True)
class FittedStates:
    """Training states of the two classes."""

    states: np.ndarray
    """float32 (n, L, m, width)."""
    recalled: np.ndarray
    """bool (n,)."""
    group: np.ndarray
    """Content groups, (n,)."""


def fit_directions(
    model: PreTrainedModel,
    texts: SplitTexts,
    prefix: int,
    settings: SteeringSettings,
    batch_tokens: int,
) -> tuple[list[Direction], FittedStates]:
    """Fit the probe of every depth, 1 … L, on training texts of the two classes.

    Returns:
        the L directions, and the states that they were fitted on.
    """
    recalled, kept = (texts.are(texts.train, name) for name in (settings.recalled, settings.kept))
    rows = np.flatnonzero(recalled | kept)
    states = decoding_states(model, texts.train.tokens[rows], prefix, settings.places, batch_tokens)
    pair = None if texts.pair is None else texts.pair[rows]
    directions = [
        fit_direction(states[:, depth], recalled[rows], depth + 1, settings.strength, pair)
        for depth in range(states.shape[1])
    ]
    return directions, FittedStates(states, recalled[rows], texts.train.content_group[rows])


def choose_depth(
    model: PreTrainedModel,
    texts: SplitTexts,
    prefix: int,
    directions: Sequence[Direction],
    fitted: FittedStates,
    settings: SteeringSettings,
    batch_tokens: int,
    finished: Kept | None = None,
) -> DepthChoice:
    """Patch the component along each depth's direction, on validation texts of the two classes.

    The patch sets it to its mean over the guessed training texts. Chosen is the depth whose patch
    costs recalled texts most log-probability, compared with guessed ones; `settings.depth`
    overrules it.

    Raises:
        EngramError: a class without validation texts.
    """
    validation = texts.validation
    recalled, kept = (texts.are(validation, name) for name in (settings.recalled, settings.kept))
    for name, rows in ((settings.recalled, recalled), (settings.kept, kept)):
        if not rows.any():
            raise EngramError(f"steering: class {name} has no validation text; take more texts")
    rows = np.flatnonzero(recalled | kept)
    states = decoding_states(model, validation.tokens[rows], prefix, settings.places, batch_tokens)
    intact = Edit(1, directions[0].vector, directions[0].weight)
    patches = []
    for depth, direction in enumerate(directions):
        guessed = fitted.states[~fitted.recalled, depth].reshape(-1, states.shape[-1])
        patches.append(direction.patch(float((guessed @ direction.vector).mean(dtype=np.float64))))
    measures = measure_edits(
        model, validation.tokens[rows], prefix, [intact, *patches], batch_tokens, finished
    )[..., _LOG_PROB].astype(np.float64)
    falls = measures[:, :1] - measures[:, 1:]  # (n, L)
    of_recalled = recalled[rows]
    selectivity = falls[of_recalled].mean(0) - falls[~of_recalled].mean(0)
    groups = validation.content_group[rows]
    return DepthChoice(
        settings.depth or int(selectivity.argmax()) + 1,
        np.array(
            [
                separation(direction.logits(states[:, depth]), of_recalled)
                for depth, direction in enumerate(directions)
            ]
        ),
        falls[of_recalled],
        falls[~of_recalled],
        groups[of_recalled],
        groups[~of_recalled],
    )


def _shuffled_directions(
    texts: SplitTexts,
    fitted: FittedStates,
    depth: int,
    settings: SteeringSettings,
    generator: np.random.Generator,
) -> list[Direction]:
    """Return probes whose classes were exchanged at random between content groups."""
    group, _ = pd.factorize(fitted.group)
    first = np.unique(group, return_index=True)[1]
    of_groups, states = fitted.recalled[first], fitted.states[:, depth - 1]
    return [
        fit_direction(states, generator.permutation(of_groups)[group], depth, settings.strength)
        for _ in range(settings.shuffles)
    ]


def _choose_alpha(
    measures: np.ndarray,
    alphas: tuple[float, ...],
    texts: SplitTexts,
    settings: SteeringSettings,
) -> float:
    """Return the smallest positive α that leaves at most `LEFT` of the recalled validation texts
    extracted; where none does, the one with the most selective fall of log-probability. NaN where
    no α is positive.
    """
    positive = [number for number, alpha in enumerate(alphas) if alpha > 0]
    if not positive:
        return float("nan")
    log_prob = measures[..., _LOG_PROB].astype(np.float64)
    falls = log_prob[:, alphas.index(0.0), None] - log_prob  # (n, A)
    recalled, kept = (
        falls[texts.are(texts.validation, name)].mean(0)
        for name in (settings.recalled, settings.kept)
    )
    selectivity = recalled - kept  # (A,)
    left = measures[texts.are(texts.validation, settings.recalled), :, 0].mean(0)  # (A,)
    enough = [number for number in positive if left[number] <= LEFT]
    return alphas[enough[0] if enough else max(positive, key=selectivity.__getitem__)]
