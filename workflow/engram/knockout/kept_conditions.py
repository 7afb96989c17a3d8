"""Knock-outs under many conditions, of which a killed job computes none again."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.hashing import content_digest
from engram.io.parts import Parts, Piece
from engram.lm.conditions import MEASURES, Condition
from engram.lm.feed_forward_removal import FeedForwardMeans
from engram.lm.interventions import Means, knock_out
from engram.lm.kept_batches import PART_SECONDS, Kept

log = logging.getLogger(__name__)


def measure_conditions(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    conditions: Sequence[Condition],
    means: Means | None = None,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
    feed_forward_means: FeedForwardMeans | None = None,
) -> np.ndarray:
    """Return the measures of every condition and sample, float32 (C, n, 3); what an earlier job has
    finished is read.

    Args:
        model: the model.
        tokens: (n, T).
        prefix: tokens of the prompt.
        conditions: C, in any order.
        means: as in `engram.lm.interventions.knock_out`.
        batch_tokens: tokens per forward.
        kept: where finished conditions are kept; None keeps none.
        feed_forward_means: as in `engram.lm.interventions.knock_out`.

    Raises:
        EngramError: as `engram.lm.interventions.knock_out`, or a piece cannot be written.
    """
    if not len(tokens):
        return np.empty((len(conditions), 0, len(MEASURES)), np.float32)
    keys = [_key(condition) for condition in conditions]
    done: dict[str, np.ndarray] = {}
    parts = None
    if kept is not None:
        decided = [*_arrays(means), *_arrays(feed_forward_means)]
        digest = content_digest(kept.decided, str(prefix), tokens.astype("<i4"), *decided)
        parts = Parts(kept.folder / digest)
        done = _read(parts)
    missing = [position for position, key in enumerate(keys) if key not in done]
    if len(missing) < len(keys):
        log.info("%d of %d conditions are finished", len(keys) - len(missing), len(keys))
    fresh: dict[str, np.ndarray] = {}
    since = time.monotonic()
    todo = [conditions[position] for position in missing]
    for position, measures in knock_out(
        model, tokens, prefix, todo, means, batch_tokens, feed_forward_means
    ):
        fresh[keys[missing[position]]] = measures
        if parts is not None and time.monotonic() - since > PART_SECONDS:
            _write(parts, fresh)
            done, fresh, since = done | fresh, {}, time.monotonic()
    if parts is not None:
        _write(parts, fresh)
    done = done | fresh
    return np.stack([done[key] for key in keys])


def condition_digest(condition: Condition, means: Means | None) -> str:
    """Return a digest of what a condition does: what it removes, and what takes its place."""
    return content_digest(_key(condition), *(_arrays(means) if condition.first is not None else ()))


def _arrays(means: Means | FeedForwardMeans | None) -> list[np.ndarray]:
    """Return the arrays of means, those that there are."""
    tensors = [] if means is None else vars(means).values()
    return [tensor.cpu().numpy() for tensor in tensors if isinstance(tensor, torch.Tensor)]


def _key(condition: Condition) -> str:
    """Return a name of a condition, by what it removes."""
    masks = {name: getattr(condition, name) for name in ("cells", "heads", "blocks", "neurons")}
    parts = [part for name, mask in masks.items() if mask is not None for part in (name, mask)]
    rows = () if condition.spans is None else (str(condition.spans),)
    return content_digest(condition.operation, *parts, *rows)


def _read(parts: Parts) -> dict[str, np.ndarray]:
    """Return the measures of finished conditions by the condition's name, (n, 3) each."""
    measures: dict[str, np.ndarray] = {}
    for key in parts.present():
        if piece := parts.read(key):
            measures |= dict(
                zip(piece.metadata["conditions"], piece.arrays["measures"], strict=True)
            )
    return measures


def _write(parts: Parts, finished: dict[str, np.ndarray]) -> None:
    """Keep measures of finished conditions, in one piece."""
    if finished:
        measures = np.stack(list(finished.values()))  # (C, n, 3)
        parts.write(
            content_digest(*finished), Piece({"measures": measures}, {"conditions": list(finished)})
        )
