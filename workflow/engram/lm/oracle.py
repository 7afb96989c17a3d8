"""The check of an extraction against transformers itself, made in every job before it writes.

A few sequences go through the model once more, one at a time: the architecture's own eager forward
with `output_attentions` (for long windows, whose weights of all layers would not fit, the same
weights seen layer by layer), and `generate()`. Batching, masks, positions, the attention hook and
the cache are the study's; the oracle shares none of them, and of the code only what a sequence
begins with (`engram.lm.inputs`). What it computes is compared with the rows that the job is about
to write.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedModel
from transformers.utils.output_capturing import OutputRecorder

from engram.io.errors import EngramError
from engram.io.packing import pack
from engram.io.spans import Spans
from engram.lm.attention import Extraction
from engram.lm.attention_hook import implementation
from engram.lm.generation import greedy_continuations
from engram.lm.inputs import model_input, opening
from engram.lm.models import PROCESSOR_ROWS, token_scores
from engram.lm.row_blocks import WHOLE

ORACLE_SEQUENCES = 3
"""Sequences of an extraction that are compared, as far as `SECONDS` allow; one in any case."""
SECONDS = 2.5
"""Seconds after which no further sequence is begun."""
CONTINUED = 64
"""Most tokens of a continuation that are compared."""


@dataclass(frozen=True)
class Tolerance:
    """Differences that rounding may make in one precision, with other sizes of batches and other
    kernels: several times what small dense models differ by between this precision and float32.
    """

    average: float
    """Of one layer's map: the mean difference, as a fraction of the mean weight."""
    single: float
    """Of one weight of a map."""
    log_probability: float
    """Of the mean log-probability of a suffix, as a fraction of its size or in nats, whichever is
    more."""
    tie: float
    """Between two logits that rounding may exchange, as a fraction of the largest of the
    position."""


TOLERANCES = {
    "float32": Tolerance(average=1e-3, single=1e-3, log_probability=1e-3, tie=1e-3),
    "float16": Tolerance(average=0.02, single=0.1, log_probability=0.02, tie=0.01),
    "bfloat16": Tolerance(average=0.15, single=0.4, log_probability=0.1, tie=0.08),
}
"""By the name of the precision."""
STORED = 2.0**-11
"""What storing a weight in float16 may add to its difference; to the mean, a quarter of it."""


@dataclass(frozen=True)
class Expected:
    """What transformers computes of one sequence."""

    mean: np.ndarray
    """Mean attention over heads, float32 (L, P); P as in the extraction (`engram.io.spans`)."""
    largest: np.ndarray
    """Largest attention of any head, float32 (L, P)."""
    matches: np.ndarray
    """Whether each suffix token is the most likely one, bool (S,)."""
    ties: np.ndarray
    """Whether rounding decides which token is the most likely one, bool (S,)."""
    log_probability: float
    """Mean log-probability of the suffix, nats per token."""


def expect(
    model: PreTrainedModel, tokens: np.ndarray, prefix: int, block: int = 1
) -> list[Expected]:
    """Return what transformers computes of sequences, as far as `SECONDS` allow, and compare the
    greedy continuation of each prefix with `generate()`.

    No other thread may use the model meanwhile: its attention implementation is switched.

    Args:
        model: the model.
        tokens: (n, T).
        prefix: tokens of the prompt.
        block: tokens of a row and column of the maps.

    Raises:
        EngramError: a continuation differs where the two tokens are not about equally likely.
    """
    begun = time.monotonic()
    done: list[Expected] = []
    for sequence in tokens:
        if done and time.monotonic() - begun > SECONDS:
            break
        done.append(_forward(model, sequence, prefix, block))
        _compare_continuation(model, sequence, prefix)
    return done


