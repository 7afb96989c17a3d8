"""Logit lens: what a model would write if it stopped after a layer, and the depth at which the
target token wins.

A lens reads the residual stream after a layer by the model's own final norm and unembedding
(nostalgebraist, *interpreting GPT: the logit lens*, 2020). *Depth* counts as in
`engram.lm.residual_stream`: 0 is what enters the first layer, L what the last one puts out, whose
lens is the model's own output.

When the target has won is a matter of the rule, and results may change their sign with it
(github.com/gudu616/omtr), so all rules are computed side by side:

* `probability`: p(target) > .5 (P: Chen, Han and Miyao, arXiv 2603.21658);
* `kl_absolute`: KL(final ‖ depth) below a number of nats, .1 (U, after omtr, as the next two);
* `kl_relative`: KL below α times its value after the first layer;
* `kl_entropy`: KL below τ times the entropy of the final distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.finite import check_finite
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.models import suffix_logits
from engram.lm.residual_stream import Unembedding, decoder_layers, residual_hook

RULES = ("probability", "kl_absolute", "kl_relative", "kl_entropy")


@dataclass(frozen=True)
class LensReadings:
    """What the lens reads at every depth and suffix token: L + 1 depths, S suffix tokens."""

    log_prob: np.ndarray
    """Log-probability of the target in nats, float32 (n, L + 1, S)."""
    top: np.ndarray
    """Whether the target is the most likely token, bool (n, L + 1, S)."""
    kl: np.ndarray
    """KL(final ‖ depth) in nats, 0 or more, float32 (n, L + 1, S); 0 at depth L."""
    entropy: np.ndarray
    """Entropy of the distribution in nats, float32 (n, L + 1, S)."""


@dataclass(frozen=True)
class Rule:
    """When the target token has won."""

    name: str
    """One of `RULES`."""
    threshold: float
    """Of the probability, in nats, α or τ."""

    def __post_init__(self) -> None:
        """Refuse another name, and a threshold that nothing or everything passes."""
        if self.name not in RULES:
            raise EngramError(f"rule: {self.name!r}; choose {', '.join(RULES)}")
        if not 0 < self.threshold < np.inf or (self.name == "probability" and self.threshold >= 1):
            most = "between 0 and 1" if self.name == "probability" else "above 0"
            raise EngramError(f"rule {self.name}: threshold {self.threshold}; give one {most}")


DEFAULT_RULES = (
    Rule("probability", 0.5),
    Rule("kl_absolute", 0.1),
    *(Rule("kl_relative", alpha) for alpha in (0.5, 0.25, 0.1, 0.05)),
    *(Rule("kl_entropy", tau) for tau in (0.05, 0.1, 0.25)),
)
"""The paper's rule, and the thresholds of omtr."""


