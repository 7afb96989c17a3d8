"""Noise on the residual stream: what the model still reproduces, and how it recovers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel
from engram.api.measured import BATCH_TOKENS, ClassMeans, MeasuredTexts, measured_texts
from engram.lm.conditions import by_measure
from engram.mechanisms.perturbation import PerturbationSettings, Perturbed
from engram.mechanisms.perturbation import perturb as run_noise


@dataclass(frozen=True, repr=False, eq=False)
class Perturbation(ClassMeans):
    """What noise leaves of texts: what `perturb` returns. `by_class` has extracted (a rate),
    matched_fraction and suffix_log_prob by strength, means over seeds.
    """

    texts: MeasuredTexts
    """The texts."""
    settings: PerturbationSettings
    """The noise."""
    values: Perturbed
    """Measures and recovery as arrays."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths that recovery is measured at: that of the noise, and all after it."""
        first = self.settings.depth
        return tuple(range(first, first + self.values.recovery.shape[-1]))

    def _keys(self) -> dict[str, tuple[Any, ...]]:
        return {"alpha": self.settings.alphas, "seed": self.settings.seeds}

    @property
    def table(self) -> pd.DataFrame:
        """A row per text, strength and seed: row, class (where texts have one), alpha, seed,
        extracted, matched_fraction, suffix_log_prob (`engram.lm.attention.Extraction`).
        """
        return self.texts.table(self._keys(), by_measure(self.values.measures))

    @property
    def recovery(self) -> pd.DataFrame:
        """A row per text, strength and depth: row, class, alpha, depth, cosine (to the clean run,
        mean over tokens and seeds), cosine_sd (over seeds).
        """
        of_seeds = self.values.recovery.astype(np.float64)  # (n, A, R, D)
        return self.texts.table(
            {"alpha": self.settings.alphas, "depth": self.depths},
            {"cosine": of_seeds.mean(2), "cosine_sd": of_seeds.std(2)},
        )

    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        measures = by_measure(self.values.measures)
        return {"alpha": self.settings.alphas}, {
            name: values.mean(2) for name, values in measures.items()
        }

    def recovery_by_class(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return the mean cosine to the clean run, with intervals over content groups.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            a row per class, strength and depth: class, n, groups, alpha, depth; cosine with `_low`
            and `_high`.
        """
        return self.texts.by_class(
            {"alpha": self.settings.alphas, "depth": self.depths},
            {"cosine": self.values.recovery.mean(2)},
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )

    def __repr__(self) -> str:
        strengths = ", ".join(f"{alpha:g}" for alpha in self.settings.alphas)
        return (
            f"Perturbation: {len(self.texts.tokens):,} texts, alpha {strengths}, "
            f"{len(self.settings.seeds)} seed(s), at depth {self.settings.depth}"
        )


def perturb(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    alphas: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    seeds: int | Sequence[int] = 10,
    depth: int = 0,
    scale: str = "norm",
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> Perturbation:
    """Add Gaussian noise to the residual stream, and measure what the model still reproduces.

    (P) Relative noise at the first layer, α from 0 to .5; recovery is the cosine to the clean run
    (Chen, Han and Miyao, arXiv 2603.21658). (U) The exact scale, seeds, other depths and suffix
    log-probabilities: `engram.mechanisms.perturbation`.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids, see `engram.api.texts.read_windows`; a frame may have a column
            `class`.
        prefix: tokens that prompt the model.
        suffix: tokens to reproduce.
        alphas: strengths of the noise; 0 is the clean run.
        seeds: how many seeds, or which.
        depth: where the noise is added: 0 is what enters the first layer, l what layer l puts out.
        scale: `norm` adds α·‖h‖·ε/‖ε‖ to every token's state h; `std` adds α·σ(h)·ε.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, or a value out of range.
    """
    measured = measured_texts(lm, texts, prefix, suffix, short)
    chosen = range(seeds) if isinstance(seeds, int) else seeds
    settings = PerturbationSettings(
        tuple(map(float, alphas)), tuple(map(int, chosen)), depth, scale
    )
    values = run_noise(lm.model, measured.tokens, prefix, settings, batch_tokens)
    return Perturbation(measured, settings, values)