def expect_some(
    model: PreTrainedModel, tokens: np.ndarray, prefix: int, batch_tokens: int, block: int = 1
) -> dict[int, Expected]:
    """Return what transformers computes of a few sequences of an extraction's first batch, by their
    rows.

    Args:
        model: the model.
        tokens: (n, T), n at least 1.
        prefix: tokens of the prompt.
        batch_tokens: tokens per batch of the extraction.
        block: tokens of a row and column of the maps.

    Raises:
        EngramError: as `expect`.
    """
    first = min(len(tokens), PROCESSOR_ROWS, max(1, batch_tokens // tokens.shape[1]))
    rows = np.unique(np.linspace(0, first - 1, ORACLE_SEQUENCES).astype(int))
    found = expect(model, tokens[rows], prefix, block)
    return dict(zip(rows.tolist(), found, strict=False))  # slow models leave out some


def compare(model: PreTrainedModel, expected: Expected, found: Extraction, row: int) -> None:
    """Compare one row of an extraction with what transformers computes.

    Args:
        model: the model, for its precision and its name.
        expected: of `expect`.
        found: a batch of the extraction.
        row: the sequence's place in the batch.

    Raises:
        EngramError: pooled maps or scores differ by more than rounding in the model's precision
            explains.
    """
    tolerance = _tolerance(model)
    pairs = {
        "mean attention": (found.mean[row], expected.mean),
        "largest attention": (found.max[row], expected.largest),
    }
    for name, (ours, theirs) in pairs.items():
        off = np.abs(ours.astype(np.float64) - theirs)  # (L, P)
        average, single = off.mean(axis=1), off.max(axis=1)  # (L,) each
        wrong = average > tolerance.average * theirs.mean(axis=1) + STORED / 4
        wrong |= single > tolerance.single + STORED
        if wrong.any():
            layer = int(np.argmax(wrong))
            _refuse(
                model,
                f"{name} of layer {layer + 1} differs by up to {single[layer]:.2g}, on average by "
                f"{average[layer]:.2g},",
            )
    off_by = abs(float(found.suffix_log_prob[row]) - expected.log_probability)
    if off_by > tolerance.log_probability * max(1.0, abs(expected.log_probability)):
        _refuse(model, f"the log-probability of a suffix differs by {off_by:.2g} nats per token")
    matched = round(float(found.matched_fraction[row]) * len(expected.matches))
    # Rounding can decide as many matches differently as there are near-ties.
    if abs(matched - expected.matches.sum()) > expected.ties.sum():
        _refuse(
            model,
            f"the suffix tokens that are most likely differ ({matched} and "
            f"{expected.matches.sum()} of {len(expected.matches)})",
        )


def _tolerance(model: PreTrainedModel) -> Tolerance:
    return TOLERANCES[str(model.dtype).removeprefix("torch.")]


def _forward(model: PreTrainedModel, tokens: np.ndarray, prefix: int, block: int) -> Expected:
    """Return what transformers computes of one sequence (T,)."""
    batch = torch.as_tensor(tokens, device=model.device, dtype=torch.long)[None]  # (1, T)
    read = model_input(model, batch)  # (1, B + T)
    modules = attention_modules(model) if read.shape[1] > WHOLE else {}
    maps: list[tuple[np.ndarray, np.ndarray]] = []
    spans = Spans(len(opening(model)), prefix, len(tokens) - prefix, block)

    def add(weights: torch.Tensor) -> None:
        layer = weights[0].float()  # (H, T', T')
        mean, largest = (pack(pooled).cpu().numpy() for pooled in (layer.mean(0), layer.amax(0)))
        maps.append((spans.pool(mean, "mean"), spans.pool(largest, "max")))

    with ExitStack() as stack:
        for module, place in modules.items():

            def see(_module: nn.Module, _inputs: Any, output: Any, place: int = place) -> None:
                add(output[place])

            stack.callback(module.register_forward_hook(see).remove)
        stack.enter_context(torch.inference_mode())
        stack.enter_context(implementation(model, "eager"))
        output = model(input_ids=read, use_cache=False, output_attentions=not modules)
        for weights in () if modules else output.attentions:
            add(weights)
        logits = output.logits[:, prefix - 1 + read.shape[1] - batch.shape[1] : -1]  # (1, S, V)
        matches, log_probabilities = token_scores(model, logits, batch[:, prefix:])
    mean, largest = zip(*maps, strict=True)
    return Expected(
        mean=np.stack(mean),
        largest=np.stack(largest),
        matches=matches[0].cpu().numpy(),
        ties=_ties(logits[0], _tolerance(model).tie),
        log_probability=float(log_probabilities.mean()),
    )


def attention_modules(model: PreTrainedModel) -> dict[nn.Module, int]:
    """Return the attention modules of a model in order, each with the place of the weights in what
    it puts out under eager attention, as transformers' own `output_attentions` finds them. So a
    layer's weights can be seen and dropped before the next layer's are computed.

    Returns:
        nothing where the architecture does not say which modules they are, one a layer.
    """
    recorder = (getattr(model, "_can_record_outputs", None) or {}).get("attentions")
    kind, name, place = (
        (recorder.target_class, recorder.layer_name, recorder.index)
        if isinstance(recorder, OutputRecorder)
        else (recorder, None, 1)
    )
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        return {}
    modules = {
        module: place
        for path, module in model.named_modules()
        if isinstance(module, kind) and (name is None or name in f".{path}")
    }
    layers = model.config.get_text_config().num_hidden_layers
    return modules if len(modules) == layers else {}


def _ties(logits: torch.Tensor, tolerance: float) -> np.ndarray:
    """Return where the two most likely tokens are as likely as rounding can tell, bool (S,), from
    logits (S, V).
    """
    first, second = logits.float().topk(2).values.unbind(-1)  # (S,) each
    scale = logits.float().abs().amax(-1)
    return (first - second <= tolerance * scale).cpu().numpy()


def _compare_continuation(model: PreTrainedModel, tokens: np.ndarray, prefix: int) -> None:
    """Compare the greedy continuation of one sequence (T,) with `generate()`, as far
    as `CONTINUED`.
    """
    length = min(len(tokens) - prefix, CONTINUED)
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
    if gap > _tolerance(model).tie * float(logits.float().abs().amax()):
        _refuse(model, f"the continuation of a prefix differs from token {first + 1} on")


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
