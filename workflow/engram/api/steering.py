"""Steering: can recall be switched off, and guesses kept?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engram.api.language_model import LanguageModel
from engram.api.measured import BATCH_TOKENS, MeasuredTexts, columns, measured_texts
from engram.io.errors import EngramError
from engram.knockout.experiment import Samples
from engram.lm.conditions import by_measure
from engram.mechanisms.recall_direction import UNPAIRED
from engram.mechanisms.steering import steer as run_steering
from engram.mechanisms.steering_results import SplitTexts, Steered
from engram.mechanisms.steering_settings import SteeringSettings
from engram.taxonomy.sampling import SPLITS

SHARES = (0.4, 0.6)
"""Where the drawn training and validation splits end; the rest is tested."""


@dataclass(frozen=True, repr=False, eq=False)
class Steering:
    """What steering does to texts: what `steer` returns."""

    texts: MeasuredTexts
    """All texts, those of other splits included."""
    split: np.ndarray
    """The split of each text, (n,)."""
    values: Steered
    """Results as arrays, of the test texts."""

    @property
    def depth(self) -> int:
        """The layer whose output was steered."""
        return self.values.choice.depth

    @property
    def alpha(self) -> float:
        """The smallest step that switches recall off on validation texts (see `Steered.alpha`)."""
        return self.values.alpha

    @property
    def table(self) -> pd.DataFrame:
        """A row per test text and step along the probe's direction: row, class, alpha; extracted,
        matched_fraction, suffix_log_prob (`engram.lm.attention.Extraction`).
        """
        tested = np.flatnonzero(self.split == "test")
        measures = self.values.measures[:, 0]  # (n, A, 3)
        count = len(self.values.alphas)
        return pd.DataFrame(
            {
                "row": self.texts.windows.index[tested].repeat(count),
                "class": self.texts.label[tested].repeat(count),
                "alpha": np.tile(self.values.alphas, len(tested)),
                **columns(by_measure(measures)),
            }
        )

    def depths(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return how well the probe of each depth separates, and what patching costs both classes:
        `engram.mechanisms.steering.DepthChoice.table`.
        """
        return self.values.choice.table(resamples=resamples, confidence=confidence, seed=seed)

    def by_class(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return the dose–response curves, controls included:
        `engram.mechanisms.steering.Steered.by_class`.
        """
        return self.values.by_class(resamples=resamples, confidence=confidence, seed=seed)

    def selectivity(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return the effect on recalled texts minus that on guessed ones, with intervals and
        controls: `engram.mechanisms.steering.Steered.selectivity`.
        """
        return self.values.selectivity(resamples=resamples, confidence=confidence, seed=seed)

    def __repr__(self) -> str:
        return (
            f"Steering: {len(self.values.measures):,} test texts, at depth {self.depth}, "
            f"{len(self.values.alphas)} steps, {len(self.values.kinds) - 1} controls"
        )


def steer(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    recalled: str = "Others",
    kept: str = "Guess",
    alphas: Sequence[float] = SteeringSettings().alphas,
    depth: int = 0,
    draws: int = 20,
    shuffles: int = 5,
    places: int = 8,
    strength: float = 0.01,
    other: Any = None,
    seed: int = 0,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> Steering:
    """Steer a model away from recall while it decodes, and measure what is left of each class.

    (P) Probe, activation patching and h ← h − α·σ(probe(h))·v̂ (arXiv 2510.22099). (U) Where the
    probe is fitted, how depth and α are chosen, the controls, outcomes per class:
    `engram.mechanisms.steering`.

    Args:
        lm: of `engram.load`.
        texts: a frame with a column `class`, see `engram.api.texts.read_windows`. A column `split`
            (`train`, `validation`, `test`) says what a text is for; without it, 40 % fit the probe,
            20 % choose depth and α and 40 % are tested, drawn by content group. A column `pair`
            (whole numbers, −1 for none) names pairs of a recalled and a guessed text.
        prefix: tokens that prompt the model.
        suffix: tokens to reproduce.
        recalled: the class whose texts are recalled.
        kept: the class that is to be kept.
        alphas: steps, as fractions of the mean norm of a state; positive ones lead away from
            recall. 0 is always measured.
        depth: the layer whose output is steered, from 1; 0 chooses it by activation patching.
        draws: random directions to compare with, 20 or more.
        shuffles: probes of shuffled classes to compare with.
        places: positions of each suffix that the probe is fitted on.
        strength: penalty of the probe, see `SteeringSettings.strength`.
        other: further texts whose perplexity is measured under steering.
        seed: of splits, directions and shuffled classes.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read or have no class, a class that a split lacks, or a
            value out of range.
    """
    settings = SteeringSettings.parse(
        {
            "recalled": recalled,
            "kept": kept,
            "alphas": [*map(float, alphas)],
            "depth": depth,
            "draws": draws,
            "shuffles": shuffles,
            "places": places,
            "strength": strength,
        },
        "steering",
    )
    measured = measured_texts(lm, texts, prefix, suffix, short)
    given = measured.windows.columns
    if "class" not in given:
        raise EngramError("texts: no column `class`; give a frame that says which text is recalled")
    pair = given["pair"].to_numpy(np.int64) if "pair" in given else None
    split = (
        given["split"].to_numpy(object)
        if "split" in given
        else draw_splits(measured.group, pair, seed)
    )
    if unknown := sorted({*map(str, split)} - {*SPLITS}):
        raise EngramError(f"split: {unknown[0]!r}; choose {', '.join(SPLITS)}")
    number, classes = pd.factorize(measured.label)
    parts = []
    for name in SPLITS:
        rows = np.flatnonzero(split == name)
        parts.append(Samples(rows, measured.group[rows], number[rows], measured.tokens[rows]))
    further = (
        np.empty((0, prefix + suffix), np.int64)
        if other is None
        else measured_texts(lm, other, prefix, suffix, short, "other").tokens
    )
    of_train = None if pair is None else pair[split == "train"]
    train, validation, test = parts
    divided = SplitTexts(train, validation, test, [*map(str, classes)], further, of_train)
    values = run_steering(lm.model, divided, prefix, settings, batch_tokens, seed=seed)
    return Steering(measured, split, values)


def draw_splits(group: np.ndarray, pair: np.ndarray | None, seed: int) -> np.ndarray:
    """Return a random split of each text, (n,): texts of one content group or one pair share it.

    Args:
        group: content groups, (n,).
        pair: pairs, (n,), `UNPAIRED` for none; None where no text has one.
        seed: of the draw.
    """
    texts = np.arange(len(group))
    linked = [group] if pair is None else [group, np.where(pair == UNPAIRED, -1 - texts, pair)]
    edges = []
    for names in linked:
        _, first, place = np.unique(names, return_index=True, return_inverse=True)
        edges.append(np.stack([texts, first[place]]))
    ends = np.concatenate(edges, 1)
    graph = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(len(texts),) * 2)
    count, unit = connected_components(graph, directed=False)
    place = np.random.default_rng(seed).permutation(count)[unit] / count
    return np.array(SPLITS, object)[np.searchsorted(SHARES, place, side="right")]
