"""The logit lens: what every layer would write, and where the target token wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel
from engram.api.measured import ClassMeans, MeasuredTexts, measured_texts
from engram.io.errors import EngramError
from engram.lm.residual_stream import decoder_layers
from engram.mechanisms.logit_lens import (
    DEFAULT_RULES,
    LensReadings,
    Rule,
    WinningDepths,
    layer_values,
    name_rules,
    read_layers,
    winning_depths,
    winning_values,
)
from engram.mechanisms.tuned_lens import TunedLens, fit_tuned_lens

BATCH_TOKENS = 2048
"""Tokens per forward unless the caller says otherwise: the logits of a batch take most memory."""


@dataclass(frozen=True, repr=False, eq=False)
class Lens(ClassMeans):
    """What the layers would write of texts: what `lens` returns. `by_class` has the columns of
    `table`, by depth.
    """

    texts: MeasuredTexts
    """The texts."""
    readings: LensReadings
    """Readings as arrays."""
    rules: tuple[Rule, ...]
    """When the target token has won."""

    @cached_property
    def depths(self) -> list[WinningDepths]:
        """Winning depths of every suffix token as arrays, rule by rule."""
        return winning_depths(self.readings, self.rules)

    @property
    def _last(self) -> int:
        return self.readings.log_prob.shape[1] - 1

    def _layer_values(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return {"depth": tuple(range(self._last + 1))}, layer_values(self.readings)

    def _winning_values(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return {"rule": tuple(range(len(self.rules)))}, winning_values(self.depths)

    @property
    def table(self) -> pd.DataFrame:
        """A row per text and depth: row, class (where texts have one), depth; means over the suffix
        tokens of probability and log_prob (of the target), top (the share of tokens whose target is
        the most likely one), kl (KL(final ‖ depth)) and entropy in nats.
        """
        return self.texts.table(*self._layer_values())

    @property
    def winning(self) -> pd.DataFrame:
        """A row per text and rule: row, class, rule, threshold; first and settled (the mean depth
        over the suffix tokens that win, in layers; definitions:
        `engram.mechanisms.logit_lens.WinningDepths`), first_share and settled_share (of the suffix
        tokens).
        """
        return name_rules(self.texts.table(*self._winning_values()), self.rules)

    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return self._layer_values()

    def winning_by_class(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return the columns of `winning` as means over texts, with intervals over content groups;
        texts without a winning token are left out of a mean depth.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.
        """
        table = self.texts.by_class(
            *self._winning_values(), resamples=resamples, confidence=confidence, seed=seed
        )
        return name_rules(table, self.rules)

    def __repr__(self) -> str:
        return (
            f"Lens: {len(self.texts.tokens):,} texts, depths 0 to {self._last}, "
            f"{len(self.rules)} rules"
        )


def lens(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    rules: Sequence[tuple[str, float] | Rule] = DEFAULT_RULES,
    tuned: TunedLens | None = None,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> Lens:
    """Read every layer by the logit lens, and find the depth at which the target token wins.

    (P) Logit lens, and the depth at which the target passes probability .5 (Chen, Han and Miyao,
    arXiv 2603.21658). (U) Three further rules side by side, intervals:
    `engram.mechanisms.logit_lens`.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids, see `engram.api.texts.read_windows`; a frame may have a column
            `class`.
        prefix: tokens that prompt the model.
        suffix: tokens to reproduce: the targets.
        rules: pairs of name and threshold, `("kl_absolute", 0.1)`.
        tuned: of `tune_lens`, in place of the logit lens.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, or an unknown rule.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    chosen = tuple(rule if isinstance(rule, Rule) else Rule(*rule) for rule in rules)
    if tuned and len(tuned.weight) != len(decoder_layers(lm.model)):
        raise EngramError(
            f"tuned: a lens of {len(tuned.weight)} layers; the model has "
            f"{len(decoder_layers(lm.model))}: give the lens of this model"
        )
    readings = read_layers(lm.model, measured.tokens, prefix, batch_tokens, tuned)
    return Lens(measured, readings, chosen)


def tune_lens(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    steps: int = 200,
    learning_rate: float = 0.001,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
    seed: int = 0,
) -> TunedLens:
    """Train a tuned lens (arXiv 2303.08112): an affine map per depth, after which the model's final
    norm and unembedding give nearly its own output.

    A quarter of the texts chooses each depth's step; see `engram.mechanisms.tuned_lens`.

    Args:
        lm: of `engram.load`.
        texts: as for `lens`, but others than those that will be read.
        prefix: with `suffix`, how many tokens of each text are used.
        suffix: see `prefix`.
        steps: batches of training.
        learning_rate: of Adam's first step; it falls to 0.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per step.
        seed: of the order, and of the validation texts.

    Raises:
        EngramError: texts that cannot be read, or fewer than four.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    return fit_tuned_lens(
        lm.model,
        measured.tokens,
        steps=steps,
        learning_rate=learning_rate,
        batch_tokens=batch_tokens,
        seed=seed,
    )
