"""REMIND: losses of texts and of their neighbours, and what they say about the texts' classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel
from engram.api.measured import ClassMeans, MeasuredTexts, measured_texts
from engram.lm.tokens import decode
from engram.mechanisms.remind import Landscape, Neighbourhood, measure_landscape
from engram.mechanisms.remind_scores import cross_folds, held_out_logits, score_methods

BATCH_TOKENS = 4096
"""Tokens per forward unless the caller says otherwise: the logits of a batch take most memory."""


@dataclass(frozen=True, repr=False, eq=False)
class Remind(ClassMeans):
    """Losses of texts and of their neighbours: what `remind` returns. `by_class` has the columns of
    `table`.
    """

    texts: MeasuredTexts
    """The texts."""
    neighbourhood: Neighbourhood
    """Which neighbours were drawn."""
    landscape: Landscape
    """Losses as arrays."""

    @property
    def table(self) -> pd.DataFrame:
        """A row per text: row, class (where texts have one); the features
        (`engram.mechanisms.remind.FEATURES`, of losses in nats), and what reads the text alone:
        loss, zlib (nats per byte), min_k and min_k_plus_plus.
        """
        return self.texts.table({}, self.landscape.values())

    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return {}, self.landscape.values()

    def scores(
        self,
        folds: int = 5,
        *,
        resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Return how well the losses say which class a text is of: every class against the rest, on
        content groups that nothing was fitted on.

        Args:
            folds: parts of the content groups; each is tested on what is fitted on the others.
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of folds, forest and draws.

        Returns:
            method (`forest`, `logistic`; `rivals`, and each of them), class, n, rest, groups; auc
            and tpr (at 1 % false alarms) with `_low` and `_high`: see
            `engram.mechanisms.remind_scores`.

        Raises:
            EngramError: texts of one class, or too few content groups.
        """
        label, names = pd.factorize(self.texts.several_classes("scores"))
        group = self.texts.group
        logits = held_out_logits(
            self.landscape, label, len(names), cross_folds(group, folds, seed), seed
        )
        return score_methods(
            logits,
            label,
            group,
            [*map(str, names)],
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )

    def __repr__(self) -> str:
        return (
            f"Remind: {len(self.texts.tokens):,} texts, {self.neighbourhood.count} neighbours of "
            f"each"
        )


def remind(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    neighbours: int = 15,
    share: float = 0.3,
    nearest: int = 20,
    seed: int = 0,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> Remind:
    """Measure the loss of texts and of their neighbours, copies in which some tokens are exchanged.

    (P) 15 neighbours, tokens replaced with p = .3 by one of their 20 nearest, features of the
    losses, a forest of 100 trees (REMIND, arXiv 2511.04228). (U) The model's own embeddings, five
    of the 15 features, intervals: `engram.mechanisms.remind`. Takes neighbours + 1 forwards per
    text.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids, see `engram.api.texts.read_windows`; a frame may have a column
            `class`.
        prefix: tokens that prompt the model; here they only decide which texts are one content
            group, those of equal suffixes. Losses are of the whole text.
        suffix: tokens to reproduce.
        neighbours: of each text.
        share: probability with which a token is replaced.
        nearest: nearest tokens, by the cosine of the model's input embeddings, of which one
            replaces it.
        seed: of the draws.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, or a value out of range.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    neighbourhood = Neighbourhood(neighbours, share, nearest, seed)
    landscape = measure_landscape(
        lm.model,
        measured.tokens,
        decode(lm.tokenizer, measured.tokens),
        neighbourhood,
        batch_tokens,
    )
    return Remind(measured, neighbourhood, landscape)
