"""What steering does to texts, and to which of them.

Results of `engram.mechanisms.steering`: probes and patches of every depth, dose–response curves per
class, and *selectivity*, the effect on recalled texts minus that on guessed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.knockout.experiment import Samples
from engram.lm.conditions import MEASURES, by_measure
from engram.mechanisms.class_means import class_table
from engram.mechanisms.drawn_means import drawn_means
from engram.mechanisms.recall_direction import Direction
from engram.mechanisms.steering_settings import SteeringSettings
from engram.scores.bootstrap import Interval

PROBE, RANDOM, SHUFFLED = "probe", "random", "shuffled"
"""Kinds of directions: the probe's, random ones, those of probes of shuffled classes."""
OTHER_TEXT = "other text"
"""The class of texts outside all samples."""


@dataclass(frozen=True)
class SplitTexts:
    """Texts of the three splits, with the class that each is in."""

    train: Samples
    """Fits the probe."""
    validation: Samples
    """Chooses depth and α."""
    test: Samples
    """Is reported."""
    classes: Sequence[str]
    """Class names, by the numbers in `Samples.label`."""
    other: np.ndarray
    """Tokens of other texts, (m, T); may be none."""
    pair: np.ndarray | None = None
    """The pair of each training text, see `fit_direction`."""

    def are(self, samples: Samples, name: str) -> np.ndarray:
        """Return which samples are of a class, bool (n,).

        Raises:
            EngramError: there is no such class.
        """
        if name not in self.classes:
            raise EngramError(
                f"steering: no class {name!r} among {', '.join(map(str, self.classes))}"
            )
        of_class: np.ndarray = samples.label == [*self.classes].index(name)
        return of_class


