"""Attention heads, ablated one at a time: what each is worth to texts and to their classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel
from engram.api.measured import BATCH_TOKENS, ClassMeans, MeasuredTexts, measured_texts
from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES, by_measure
from engram.mechanisms.heads import HeadEffects, ablate_each_head
from engram.mechanisms.overlap import head_overlap, top_count, top_heads


@dataclass(frozen=True, repr=False, eq=False)
class HeadAblation(ClassMeans):
    """What a model reproduces without each of its heads: what `ablate_heads` returns.

    Layers and heads count from 1. `by_class` has `<measure>_difference` by layer and head.
    """

    texts: MeasuredTexts
    """The texts."""
    operation: str
    """What was done to a head."""
    effects: HeadEffects
    """Measures as arrays."""

    def _keys(self) -> dict[str, tuple[Any, ...]]:
        layers, heads = self.effects.ablated.shape[1:3]
        return {"layer": tuple(range(1, layers + 1)), "head": tuple(range(1, heads + 1))}

    @property
    def table(self) -> pd.DataFrame:
        """A row per text and head: row, class (where texts have one), layer, head; extracted,
        matched_fraction and suffix_log_prob (`engram.lm.attention.Extraction`) without the head,
        and `<measure>_difference` from the intact model: negative for a loss.
        """
        measures = by_measure(self.effects.ablated)
        return self.texts.table(self._keys(), measures | self.effects.differences())

    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        return self._keys(), self.effects.differences()

    def top(self, share: float = 0.2, measure: str = "suffix_log_prob") -> pd.DataFrame:
        """Return the heads whose ablation costs each class most.

        Args:
            share: of all heads.
            measure: by which they are ranked.

        Returns:
            class, rank (from 1), layer, head, depth (layer / L), loss (mean over the class, of the
            measure).
        """
        loss = self._loss(measure)  # (n, N)
        layers, heads = self.effects.ablated.shape[1:3]
        count = top_count(layers * heads, share)
        tables = []
        for name in pd.unique(pd.Series(self.texts.label)):
            mean = loss[self.texts.label == name].mean(0)
            chosen = np.flatnonzero(top_heads(mean, count))
            chosen = chosen[np.argsort(-mean[chosen], kind="stable")]
            layer, head = np.divmod(chosen, heads)
            tables.append(
                pd.DataFrame(
                    {
                        "class": name,
                        "rank": np.arange(1, count + 1),
                        "layer": layer + 1,
                        "head": head + 1,
                        "depth": (layer + 1) / layers,
                        "loss": mean[chosen],
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)

    def overlap(
        self,
        share: float = 0.2,
        measure: str = "suffix_log_prob",
        *,
        resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Return how far the top heads of each two classes overlap, next to chance and to classes
        drawn at random; see `engram.mechanisms.overlap.head_overlap`.

        Args:
            share: of all heads that count as top.
            measure: by which heads are ranked.
            resamples: bootstrap draws, and permutations.
            confidence: nominal coverage.
            seed: of draws and permutations.

        Raises:
            EngramError: all texts are of one class, or a share or measure that does not exist.
        """
        label = self.texts.several_classes("overlap")
        return head_overlap(
            self._loss(measure),
            label,
            self.texts.group,
            share,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )

    def _loss(self, measure: str) -> np.ndarray:
        """Return what each text loses without each head, (n, L·H)."""
        if measure not in MEASURES:
            raise EngramError(f"measure: {measure!r}; choose {', '.join(MEASURES)}")
        difference = self.effects.difference(measure)
        return -difference.reshape(len(difference), -1)

    def __repr__(self) -> str:
        layers, heads = self.effects.ablated.shape[1:3]
        return (
            f"HeadAblation: {len(self.texts.tokens):,} texts, {layers} layers × {heads} heads, "
            f"{self.operation}"
        )


def ablate_heads(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    operation: str = "layer_mean",
    reference: Any = None,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> HeadAblation:
    """Ablate every attention head, one at a time, and measure what the model still reproduces.

    (P) `layer_mean`, the top 20 % of heads, their Jaccard index (Chen, Han and Miyao,
    arXiv 2603.21658). (U) The other operations, log-probabilities, chance and null, intervals. Sets
    of heads are ablated together by `engram.knock_out(…, heads=…, operation="layer_mean")`.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids, see `engram.api.texts.read_windows`; a frame may have a column
            `class`.
        prefix: tokens that prompt the model.
        suffix: tokens to reproduce.
        operation: `layer_mean` replaces the head's output, before the output projection, by the
            mean of the layer's other heads; `remove` by 0; `mean` by its mean over the reference.
        reference: texts for `mean`; best not the same ones.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, an unknown operation, or an architecture whose
            attention cannot be exchanged.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    others = (
        None
        if reference is None
        else measured_texts(lm, reference, prefix, suffix, short, "reference").tokens
    )
    effects = ablate_each_head(lm.model, measured.tokens, prefix, operation, others, batch_tokens)
    return HeadAblation(measured, operation, effects)
