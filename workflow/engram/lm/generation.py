"""What a model writes after a prefix, and how much of the true suffix that is.

Greedy decoding with the mask and positions of `engram.lm.attention`: every token is attended to,
positions count from 0, and end of text is a token like any other, so that no continuation falls
short. What the paper's code does differently is an argument of `greedy_continuations`.
"""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.finite import check_finite
from engram.lm.inputs import model_input
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.models import keep_logits, suffix_logits, token_scores

ROUNDING = {torch.float32: 64, torch.float16: 8, torch.bfloat16: 8}
"""Units in the last place of the largest logit by which the same logit may differ between a forward
over a part of a window and one over all of it, by precision."""
BATCH_TOKENS = 8192
"""Tokens (prefix and suffix) per batch unless the caller says otherwise."""
SCORES = (
    *("extracted", "matched_fraction", "longest_match", "suffix_log_prob"),
    *("prompt_perplexity", "generation_perplexity", "sequence_perplexity"),
)
"""What one forward shows of a sequence."""
TOKENWISE = ("token_matches", "token_log_probs")
"""What it shows of each suffix token."""
MASKED_BY_PAPER = 0
"""The token that the paper's code masks in a prompt: Pythia's end of text."""


def greedy_continuations(
    model: PreTrainedModel,
    prefixes: np.ndarray,
    suffix_length: int,
    batch_tokens: int = BATCH_TOKENS,
    forbid_end_of_text: bool = False,
    masked_token: int | None = None,
    quiet: bool = False,
    kept: Kept | None = None,
) -> np.ndarray:
    """Return the model's own most likely continuation of each prefix, token by token.

    Args:
        prefixes: tokens (n, prefix).
        suffix_length: tokens to write; never fewer.
        batch_tokens: budget per batch; halved, and halved again, when a GPU runs out of memory.
        forbid_end_of_text: never write the end-of-text token. The paper's code does so
            (`min_length`), for Non-Memo samples only, which makes the token a mark of the other
            classes.
        masked_token: a token of the prompt that is not attended to and counts for no position. The
            paper's code masks token 0 while it generates (`attention_mask=prompt != 0`), and not
            while it extracts attention.
        quiet: show no progress bar.
        kept: where finished batches are kept; None keeps none.

    Returns:
        tokens (n, suffix_length) int32.

    Raises:
        EngramError: end of text is to be forbidden and the model does not name such a token, or
            a logit is not finite.
    """
    forbidden = _end_of_text(model) if forbid_end_of_text else []
    tokens = torch.as_tensor(prefixes)
    rows = max(1, batch_tokens // (tokens.shape[1] + suffix_length))

    def run(part: slice) -> list[np.ndarray]:
        batch = tokens[part].to(model.device, torch.long)
        return [_decode(model, batch, suffix_length, forbidden, masked_token)]

    if kept is not None:
        kept = kept.also(f"{suffix_length} {forbidden} {masked_token}")
    batches = kept_batches(
        run, tokens.numpy(), rows, "continuations", model.device, kept, quiet=quiet
    )
    parts = (part for _, (part,) in batches)
    return np.concatenate([np.empty((0, suffix_length), np.int32), *parts])


def teacher_forced_scores(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    batch_tokens: int = BATCH_TOKENS,
    per_token: bool = False,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """Return what one forward per sequence shows: the columns of `memorization_scores` without
    `memorization_score` itself.

    Args:
        per_token: whether to add two columns of arrays (S,), one value per suffix token given the
            true tokens before it: `token_matches`, whether it is the model's first choice, bool,
            and `token_log_probs`, its log-probability in nats, float32. The sum of the latter is
            log p_z of arXiv 2505.12546.
        kept: where finished batches are kept; None keeps none.
    """
    windows = torch.as_tensor(tokens)
    columns = SCORES + TOKENWISE if per_token else SCORES

    def run(part: slice) -> list[np.ndarray]:
        batch = windows[part].to(model.device, torch.long)
        scores = _teacher_forced(model, batch, prefix)
        return [scores[name] for name in columns]

    rows = max(1, batch_tokens // windows.shape[1])
    batches = kept_batches(run, tokens, rows, "memorization scores", model.device, kept)
    values = zip(*(arrays for _, arrays in batches), strict=True)
    joined = dict(zip(columns, map(np.concatenate, values), strict=True))
    return pd.DataFrame(
        {name: list(array) if array.ndim > 1 else array for name, array in joined.items()}
    )


def memorization_scores(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    batch_tokens: int = BATCH_TOKENS,
    per_token: bool = False,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """Return how much of each sequence's suffix the model reproduces, and how likely it finds it.

    One forward per sequence finds the extractable ones: the suffix is reproduced exactly if and
    only if each of its tokens is the most likely one given the true tokens before it. The others
    are decoded. (In low precision a tie within rounding can be decided differently by the two
    computations.)

    Args:
        tokens: (n, T).
        prefix: 1 … T - 1, the prompt's tokens; at least 2 for a prompt perplexity.
        batch_tokens: as in `greedy_continuations`.
        per_token: as in `teacher_forced_scores`.
        kept: likewise.

    Returns:
        one row per sequence: `memorization_score`, the fraction of suffix positions at which the
        greedy continuation of the prefix has the true token (Biderman et al. 2023); `extracted`;
        `matched_fraction`, the fraction of suffix tokens that are most likely under teacher
        forcing; `longest_match`, the longest run of such tokens; `suffix_log_prob`, nats per token;
        and the perplexities `prompt_perplexity`, `generation_perplexity` (the suffix),
        `sequence_perplexity`: exp of the mean negative log-probability of the tokens that part
        holds, the sequence's first token excepted. The published data divide both halves'
        log-probabilities by T - 1 instead, so their perplexities of a half are about the root of
        these.
    """
    scores = teacher_forced_scores(model, tokens, prefix, batch_tokens, per_token, kept)
    scores.insert(0, "memorization_score", 1.0)
    rest = np.flatnonzero(~scores["extracted"])
    written = greedy_continuations(
        model, tokens[rest, :prefix], tokens.shape[1] - prefix, batch_tokens, kept=kept
    )  # (rest, S)
    scores.loc[rest, "memorization_score"] = (written == tokens[rest, prefix:]).mean(1)
    return scores


def may_be_extracted(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    first: int,
    batch_tokens: int = BATCH_TOKENS,
    kept: Kept | None = None,
) -> np.ndarray:
    """Return whether the first suffix tokens leave it open that the suffix is extracted, bool (n,).

    One forward over the prefix and `first` tokens. False where one of these is clearly not the most
    likely one, so that `teacher_forced_scores` does not find the window extracted either. A token
    whose logit equals the largest within rounding (`ROUNDING`) is left to the whole forward.

    Args:
        tokens: (n, T).
        prefix: tokens of the prompt.
        first: 1 … T - prefix, suffix tokens that are read.
        batch_tokens: as in `greedy_continuations`.
        kept: likewise.

    Raises:
        EngramError: a logit is not finite.
    """
    windows = torch.as_tensor(tokens[:, : prefix + first])

    @torch.inference_mode()
    def run(part: slice) -> list[np.ndarray]:
        batch = windows[part].to(model.device, torch.long)  # (b, prefix + first)
        logits, _ = suffix_logits(model, batch, prefix)  # (b, first, V)
        largest = logits.amax(-1)  # (b, first)
        check_finite(model, largest, "logits")
        behind = largest - logits.gather(-1, batch[:, prefix:, None])[..., 0]
        unit = torch.finfo(logits.dtype).eps * logits.abs().amax(-1)
        return [(behind <= ROUNDING.get(logits.dtype, 64) * unit).all(1).cpu().numpy()]

    rows = max(1, batch_tokens // windows.shape[1])
    label = "first suffix tokens"
    batches = kept_batches(run, windows.numpy(), rows, label, model.device, kept)
    return np.concatenate([np.empty(0, bool), *(part for _, (part,) in batches)])


@torch.inference_mode()
def _decode(
    model: PreTrainedModel,
    prefix: torch.Tensor,
    suffix_length: int,
    forbidden: list[int],
    masked_token: int | None,
) -> np.ndarray:
    """Return the greedy continuation of one batch, (b, prefix) -> (b, suffix_length) int32."""
    read = model_input(model, prefix)  # (b, B + prefix)
    batch, seen = read.shape
    mask = read.new_ones(batch, seen + suffix_length)
    positions = None  # a model counts them from 0 by itself where nothing is masked
    if masked_token is not None:
        mask[:, seen - prefix.shape[1] : seen] = prefix != masked_token
        if "position_ids" in inspect.signature(model.forward).parameters:
            positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)
    fresh, cache, written = read, None, []
    finite = torch.ones(batch, 1, dtype=torch.bool, device=prefix.device)
    for step in range(suffix_length):
        output = model(
            input_ids=fresh,
            attention_mask=mask[:, : seen + step],
            past_key_values=cache,
            use_cache=True,
            **({} if positions is None else {"position_ids": _of(positions, fresh, seen + step)}),
            **keep_logits(model, 1),
        )
        logits = output.logits[:, -1]  # (b, V)
        logits[:, forbidden] = -torch.inf
        fresh, cache = logits.argmax(-1, keepdim=True), output.past_key_values  # (b, 1)
        # A NaN counts as the largest of all. Asked once a batch: a GPU need not be waited for.
        finite &= logits.gather(-1, fresh).isfinite()
        written.append(fresh)
    check_finite(model, finite, "logits")
    return torch.cat(written, 1).to(torch.int32).cpu().numpy()


def _of(positions: torch.Tensor, fresh: torch.Tensor, end: int) -> torch.Tensor:
    """Return the positions of the fresh tokens, (b, fresh), of a text that ends with them."""
    return positions[:, end - fresh.shape[1] : end]


@torch.inference_mode()
def _teacher_forced(
    model: PreTrainedModel, tokens: torch.Tensor, prefix: int
) -> dict[str, np.ndarray]:
    """Return the scores of one batch (b, T) from one forward: `SCORES`, (b,) each, and
    `TOKENWISE`, (b, S) each.
    """
    logits, _ = suffix_logits(model, tokens, first=1)  # (b, T - 1, V)
    matches, log_probabilities = (
        values.cpu().numpy() for values in token_scores(model, logits, tokens[:, 1:])
    )  # (b, T - 1) each
    matches, suffix = matches[:, prefix - 1 :], log_probabilities[:, prefix - 1 :]  # (b, S) each
    means = {
        "prompt": log_probabilities[:, : prefix - 1].mean(1, dtype=np.float64),
        "generation": suffix.mean(1, dtype=np.float64),
        "sequence": log_probabilities.mean(1, dtype=np.float64),
    }
    with np.errstate(over="ignore"):  # beyond 709 nats per token a perplexity is infinite
        perplexities = {f"{name}_perplexity": np.exp(-mean) for name, mean in means.items()}
    return {
        "extracted": matches.all(1),
        "matched_fraction": matches.mean(1),
        "longest_match": longest_runs(matches),
        "suffix_log_prob": means["generation"],
        **perplexities,
        "token_matches": matches,
        "token_log_probs": suffix,
    }


def longest_runs(matches: np.ndarray) -> np.ndarray:
    """Return the length of the longest run of True in each row, (n, S) bool -> (n,) int64."""
    longest = run = np.zeros(len(matches), dtype=np.int64)
    for column in matches.T:
        run = (run + 1) * column
        longest = np.maximum(longest, run)
    return longest


def _end_of_text(model: PreTrainedModel) -> list[int]:
    """Return the model's end-of-text tokens."""
    tokens = model.generation_config.eos_token_id
    if tokens is None:
        raise EngramError(
            f"{type(model).__name__}: its configuration names no end-of-text token, so it cannot "
            f"be forbidden"
        )
    return tokens if isinstance(tokens, list) else [tokens]
