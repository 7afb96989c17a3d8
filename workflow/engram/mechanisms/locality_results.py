"""What is left of recall without its heads, and what an attack brings back.

Results of `engram.mechanisms.locality`: tables of the removal, of the attack step by step, of
recalled against never-seen texts, and of the heads that localization names from the found
embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from engram.lm.conditions import by_measure
from engram.mechanisms.class_means import class_table
from engram.mechanisms.drawn_means import drawn_means
from engram.mechanisms.embedding_attack import Attacked
from engram.mechanisms.locality_settings import LocalitySettings
from engram.mechanisms.overlap import chance_jaccard, jaccard, top_count, top_heads
from engram.scores.bootstrap import (
    cluster_means,
    cluster_sums,
    draw_counts,
    normal_interval,
)

RECALLED, UNSEEN = "recalled", "never seen"
"""Kinds of texts that are attacked."""
INTACT, REMOVED = "intact", "heads removed"
"""States of the model."""


@dataclass(frozen=True)
class Texts:
    """Texts that are attacked."""

    tokens: np.ndarray
    """(n, T)."""
    group: np.ndarray
    """Content group of each, (n,)."""


@dataclass(frozen=True)
class Locality:
    """What is left of recall without its heads, and what an attack brings back."""

    recalled: Texts
    """The n recalled texts."""
    unseen: Texts
    """The m windows that the model has never seen."""
    settings: LocalitySettings
    """How they were attacked."""
    heads: tuple[tuple[int, int], ...]
    """(layer, head) from 1, the most important first, as many as were tried."""
    left: np.ndarray
    """Measures of the recalled texts without the first 0, 1, … heads, float32 (n, tried + 1, 3), in
    the order of `engram.lm.conditions.MEASURES`."""
    removed: int
    """How many heads were knocked out for the attack."""
    gone: bool
    """Whether the share of recalled texts that was left is as small as was asked for."""
    attacks: dict[tuple[str, str], Attacked]
    """By kind of text and state of the model."""
    own_loss: np.ndarray
    """What each text loses without each head, from its own prefix, in the intact model, nats per
    token, float64 (r, N), of the r recalled texts that came back."""
    found_loss: np.ndarray
    """The same from the embeddings that brought it back, (r, N)."""
    per_layer: int
    """Heads of a layer."""

    def removal(self, *, resamples: int, confidence: float, seed: int) -> pd.DataFrame:
        """Return what is left of recalled texts as heads are removed: a row per number of heads:
        removed, layer, head (the last that was removed; empty for none), n, groups; extracted,
        matched_fraction and suffix_log_prob, with `_low` and `_high`; chosen.
        """
        counts = tuple(range(self.left.shape[1]))
        table = class_table(
            {"removed": counts},
            by_measure(self.left),
            np.full(len(self.recalled.tokens), RECALLED, object),
            self.recalled.group,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )
        layer, head = zip((np.nan, np.nan), *self.heads, strict=True)
        table.insert(0, "removed", table.pop("removed"))
        table.insert(1, "layer", pd.Series(layer, dtype="Int64"))
        table.insert(2, "head", pd.Series(head, dtype="Int64"))
        return table.drop(columns="class").assign(chosen=table["removed"] == self.removed)

    def curves(self, *, resamples: int, confidence: float, seed: int) -> pd.DataFrame:
        """Return what the attack brings back, step by step: a row per kind of texts, model and
        step: texts, model, n, groups, step; extracted, recovered (extracted after this step or an
        earlier one), matched_fraction and suffix_log_prob, with `_low` and `_high`.
        """
        tables = []
        for (kind, state), attacked in self.attacks.items():
            measures = attacked.measures
            values = by_measure(measures)
            values["recovered"] = np.maximum.accumulate(measures[..., 0], axis=1)
            texts = self.recalled if kind == RECALLED else self.unseen
            table = class_table(
                {"step": tuple(range(measures.shape[1]))},
                values,
                np.full(len(texts.tokens), kind, object),
                texts.group,
                resamples=resamples,
                confidence=confidence,
                seed=seed,
            ).rename(columns={"class": "texts"})
            table.insert(1, "model", state)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def comparison(self, *, resamples: int, confidence: float, seed: int) -> pd.DataFrame:
        """Return whether recalled texts come back sooner than never-seen ones.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            a row per model: model, removed (heads), gone, n_recalled, n_unseen; of `recovered` (the
            share that is extracted after some step), `steps` (the mean number of steps that it
            takes; texts that never come back count one more than all steps) and `distance` (the
            mean distance that embeddings moved): `<value>_recalled`, `<value>_unseen` and their
            difference `<value>_difference`, with `_low` and `_high`; `sooner`, whether the interval
            of the difference of steps is below 0, and `local`, whether recall was gone without the
            heads and comes back neither sooner nor more often than never-seen text (empty for the
            intact model).
        """
        rows = []
        for state in (INTACT, REMOVED):
            generator = np.random.default_rng(seed)
            row: dict[str, object] = {
                "model": state,
                "removed": self.removed if state == REMOVED else 0,
                "gone": self.gone if state == REMOVED else False,
                "n_recalled": len(self.recalled.tokens),
                "n_unseen": len(self.unseen.tokens),
            }
            groups = []
            for kind, texts in ((RECALLED, self.recalled), (UNSEEN, self.unseen)):
                attacked = self.attacks[kind, state]
                values = np.stack(
                    [attacked.recovered, attacked.steps_needed, attacked.distance], 1
                ).astype(np.float64)
                groups.append(drawn_means(values, texts.group, resamples, generator))
            recalled, unseen = groups
            for position, name in enumerate(("recovered", "steps", "distance")):
                for what, means in (
                    ("recalled", recalled),
                    ("unseen", unseen),
                    ("difference", recalled - unseen),
                ):
                    interval = means.interval(position, confidence)
                    row |= interval.columns(f"{name}_{what}")
                    if (name, what) == ("recovered", "difference"):
                        more_often = interval.low > 0
                    if (name, what) == ("steps", "difference"):
                        row["sooner"] = interval.high < 0
            if state == REMOVED:
                row["local"] = bool(self.gone and not row["sooner"] and not more_often)
            rows.append(row)
        return pd.DataFrame(rows)

    def overlap(self, *, resamples: int, confidence: float, seed: int) -> pd.DataFrame:
        """Return whether localization from the found embeddings names the same heads.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            one row: n (recalled texts that came back), heads (N of the model), top (heads of a
            set), shared; jaccard of both sets with `_low` and `_high` (normal interval, see
            `engram.mechanisms.overlap.head_overlap`); chance, p_chance (of as many shared heads or
            more, of sets drawn at random); shared_removed, how many of the heads that were knocked
            out are in the set of the found embeddings. Empty where fewer than two texts came back.
        """
        n, heads = self.own_loss.shape
        count = top_count(heads, self.settings.top)
        row: dict[str, object] = {"n": n, "heads": heads, "top": count}
        if n < 2:
            names = ("shared", "jaccard", "jaccard_low", "jaccard_high", "chance", "p_chance")
            return pd.DataFrame([row | dict.fromkeys((*names, "shared_removed"), np.nan)])
        back = self.attacks[RECALLED, REMOVED].recovered
        joined = np.concatenate([self.own_loss, self.found_loss], 1)
        sums, sizes = cluster_sums(joined, self.recalled.group[back])
        counts = draw_counts(np.random.default_rng(seed), len(sizes), resamples)
        drawn = cluster_means(counts, sums, sizes)
        own, found = (top_heads(part.mean(0), count) for part in (self.own_loss, self.found_loss))
        index = float(jaccard(own, found))
        of_draws = jaccard(top_heads(drawn[:, :heads], count), top_heads(drawn[:, heads:], count))
        shared = int((own & found).sum())
        removed = [
            (layer - 1) * self.per_layer + head - 1 for layer, head in self.heads[: self.removed]
        ]
        return pd.DataFrame(
            [
                row
                | {"shared": shared}
                | normal_interval(index, of_draws, confidence, limits=(0.0, 1.0)).columns("jaccard")
                | {
                    "chance": chance_jaccard(heads, count, count),
                    "p_chance": float(hypergeom.sf(shared - 1, heads, count, count)),
                    "shared_removed": int(found[removed].sum()),
                }
            ]
        )
