"""An attack on the input: the embeddings of the prefix are optimized until the model writes the
suffix.

(P) Adam, learning rate .1, 50 steps, on the loss of what is to come back (*Finding DoRI:
Memorization in Text-to-Image Diffusion Models Is Less Local Than Assumed*, arXiv 2507.16880, of
prompt embeddings and images). (U) Of language models: the embeddings of the prefix's tokens, and
the mean loss of the suffix under teacher forcing. Every text is optimized by itself: Adam works
element by element, and the losses of a batch are added, so no text changes another one's steps.

Under given embeddings, greedy decoding gives the suffix exactly if and only if each suffix token is
the most likely one after the true tokens before it: the forward of every step shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.knockout.kept_conditions import condition_digest
from engram.lm.attention_hook import attention_hook
from engram.lm.conditions import MEASURES, Condition
from engram.lm.inputs import model_input, opening
from engram.lm.interventions import Means, removing
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.models import keep_logits, token_scores


@dataclass(frozen=True)
class Attacked:
    """What an attack brings back of n texts."""

    measures: np.ndarray
    """After 0 … `steps` steps, float32 (n, steps + 1, 3), in the order of
    `engram.lm.conditions.MEASURES`."""
    embeddings: np.ndarray
    """Of the prefix, after the first number of steps that brings the text back; after the last step
    where none does; float32 (n, prefix, width)."""
    distance: np.ndarray
    """How far these are from the text's own, as a fraction of the norm of those, float32 (n,)."""

    @property
    def recovered(self) -> np.ndarray:
        """Which texts are extracted after some number of steps, bool (n,)."""
        return np.asarray((self.measures[..., 0] > 0).any(1))

    @property
    def steps_needed(self) -> np.ndarray:
        """The first number of steps after which a text is extracted, int64 (n,); one more than all
        steps where it never is.
        """
        extracted = self.measures[..., 0] > 0
        return np.where(extracted.any(1), extracted.argmax(1), extracted.shape[1])


