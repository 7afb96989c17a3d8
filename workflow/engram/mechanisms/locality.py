"""Is recall local? Heads are knocked out until it is gone, and an attack on the prefix's
embeddings tries to bring it back.

(P) What localization names is removed. If optimized inputs still bring the memorized content back,
the removal had hidden it and not deleted it, and localization from these inputs may name other
places (*Finding DoRI*, arXiv 2507.16880, on text-to-image models). (U) On language models and
heads: the smallest number of heads, in the order of their single effects, that leaves at most a
given share of the recalled texts extracted; two comparisons, since an attack can make a model write
many things, with windows that the model has never seen and with the intact model; the overlap of
the sets of heads with its chance value, which is hypergeometric.

Recall is *not local* where it comes back sooner, or more often, than never-seen text does:
something of it is left outside the removed heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import hypergeom
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.knockout.kept_conditions import measure_conditions
from engram.lm.conditions import MEASURES, Condition, by_measure
from engram.lm.interventions import Means, average
from engram.lm.kept_batches import Kept
from engram.mechanisms.class_means import class_table
from engram.mechanisms.embedding_attack import Attacked, attack_prefixes, measure_embedded
from engram.mechanisms.locality_settings import LocalitySettings
from engram.mechanisms.overlap import chance_jaccard, jaccard, top_count, top_heads
from engram.scores.bootstrap import (
    cluster_means,
    cluster_sums,
    draw_counts,
    normal_interval,
    percentile_interval,
)

RECALLED, UNSEEN = "recalled", "never seen"
"""Kinds of texts that are attacked."""
INTACT, REMOVED = "intact", "heads removed"
"""States of the model."""
CHUNK = 8
"""Numbers of heads that are tried at a time."""
BACKWARD_SHARE = 4
"""A batch of the attack has this part of the tokens of others: it keeps all activations."""
_LOG_PROB = MEASURES.index("suffix_log_prob")


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
            means, draws = [], []
            for kind, texts in ((RECALLED, self.recalled), (UNSEEN, self.unseen)):
                attacked = self.attacks[kind, state]
                values = np.stack(
                    [attacked.recovered, attacked.steps_needed, attacked.distance], 1
                ).astype(np.float64)
                sums, sizes = cluster_sums(values, texts.group)
                counts = draw_counts(generator, len(sizes), resamples)
                means.append(values.mean(0))
                draws.append(cluster_means(counts, sums, sizes))
            for position, name in enumerate(("recovered", "steps", "distance")):
                for what, value, drawn in (
                    ("recalled", means[0], draws[0]),
                    ("unseen", means[1], draws[1]),
                    ("difference", means[0] - means[1], draws[0] - draws[1]),
                ):
                    interval = percentile_interval(value[position], drawn[:, position], confidence)
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


def rank_heads(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    operation: str = "remove",
    means: Means | None = None,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> list[tuple[int, int]]:
    """Return all heads (layer, head) from 1, in the order of what texts (n, T) lose in
    log-probability of the suffix without each of them alone, the most important first.
    """
    conditions = [Condition(), *_single_heads(model, operation)]
    measures = measure_conditions(model, tokens, prefix, conditions, means, batch_tokens, kept)
    cost = np.array([values[:, _LOG_PROB].mean(dtype=np.float64) for values in measures])
    order = np.argsort(cost[1:], kind="stable")
    layers, heads = np.divmod(order, model.config.get_text_config().num_attention_heads)
    return [(int(layer) + 1, int(head) + 1) for layer, head in zip(layers, heads, strict=True)]


def probe_locality(
    model: PreTrainedModel,
    recalled: Texts,
    unseen: Texts,
    prefix: int,
    settings: LocalitySettings,
    *,
    ranking: np.ndarray | None = None,
    heads: Sequence[tuple[int, int]] | None = None,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> Locality:
    """Knock out heads until recall is gone, attack, and localize again.

    Args:
        model: the model.
        recalled: texts that the model recalls.
        unseen: windows that it has never seen.
        prefix: tokens of the prompt.
        settings: see `LocalitySettings`.
        ranking: other recalled texts, (m, T), that heads are ranked on, and over which means are
            taken; needed without `heads`, and for `operation: mean`.
        heads: in the order in which they are knocked out, (layer, head) from 1.
        batch_tokens: tokens per forward.
        kept: where what is finished is kept; None keeps nothing.

    Raises:
        EngramError: no texts, heads that the model does not have, or as `knock_out`.
    """
    for name, texts in (("recalled", recalled.tokens), ("never-seen", unseen.tokens)):
        if not len(texts):
            raise EngramError(f"locality: no {name} text; take more texts")
    if not len(ranking if ranking is not None else ()) and (
        heads is None or settings.operation == "mean"
    ):
        raise EngramError("locality: no text to rank heads on; take more validation texts")
    means = (
        average(model, ranking, batch_tokens)
        if settings.operation == "mean" and ranking is not None
        else None
    )
    config = model.config.get_text_config()
    shape = config.num_hidden_layers, config.num_attention_heads
    if heads is None and ranking is not None:
        heads = rank_heads(model, ranking, prefix, settings.operation, means, batch_tokens, kept)
    order = _checked(heads or (), *shape)
    most = min(len(order), max(1, round(settings.most * shape[0] * shape[1])))
    conditions = [
        Condition(settings.operation, heads=_mask(order[:count], shape)) if count else Condition()
        for count in range(most + 1)
    ]
    removal = _remove_until(
        model, recalled.tokens, prefix, conditions, settings.left, means, batch_tokens, kept
    )
    shares = removal[..., 0].mean(0)
    gone = shares <= settings.left
    removed = int(gone.argmax()) if gone.any() else len(shares) - 1
    attacks = {
        (kind, state): attack_prefixes(
            model,
            texts.tokens,
            prefix,
            conditions[removed] if state == REMOVED else None,
            means,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            batch_tokens=max(1, batch_tokens // BACKWARD_SHARE),
            kept=kept,
        )
        for state in (INTACT, REMOVED)
        for kind, texts in ((RECALLED, recalled), (UNSEEN, unseen))
    }
    attacked = attacks[RECALLED, REMOVED]
    back = attacked.recovered
    tokens = recalled.tokens[back]
    own = attack_prefixes(model, tokens, prefix, steps=0, batch_tokens=batch_tokens).embeddings
    single = [Condition(), *_single_heads(model, settings.operation)]
    losses = []
    for embeddings in (own, attacked.embeddings[back]):
        measured = measure_embedded(model, tokens, embeddings, single, means, batch_tokens, kept)
        cost = measured[..., _LOG_PROB].astype(np.float64)
        losses.append(cost[:, :1] - cost[:, 1:])
    return Locality(
        recalled,
        unseen,
        settings,
        tuple(order[: len(shares) - 1]),
        removal,
        removed,
        bool(gone.any()),
        attacks,
        losses[0],
        losses[1],
        shape[1],
    )


def _remove_until(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    conditions: Sequence[Condition],
    left: float,
    means: Means | None,
    batch_tokens: int,
    kept: Kept | None,
) -> np.ndarray:
    """Return the measures of texts under the conditions up to the first that leaves at most a share
    of them extracted, float32 (n, C', 3); under all of them where none does.
    """
    parts: list[np.ndarray] = []
    for start in range(0, len(conditions), CHUNK):
        chunk = conditions[start : start + CHUNK]
        values = measure_conditions(model, tokens, prefix, chunk, means, batch_tokens, kept)
        for of_condition in values:
            parts.append(of_condition)
            if of_condition[:, 0].mean() <= left:
                return np.stack(parts, 1)
    return np.stack(parts, 1)


def _single_heads(model: PreTrainedModel, operation: str) -> list[Condition]:
    """Return the conditions that remove each head alone, layer by layer."""
    config = model.config.get_text_config()
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    each = np.eye(layers * heads, dtype=bool).reshape(-1, layers, heads)
    return [Condition(operation, heads=head) for head in each]


def _mask(heads: Sequence[tuple[int, int]], shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for layer, head in heads:
        mask[layer - 1, head - 1] = True
    return mask


def _checked(
    heads: Sequence[tuple[int, int]], layers: int, per_layer: int
) -> list[tuple[int, int]]:
    """Return heads as plain numbers.

    Raises:
        EngramError: none, one twice, or one that the model does not have.
    """
    order = [(int(layer), int(head)) for layer, head in heads]
    if not order or len(set(order)) < len(order):
        raise EngramError(f"heads: {order}; give different heads, the most important first")
    for layer, head in order:
        if not (1 <= layer <= layers and 1 <= head <= per_layer):
            raise EngramError(
                f"heads: ({layer}, {head}); the model has layers 1 to {layers} and heads 1 to "
                f"{per_layer}"
            )
    return order
