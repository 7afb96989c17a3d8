"""The check of an extraction against transformers itself, made in every job before it writes.

A few sequences go through the model once more, one at a time: the architecture's own eager forward
with `output_attentions`, and `generate()`. Batching, masks, positions, the attention hook and the
cache are the study's; the oracle shares none of them, and of the code only what a sequence begins
with (`engram.lm.inputs`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel

from engram.io.errors import EngramError
from engram.io.packing import pack
from engram.lm.attention import Extraction
from engram.lm.attention_hook import implementation
from engram.lm.generation import greedy_continuations
from engram.lm.inputs import model_input
from engram.lm.models import token_scores

ORACLE_SEQUENCES = 3
"""Sequences of an extraction that are compared, as far as `SECONDS` allow; one in any case."""
SECONDS = 2.5
"""Seconds after which no further sequence is begun."""
TOLERANCES = {"float32": (1e-5, 1e-3), "float16": (4e-3, 0.1), "bfloat16": (2e-2, 0.4)}
"""Precision → differences that rounding may make: mean over a map's weights; one weight, one mean
log-probability in nats, and one logit relative to the largest."""


def compare_with_transformers(
    model: PreTrainedModel, tokens: np.ndarray, prefix: int, found: Extraction
) -> int:
    """Compare sequences with transformers' own computation.

    No other thread may use the model meanwhile: its attention implementation is switched.

    Args:
        model: the model.
        tokens: (b, T).
        prefix: tokens of the prompt.
        found: what was extracted of them as one batch.

    Returns:
        how many sequences were compared.

    Raises:
        EngramError: pooled maps, scores or a continuation differ by more than rounding in the
            model's precision explains; tokens may differ where two are about equally likely.
    """
    begun, done = time.monotonic(), 0
    for row in range(len(tokens)):
        if done and time.monotonic() - begun > SECONDS:
            break
        _compare_forward(model, tokens[row], prefix, found, row)
        _compare_continuation(model, tokens[row], prefix)
        done += 1
    return done


def _tolerances(model: PreTrainedModel) -> tuple[float, float]:
    return TOLERANCES[str(model.dtype).removeprefix("torch.")]


def _compare_forward(
    model: PreTrainedModel, tokens: np.ndarray, prefix: int, found: Extraction, row: int
) -> None:
    """Compare maps and scores of one sequence (T,)."""
    average, single = _tolerances(model)
    batch = torch.as_tensor(tokens, device=model.device, dtype=torch.long)[None]  # (1, T)
    read = model_input(model, batch)  # (1, B + T)
    with torch.inference_mode(), implementation(model, "eager"):
        output = model(input_ids=read, use_cache=False, output_attentions=True)
        maps = torch.cat([layer.float() for layer in output.attentions])  # (L, H, T', T')
        suffix = output.logits[:, prefix - 1 + read.shape[1] - batch.shape[1] : -1]  # (1, S, V)
        matches, log_probabilities = token_scores(model, suffix, batch[:, prefix:])
    pairs = {
        "mean attention": (found.mean[row], pack(maps.mean(1))),
        "largest attention": (found.max[row], pack(maps.amax(1))),
    }
    for name, (ours, theirs) in pairs.items():
        off = np.abs(ours.astype(np.float64) - theirs.cpu().numpy())  # (L, P)
        # A weight that is stored in float16 is off by up to 2^-12 of 1.
        if off.mean() > average + 2.0**-13 or off.max() > single + 2.0**-11:
            layer = int(off.max(axis=1).argmax()) + 1
            _refuse(model, f"{name} of layer {layer} differs by up to {off.max():.2g}")
    theirs_log_prob = float(log_probabilities.mean())
    off_by = abs(float(found.suffix_log_prob[row]) - theirs_log_prob)
    if off_by > single * max(1.0, abs(theirs_log_prob)):
        _refuse(model, f"the log-probability of a suffix differs by {off_by:.2g} nats per token")
    other = np.round(abs(found.matched_fraction[row] - float(matches.float().mean())), 6)
    if other and not _has_ties(suffix[0], single):
        _refuse(model, f"the matched fraction of a suffix differs by {other:.2g}")


def _compare_continuation(model: PreTrainedModel, tokens: np.ndarray, prefix: int) -> None:
    """Compare the greedy continuation of one sequence (T,) with `generate()`."""
    length = len(tokens) - prefix
    ours = greedy_continuations(model, tokens[None, :prefix], length)[0]  # (S,)
    window = torch.as_tensor(tokens, device=model.device, dtype=torch.long)[None]  # (1, T)
    prompt = model_input(model, window[:, :prefix])  # (1, B + prefix)
    seen = prompt.shape[1]
    with torch.inference_mode(), _plain_generation(model), implementation(model, "eager"):
        generate: Any = model.generate
        written = generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=length,
            eos_token_id=None,
            pad_token_id=0,
        )
        theirs = written[0, seen:].cpu().numpy()
        if len(theirs) == length and (ours == theirs).all():
            return
        first = int(np.argmax(ours[: len(theirs)] != theirs)) if len(theirs) == length else 0
        logits = model(input_ids=written[:, : seen + first], use_cache=False).logits[0, -1]
    gap = float((logits[int(ours[first])] - logits[int(theirs[first])]).float().abs())
    if gap > 2 * _tolerances(model)[1] * float(logits.float().abs().amax()):
        _refuse(model, f"the continuation of a prefix differs from token {first + 1} on")


def _has_ties(logits: torch.Tensor, single: float) -> bool:
    """Return whether at some position (S, V) two tokens are about equally likely."""
    first, second = logits.float().topk(2).values.unbind(-1)  # (S,) each
    scale = logits.float().abs().amax(-1)
    return bool((first - second <= 2 * single * scale).any())


@contextmanager
def _plain_generation(model: PreTrainedModel) -> Iterator[None]:
    """While open, leave out what the checkpoint adds to greedy decoding, penalties for
    instance.
    """
    given = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = given


def _refuse(model: PreTrainedModel, what: str) -> None:
    dtype = str(model.dtype).removeprefix("torch.")
    name = f"{type(model).__name__} {model.name_or_path}".strip()
    raise EngramError(
        f"model {name}: {what} between Engram and transformers' own eager computation in {dtype}; "
        f"nothing was written. Try dtype float32, and report the model with the versions of torch "
        f"and transformers"
    )