def attack_prefixes(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    condition: Condition | None = None,
    means: Means | None = None,
    *,
    steps: int = 50,
    learning_rate: float = 0.1,
    batch_tokens: int = 2048,
    kept: Kept | None = None,
) -> Attacked:
    """Optimize the embeddings of each prefix for its suffix, from those of its own tokens.

    What the model reads in front of the window, and the suffix, keep their embeddings.

    Args:
        model: the model; its weights stay as they are.
        tokens: (n, T).
        prefix: tokens of the prompt.
        condition: what is removed from the model meanwhile; None for the intact model.
        means: needed where the operation of the condition is `mean`.
        steps: of Adam; 0 measures the texts' own embeddings.
        learning_rate: of Adam.
        batch_tokens: tokens per forward and backward pass; halved when a GPU runs out of memory.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: a logit is not finite, or as `attention_hook`.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise EngramError(f"steps: {steps!r}; give a number of steps, 0 or more")
    if not learning_rate > 0:
        raise EngramError(f"learning_rate: {learning_rate!r}; give a number above 0")
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    first = len(opening(model))

    def run(part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        batch = windows[part].to(model.device)  # (b, T)
        with torch.no_grad():
            given = model.get_input_embeddings()(model_input(model, batch))  # (b, B + T, width)
        own = given[:, first : first + prefix].float()
        moved = own.clone().requires_grad_()
        adam = torch.optim.Adam([moved], lr=learning_rate)
        found, back = own.clone(), np.zeros(len(batch), bool)
        measures = []
        for step in range(steps + 1):
            found[~back] = moved.detach()[~back]
            with torch.set_grad_enabled(step < steps):
                embeddings = _with_prefix(given, moved, first)
                with _removed(model, condition, len(batch), batch.shape[1], means):
                    logits = _logits(model, embeddings, first + prefix)
                measures.append(_measures(model, logits.detach(), batch[:, prefix:]))
                back |= measures[-1][:, 0] > 0
                if step < steps:
                    loss = _loss(logits, batch[:, prefix:])
                    (moved.grad,) = torch.autograd.grad(loss.sum(), [moved])
            if step < steps:
                adam.step()
        distance = (found - own).flatten(1).norm(dim=1) / own.flatten(1).norm(dim=1)
        return np.stack(measures, 1), found.cpu().numpy(), distance.cpu().numpy()

    embedding: Any = model.get_input_embeddings()
    width = embedding.embedding_dim
    parts = [
        (
            np.empty((0, steps + 1, len(MEASURES)), np.float32),
            np.empty((0, prefix, width), np.float32),
            np.empty(0, np.float32),
        )
    ]
    rows = _rows(model, windows, batch_tokens)
    removed = condition_digest(condition or Condition(), means)
    own = kept and kept.also(removed, f"{prefix} {steps} {learning_rate!r}")
    batches = kept_batches(run, windows.numpy(), rows, "attack", model.device, own)
    parts += [(measures, found, distance) for _, (measures, found, distance) in batches]
    return Attacked(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def measure_embedded(
    model: PreTrainedModel,
    tokens: np.ndarray,
    embeddings: np.ndarray,
    conditions: Sequence[Condition],
    means: Means | None = None,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> np.ndarray:
    """Return what the model reproduces from given embeddings of the prefixes, float32 (n, C, 3), in
    the order of `engram.lm.conditions.MEASURES`.

    Args:
        model: the model.
        tokens: (n, T).
        embeddings: (n, prefix, width).
        conditions: C, under each of which all texts are measured; `Condition()` is the intact
            model.
        means: needed where an operation is `mean`.
        batch_tokens: tokens per forward.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: a logit is not finite, or as `attention_hook`.
    """
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    first, prefix = len(opening(model)), embeddings.shape[1]

    def run(part: slice) -> list[np.ndarray]:
        batch = windows[part].to(model.device)
        moved = torch.from_numpy(embeddings[part]).to(model.device)
        measures = []
        with torch.no_grad():
            given = model.get_input_embeddings()(model_input(model, batch))
            joined = _with_prefix(given, moved, first)
            for condition in conditions:
                with _removed(model, condition, len(batch), batch.shape[1], means):
                    logits = _logits(model, joined, first + prefix)
                measures.append(_measures(model, logits, batch[:, prefix:]))
        return [np.stack(measures, 1)]

    rows = _rows(model, windows, batch_tokens)
    own = kept and kept.also(embeddings, *(condition_digest(each, means) for each in conditions))
    batches = kept_batches(run, windows.numpy(), rows, "embeddings", model.device, own)
    parts = [values for _, (values,) in batches]
    return np.concatenate([np.empty((0, len(conditions), len(MEASURES)), np.float32), *parts])


def _rows(model: PreTrainedModel, windows: torch.Tensor, batch_tokens: int) -> int:
    return max(1, batch_tokens // (len(opening(model)) + windows.shape[1]))


def _with_prefix(given: torch.Tensor, moved: torch.Tensor, first: int) -> torch.Tensor:
    """Return embeddings (b, B + T, width) with those of the prefix replaced."""
    end = first + moved.shape[1]
    return torch.cat([given[:, :first], moved.to(given.dtype), given[:, end:]], 1)


def _removed(
    model: PreTrainedModel,
    condition: Condition | None,
    rows: int,
    window: int,
    means: Means | None,
) -> AbstractContextManager[None]:
    """Return a context in which one forward runs under a condition."""
    if condition is None or condition.first is None:
        return nullcontext()
    return attention_hook(model, removing(model, condition, rows, window, means))


def _logits(model: PreTrainedModel, embeddings: torch.Tensor, start: int) -> torch.Tensor:
    """Return the logits that predict the tokens from position `start` on, (b, S, V)."""
    length = embeddings.shape[1]
    positions = torch.arange(start - 1, length - 1, device=embeddings.device)
    mask = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
    logits: torch.Tensor = model(
        inputs_embeds=embeddings,
        attention_mask=mask,
        use_cache=False,
        **keep_logits(model, positions),
    ).logits
    return logits if logits.shape[1] == len(positions) else logits[:, positions]


def _loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of each text's suffix in nats, (b, S, V) and (b, S) -> (b,)."""
    log_probabilities = logits.float().log_softmax(-1)
    return -log_probabilities.gather(2, targets[..., None])[..., 0].mean(1)


def _measures(model: PreTrainedModel, logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """Return the measures of each text, float32 (b, 3)."""
    matches, log_probabilities = token_scores(model, logits, targets)
    measures = (matches.all(1).float(), matches.float().mean(1), log_probabilities.mean(1))
    return torch.stack(measures, 1).cpu().numpy()
