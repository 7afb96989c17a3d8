"""Ablation of feed-forward layers: block by block, and by sets of neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel, check_language_model
from engram.api.measured import BATCH_TOKENS, ClassMeans, MeasuredTexts, measured_texts
from engram.io.errors import EngramError
from engram.lm.conditions import by_measure
from engram.mechanisms.feed_forward import (
    BlockEffects,
    NeuronEffects,
    ablate_blocks,
    ablate_neurons,
    rank_neurons,
)
from engram.mechanisms.feed_forward_experiment import chosen_neurons, neuron_table


@dataclass(frozen=True, repr=False, eq=False)
class FeedForwardAblation(ClassMeans):
    """What a model reproduces without parts of its feed-forward layers: what `ablate_feed_forward`
    returns. Layers and neurons count from 1. `by_class` has `<measure>_difference` by layer.
    """

    texts: MeasuredTexts
    """The texts."""
    operation: str
    """What was done to a block or neuron."""
    blocks: BlockEffects
    """Measures without each block."""
    shares: tuple[float, ...]
    """Sizes of the sets of neurons, as shares of all; none were removed where it is empty."""
    ranked: tuple[str, ...] = ()
    """Classes of the reference, whose Δ ranks the neurons."""
    deltas: np.ndarray | None = None
    """Δ of these classes, float64 (R, L, M)."""
    sets: NeuronEffects | None = None
    """Measures without sets of neurons."""

    def _keys(self) -> dict[str, tuple[Any, ...]]:
        return {"layer": tuple(range(1, self.blocks.ablated.shape[1] + 1))}

    @property
    def table(self) -> pd.DataFrame:
        """A row per text and layer: row, class (where texts have one), layer; extracted,
        matched_fraction and suffix_log_prob (`engram.lm.attention.Extraction`) without the layer's
        block, and `<measure>_difference` from the intact model: negative for a loss.
        """
        measures = by_measure(self.blocks.ablated)
        return self.texts.table(self._keys(), measures | self.blocks.differences())

    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return self._keys(), self.blocks.differences()

    def neurons_by_class(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return the mean differences of every class and set of neurons, with intervals over
        content groups.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            class, n, groups; ranked (the class of the reference that Δ is of), share, chosen
            (`delta`, or `random` ones of the same layers), removed (neurons);
            `<measure>_difference` with `_low` and `_high`.

        Raises:
            EngramError: no neurons were removed.
        """
        return neuron_table(
            self._known(self.sets),
            self.ranked,
            self.shares,
            self.texts.label,
            self.texts.group,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )

    @property
    def neurons(self) -> pd.DataFrame:
        """The neurons of the largest sets, by |Δ|: ranked, rank, layer, neuron, delta."""
        counts = self._known(self.sets).counts
        return chosen_neurons(self._known(self.deltas), self.ranked, max(counts))

    @staticmethod
    def _known(value: Any) -> Any:
        if value is None:
            raise EngramError("shares: none; give ablate_feed_forward shares to remove neurons")
        return value

    def __repr__(self) -> str:
        layers = self.blocks.ablated.shape[1]
        shares = ", ".join(f"{share:g}" for share in self.shares)
        neurons = f", neurons {shares} of {len(self.ranked)} class(es)" if self.shares else ""
        return (
            f"FeedForwardAblation: {len(self.texts.tokens):,} texts, {layers} blocks{neurons}, "
            f"{self.operation}"
        )


def ablate_feed_forward(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    operation: str = "remove",
    shares: Sequence[float] = (),
    reference: Any = None,
    counterpart: LanguageModel | None = None,
    draws: int = 5,
    seed: int = 0,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> FeedForwardAblation:
    """Ablate every feed-forward block, one at a time, and sets of neurons, and measure what the
    model still reproduces.

    (U) The blocks are what *Guess or Recall?* names as future work; see
    `engram.mechanisms.feed_forward`.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids, see `engram.api.texts.read_windows`; a frame may have a column
            `class`.
        prefix: tokens that prompt the model.
        suffix: tokens to reproduce.
        operation: `remove` makes a block's output, or a neuron, 0; `mean` its mean over the
            reference.
        shares: sizes of the sets of neurons, as shares of all neurons; none removes no neurons.
        reference: texts on which neurons are ranked, with classes, and for `mean`; best not the
            same ones.
        counterpart: a model trained from the same base, of `engram.load`: Δ is then the paired
            difference of the two models' neurons on the reference, class by class. Without it, Δ
            compares the reference's classes with each other.
        draws: random sets that each set is compared with.
        seed: of their draws.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, a value out of range, shares without a reference, or
            an architecture without such blocks or neurons.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    others = (
        None
        if reference is None
        else measured_texts(lm, reference, prefix, suffix, short, "reference")
    )
    tokens = None if others is None else others.tokens
    blocks = ablate_blocks(lm.model, measured.tokens, prefix, operation, tokens, batch_tokens)
    if not shares:
        return FeedForwardAblation(measured, operation, blocks, ())
    if others is None:
        raise EngramError("reference: none; neurons are ranked on texts of their own")
    if counterpart is not None:
        check_language_model(counterpart)
    label, names = pd.factorize(others.label)
    deltas = rank_neurons(
        lm.model,
        others.tokens,
        label,
        len(names),
        prefix,
        batch_tokens,
        None if counterpart is None else counterpart.model,
    )
    sets = ablate_neurons(
        lm.model,
        measured.tokens,
        prefix,
        deltas,
        shares,
        operation,
        tokens,
        draws=draws,
        seed=seed,
        batch_tokens=batch_tokens,
    )
    ranked = tuple(map(str, names))
    return FeedForwardAblation(measured, operation, blocks, tuple(shares), ranked, deltas, sets)