def read_layers(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    batch_tokens: int = 2048,
    translate: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    kept: Kept | None = None,
) -> LensReadings:
    """Read every depth of the residual stream under teacher forcing.

    Args:
        model: the model.
        tokens: (n, T); the first `prefix` are the prompt, the others the targets.
        prefix: tokens of the prompt.
        batch_tokens: tokens per forward. A batch holds three arrays of (sequences, S, vocabulary)
            float32 at a time; halved when a GPU runs out of memory.
        translate: from a depth below L and its states to the states that are read in their place,
            such as an `engram.mechanisms.tuned_lens.TunedLens`; None: the logit lens.
        kept: where finished batches are kept; None keeps none. Not for a lens that is trained.

    Raises:
        EngramError: a value is not finite, or a model whose layers are not in one list.
    """
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    layers, suffix = len(decoder_layers(model)), windows.shape[1] - prefix
    unembedding = Unembedding(model)

    def run(part: slice) -> list[np.ndarray]:
        batch = windows[part].to(model.device)  # (b, T)
        states: list[torch.Tensor] = []  # of every depth, (b, S, width)

        def keep(_depth: int, hidden: torch.Tensor) -> None:
            states.append(hidden[:, -suffix - 1 : -1])

        with torch.inference_mode(), residual_hook(model, keep):
            logits, _ = suffix_logits(model, batch, prefix)  # (b, S, V)
        targets = batch[:, prefix:, None]  # (b, S, 1)
        final = logits.float().log_softmax(-1)
        weights = final.exp()
        readings: list[list[torch.Tensor]] = []
        for depth, state in enumerate(states):
            # The last lens is the model's output, not a second computation of it.
            if translate and depth < layers:
                state = translate(depth, state)
            of_depth = logits if depth == layers else unembedding(state)
            likeliest = of_depth.argmax(-1, keepdim=True)
            log_p = final if depth == layers else of_depth.float().log_softmax(-1)
            readings.append(
                [
                    log_p.gather(-1, targets)[..., 0],
                    (likeliest == targets)[..., 0],
                    (weights * (final - log_p)).sum(-1).clamp(min=0),
                    -(log_p.exp() * log_p).sum(-1),
                ]
            )
        stacked = [torch.stack(values, 1) for values in zip(*readings, strict=True)]
        for values in (stacked[0], *stacked[2:]):
            check_finite(model, values, "logits of the layers")
        return [values.cpu().numpy() for values in stacked]

    empty = np.empty((0, layers + 1, suffix), np.float32)
    parts = [[empty, empty.astype(bool), empty, empty]]
    rows = max(1, batch_tokens // windows.shape[1])
    batches = kept_batches(run, windows.numpy(), rows, "lens", model.device, kept)
    parts += [[*values] for _, values in batches]
    log_prob, top, kl, entropy = (np.concatenate(values) for values in zip(*parts, strict=True))
    return LensReadings(log_prob, top, kl, entropy)


def wins(readings: LensReadings, rule: Rule) -> np.ndarray:
    """Return whether the target has won by a rule, bool (n, L + 1, S).

    By the rules of KL the last depth has always won: its distance to itself is 0.
    """
    if rule.name == "probability":
        won: np.ndarray = np.exp(readings.log_prob.astype(np.float64)) > rule.threshold
        return won
    limit = {
        "kl_absolute": lambda: np.ones_like(readings.kl[:, :1]),
        "kl_relative": lambda: readings.kl[:, 1:2],
        "kl_entropy": lambda: readings.entropy[:, -1:],
    }[rule.name]()
    won = readings.kl.astype(np.float64) < rule.threshold * limit.astype(np.float64)
    won[:, -1] = True
    return won


@dataclass(frozen=True)
class WinningDepths:
    """The depth at which the target token of each suffix position wins, by one rule."""

    rule: Rule
    """The rule."""
    first: np.ndarray
    """The first depth at which it has won, float64 (n, S); NaN where it never does."""
    settled: np.ndarray
    """The depth from which on it has won at all depths, float64 (n, S); NaN where it has not at
    depth L. omtr's depth is one less: the last layer that has not."""


def winning_depths(
    readings: LensReadings, rules: Sequence[Rule] = DEFAULT_RULES
) -> list[WinningDepths]:
    """Return the depths at which targets win, rule by rule."""
    results = []
    for rule in rules:
        won = wins(readings, rule)  # (n, L + 1, S)
        first = np.where(won.any(1), won.argmax(1), np.nan)
        # From the end: how many depths in a row have won.
        lasting = np.logical_and.accumulate(won[:, ::-1], axis=1).sum(1)
        settled = np.where(lasting > 0, won.shape[1] - lasting, np.nan)
        results.append(WinningDepths(rule, first, settled))
    return results


def layer_values(readings: LensReadings) -> dict[str, np.ndarray]:
    """Return means over the suffix tokens, (n, L + 1) each: probability and log_prob of the target,
    top (the share of tokens whose target is the most likely one), kl and entropy in nats.
    """
    values = {
        "probability": np.exp(readings.log_prob.astype(np.float64)),
        "log_prob": readings.log_prob,
        "top": readings.top,
        "kl": readings.kl,
        "entropy": readings.entropy,
    }
    return {name: value.mean(2, dtype=np.float64) for name, value in values.items()}


def winning_values(depths: Sequence[WinningDepths]) -> dict[str, np.ndarray]:
    """Return means over the suffix tokens that win, (n, R) each for R rules: first and settled, in
    layers; and first_share and settled_share, the shares of suffix tokens that do.
    """
    values = {}
    for name in ("first", "settled"):
        stacked = np.stack([getattr(result, name) for result in depths], 1)  # (n, R, S)
        known = ~np.isnan(stacked)
        total, count = np.where(known, stacked, 0).sum(2), known.sum(2)
        values[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        values[f"{name}_share"] = known.mean(2)
    return values


def name_rules(table: pd.DataFrame, rules: Sequence[Rule]) -> pd.DataFrame:
    """Return a table whose column `rule` holds the rules' names in place of their numbers, with
    their thresholds.
    """
    numbers = table["rule"].to_numpy()
    named = table.assign(rule=[rules[number].name for number in numbers])
    thresholds = [rules[number].threshold for number in numbers]
    named.insert(list(named).index("rule") + 1, "threshold", thresholds)
    return named
