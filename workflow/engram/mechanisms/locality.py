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

import numpy as np
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.knockout.kept_conditions import measure_conditions
from engram.lm.conditions import MEASURES, Condition
from engram.lm.interventions import Means, average
from engram.lm.kept_batches import Kept
from engram.mechanisms.embedding_attack import attack_prefixes, measure_embedded
from engram.mechanisms.locality_results import INTACT, RECALLED, REMOVED, UNSEEN, Locality, Texts
from engram.mechanisms.locality_settings import LocalitySettings

CHUNK = 8
"""Numbers of heads that are tried at a time."""
BACKWARD_SHARE = 4
"""A batch of the attack has this part of the tokens of others: it keeps all activations."""
_LOG_PROB = MEASURES.index("suffix_log_prob")


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