@dataclass(frozen=True)
class DepthChoice:
    """How well the probe of each depth separates, and what patching its component costs, on
    validation texts of the two classes."""

    depth: int
    """The chosen one."""
    auroc: np.ndarray
    """Of the probes at depths 1 … L, (L,)."""
    recalled_fall: np.ndarray
    """Fall of the suffix's log-probability per token under the patch, (n recalled, L)."""
    kept_fall: np.ndarray
    """The same of guessed texts, (n kept, L)."""
    recalled_group: np.ndarray
    """Content group of each recalled text."""
    kept_group: np.ndarray
    """Content group of each guessed text."""

    def table(self, *, resamples: int, confidence: float, seed: int) -> pd.DataFrame:
        """Return a row per depth: depth, n_recalled, n_kept, auroc; recalled_fall, kept_fall and
        their difference `selectivity`, in nats per token, with `_low` and `_high` from a bootstrap
        over content groups; chosen.
        """
        generator = np.random.default_rng(seed)
        recalled, kept = (
            drawn_means(falls, group, resamples, generator)
            for falls, group in (
                (self.recalled_fall, self.recalled_group),
                (self.kept_fall, self.kept_group),
            )
        )
        rows = []
        for number, auroc in enumerate(self.auroc):
            row: dict[str, object] = {
                "depth": number + 1,
                "n_recalled": len(self.recalled_fall),
                "n_kept": len(self.kept_fall),
                "auroc": auroc,
            }
            for name, means in (
                ("recalled_fall", recalled),
                ("kept_fall", kept),
                ("selectivity", recalled - kept),
            ):
                row |= means.interval(number, confidence).columns(name)
            rows.append(row | {"chosen": number + 1 == self.depth})
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class Steered:
    """What steering does to n test texts, with D directions and A strengths."""

    texts: SplitTexts
    """The texts."""
    settings: SteeringSettings
    """How they were steered."""
    choice: DepthChoice
    """Probes and patches of every depth."""
    directions: tuple[Direction, ...]
    """D of the chosen depth; the first is the probe's."""
    kinds: tuple[str, ...]
    """Kind of each direction, (D,)."""
    alphas: tuple[float, ...]
    """Strengths in ascending order; 0 is among them."""
    alpha: float
    """The smallest positive strength that switches recall off on validation texts; where none
    does, the most selective one."""
    measures: np.ndarray
    """Of test texts, float32 (n, D, A, 3), in the order of `engram.lm.conditions.MEASURES`."""
    other: np.ndarray
    """Of other texts, float32 (m, D, A, 3)."""

    def by_kind(self) -> np.ndarray:
        """Return means over the directions of a kind, of test and other texts, float64
        (n + m, 3 kinds, A, 3).
        """
        joined = np.concatenate([self.measures, self.other]).astype(np.float64)
        kinds = np.array(self.kinds)
        return np.stack([joined[:, kinds == kind].mean(1) for kind in (PROBE, RANDOM, SHUFFLED)], 1)

    @property
    def label(self) -> np.ndarray:
        """Class of each test text and other text, (n + m,)."""
        names = np.array([*self.texts.classes, OTHER_TEXT], object)
        of_other = np.full(len(self.other), len(self.texts.classes))
        return names[np.concatenate([self.texts.test.label, of_other])]

    @property
    def group(self) -> np.ndarray:
        """Content group of each test text and other text, (n + m,); other texts count singly."""
        return np.concatenate([self.texts.test.content_group, np.arange(len(self.other))])

    def by_class(self, *, resamples: int, confidence: float, seed: int) -> pd.DataFrame:
        """Return what is left of every class: the dose–response curves.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            a row per class (other text included), direction (`probe`, `random`, `shuffled`: means
            over all of a kind) and α: class, n, groups, direction, alpha; extracted,
            matched_fraction, suffix_log_prob (nats per token) and perplexity (exp of minus its
            mean), with `_low` and `_high`.
        """
        values = self.by_kind()
        table = class_table(
            {"direction": (PROBE, RANDOM, SHUFFLED), "alpha": self.alphas},
            by_measure(values),
            self.label,
            self.group,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )
        return table.assign(
            perplexity=np.exp(-table["suffix_log_prob"]),
            perplexity_low=np.exp(-table["suffix_log_prob_high"]),
            perplexity_high=np.exp(-table["suffix_log_prob_low"]),
        )

    def selectivity(self, *, resamples: int, confidence: float, seed: int) -> pd.DataFrame:
        """Return whether steering acts on recalled texts and leaves guessed ones alone.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            a row per α and measure: alpha, measure, n_recalled, n_kept; `recalled` and `kept`, the
            effects of steering (minus the intact model) on the two classes, and `difference`, the
            first minus the second, with `_low` and `_high`; the same difference under controls:
            `random` (mean over directions), `random_low` and `random_high` (least and largest), and
            `shuffled`, likewise; `p_random`, the share of random directions whose difference is as
            large in size, the probe's own included; `chosen`, whether α is the one that was chosen
            on validation texts; `selective`, whether the interval of the difference leaves 0 out
            and p_random is at most 1 − confidence.
        """
        texts, test = self.texts, self.texts.test
        generator = np.random.default_rng(seed)
        intact = self.alphas.index(0.0)
        joined = self.measures.astype(np.float64)
        effects = joined - joined[:, :, intact, None]  # (n, D, A, 3)
        means, of_probe, sizes = [], [], []
        for name in (self.settings.recalled, self.settings.kept):
            rows = texts.are(test, name)
            sizes.append(int(rows.sum()))
            means.append(
                effects[rows].mean(0) if rows.any() else np.full(effects.shape[1:], np.nan)
            )
            of_probe.append(
                drawn_means(
                    effects[rows, 0].reshape(sizes[-1], int(np.prod(effects.shape[2:]))),  # (n, 3A)
                    test.content_group[rows],
                    resamples,
                    generator,
                )
            )
        differences = means[0] - means[1]  # (D, A, 3)
        kinds = np.array(self.kinds)
        rows_of_table: list[dict[str, object]] = []
        for a, alpha in enumerate(self.alphas):
            if a == intact:
                continue
            for m, measure in enumerate(MEASURES):
                row: dict[str, object] = {
                    "alpha": alpha,
                    "measure": measure,
                    "n_recalled": sizes[0],
                    "n_kept": sizes[1],
                }
                recalled, kept, difference = (
                    drawn.interval(a * len(MEASURES) + m, confidence)
                    for drawn in (*of_probe, of_probe[0] - of_probe[1])
                )
                row |= recalled.columns("recalled") | kept.columns("kept")
                row |= difference.columns("difference")
                for kind in (RANDOM, SHUFFLED):
                    of_kind = differences[kinds == kind, a, m]
                    ends = Interval(float(of_kind.mean()), *map(float, _ends(of_kind)))
                    row |= ends.columns(kind)
                of_random = np.abs(differences[kinds == RANDOM, a, m])
                as_large = int((of_random >= abs(difference.value) - 1e-12).sum())
                p_random = (1 + as_large) / (1 + len(of_random))
                apart = difference.low > 0 or difference.high < 0
                row |= {
                    "p_random": p_random,
                    "chosen": alpha == self.alpha,
                    "selective": bool(apart and p_random <= 1 - confidence + 1e-12),
                }
                rows_of_table.append(row)
        return pd.DataFrame(rows_of_table)


def _ends(values: np.ndarray) -> tuple[float, float]:
    return values.min(), values.max()
