"""Entropy of representations: how many directions a text's states spread over, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel
from engram.api.measured import BATCH_TOKENS, ClassMeans, MeasuredTexts, measured_texts
from engram.io.errors import EngramError
from engram.mechanisms.entropy import PATCH, RepresentationEntropy, representation_entropy


@dataclass(frozen=True, repr=False, eq=False)
class Entropy(ClassMeans):
    """Entropy of texts at every depth: what `entropy` returns. `by_class` has entropy and
    suffix_entropy, by depth.
    """

    texts: MeasuredTexts
    """The texts."""
    patch: int
    """Tokens of a patch."""
    measured: RepresentationEntropy
    """Entropies as arrays."""

    def _keys(self) -> dict[str, tuple[Any, ...]]:
        return {"depth": tuple(range(self.measured.patches.shape[1]))}

    @property
    def table(self) -> pd.DataFrame:
        """A row per text and depth: row, class (where texts have one), depth, entropy and
        suffix_entropy in nats (means over all patches and over those of the suffix).
        """
        return self.texts.table(self._keys(), self.measured.values())

    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return self._keys(), self.measured.values()

    def difference_by_class(
        self, other: Entropy, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return the mean paired difference from another model on the same texts, this one minus
        the other, with intervals over content groups.

        Args:
            other: of a model of as many layers, on the same texts.
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            as `by_class`, with the columns entropy_difference and suffix_entropy_difference.

        Raises:
            EngramError: other texts, patches or numbers of layers.
        """
        own, others = self.measured.patches.shape, other.measured.patches.shape
        if not np.array_equal(self.texts.tokens, other.texts.tokens) or own != others:
            raise EngramError(
                f"other: {others[0]} texts × {others[1]} depths × {others[2]} patches; a paired "
                f"difference needs the same texts, {own[0]} × {own[1]} × {own[2]}"
            )
        values = other.measured.values()
        return self.texts.by_class(
            self._keys(),
            {
                f"{name}_difference": value - values[name]
                for name, value in self.measured.values().items()
            },
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )

    def __repr__(self) -> str:
        texts, depths, _ = self.measured.patches.shape
        return f"Entropy: {texts:,} texts, depths 0 to {depths - 1}, patches of {self.patch} tokens"


def entropy(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    patch: int = PATCH,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> Entropy:
    """Measure the matrix-based entropy of a model's states, at every depth.

    (P) 2·log tr G − log ‖G‖²_F with G = ZZᵀ, Z the states of a patch of 8 tokens
    (arXiv 2505.08727). (U) Patches of the suffix apart, classes, paired differences, intervals:
    `engram.mechanisms.entropy`.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids, see `engram.api.texts.read_windows`; a frame may have a column
            `class`.
        prefix: tokens that prompt the model.
        suffix: tokens to reproduce.
        patch: tokens of a patch.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, or a patch that does not fit them.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    result = representation_entropy(lm.model, measured.tokens, prefix, patch, batch_tokens)
    return Entropy(measured, patch, result)
