"""Measured scores for windows that came without, and what a twin or a counterpart makes of a
model's windows.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.io.errors import EngramError
from engram.io.streams import read_batches, stacked_tokens, stream_parquet
from engram.lm.generation import (
    BATCH_TOKENS,
    may_be_extracted,
    memorization_scores,
    teacher_forced_scores,
)
from engram.lm.kept_batches import Kept
from engram.lm.models import check_tokens, in_batches, suffix_logits, token_scores
from engram.lm.tokens import decode, encoder, has_text
from engram.sources.early_exit import EarlyExit

SCORES = (
    "memorization_score",
    "extracted",
    "matched_fraction",
    "longest_match",
    "suffix_log_prob",
    "prompt_perplexity",
    "generation_perplexity",
    "sequence_perplexity",
)
"""Columns of `generation.memorization_scores`."""


OF_COUNTERPART = ("extracted", "matched_fraction", "suffix_log_prob")
"""Columns of `generation.teacher_forced_scores` that are kept of a counterpart, as
`counterpart_…`."""


def write_scored(
    windows: Path,
    output: Path,
    model: PreTrainedModel,
    prefix: int,
    metadata: dict[str, Any],
    batch_tokens: int = BATCH_TOKENS,
    decoded: bool = True,
    per_token: bool = False,
    early_exit: EarlyExit | None = None,
    kept: Kept | None = None,
) -> None:
    """Write candidates.parquet: the windows with the columns of `generation.memorization_scores`.

    With an early exit there is the column `scored`, too; windows that are not scored are not
    extracted, and their other columns are empty.

    Args:
        windows: sequence_id, tokens and what else the source has.
        output: candidates.parquet.
        model: the model that is studied.
        prefix: tokens of the prompt.
        metadata: what the artifact records.
        batch_tokens: tokens per batch of the model.
        decoded: whether suffixes that are not reproduced are decoded for `memorization_score`; that
            column is missing else, and every window costs one forward.
        per_token: whether the two columns of `generation.teacher_forced_scores` with a value per
            suffix token are added.
        early_exit: which windows are read no further than their first suffix tokens; none unless
            given. Then `decoded` and `per_token` have their defaults.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: the file cannot be read, or the model cannot read its tokens.
    """
    score = memorization_scores if decoded else teacher_forced_scores
    if early_exit:
        metadata = metadata | {"early_exit": asdict(early_exit)}
    with stream_parquet(output, metadata) as stream:
        for table in read_batches(windows):
            tokens = stacked_tokens(table)  # (n, T)
            check_tokens(model, tokens, str(windows))
            identifiers, read = table["sequence_id"].to_numpy(), tokens.astype(np.int64)
            scores = (
                scores_with_early_exit(
                    model, identifiers, read, prefix, early_exit, batch_tokens, kept
                )
                if early_exit
                else score(model, read, prefix, batch_tokens, per_token, kept)
            )
            for name in scores.columns:
                table = table.append_column(name, pa.array(scores[name].to_numpy()))
            stream.append(table)


def scores_with_early_exit(
    model: PreTrainedModel,
    sequence_ids: np.ndarray,
    tokens: np.ndarray,
    prefix: int,
    early_exit: EarlyExit,
    batch_tokens: int = BATCH_TOKENS,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """Return the columns of `generation.memorization_scores` of the extracted windows and of a
    random share of all windows.

    `extracted` is that of the whole forward for every window: those whose first suffix tokens leave
    it open are read whole.

    Args:
        model: the model that is studied.
        sequence_ids: int64 (n,); they decide the share.
        tokens: (n, T).
        prefix: tokens of the prompt.
        early_exit: which windows are read no further.
        batch_tokens: tokens per batch.
        kept: where finished batches are kept; None keeps none.

    Returns:
        one row per window: `extracted`; `scored`, whether the window is extracted or in the share;
        the other columns, NaN where it is neither.
    """
    drawn = early_exit.draw(sequence_ids)
    left = np.flatnonzero(~drawn)
    left = left[
        may_be_extracted(model, tokens[left], prefix, early_exit.tokens, batch_tokens, kept)
    ]
    parts = []
    if any(drawn):
        parts = [memorization_scores(model, tokens[drawn], prefix, batch_tokens, kept=kept)]
    rows = np.flatnonzero(drawn)
    if len(left):
        whole = teacher_forced_scores(model, tokens[left], prefix, batch_tokens, kept=kept)
        extracted = whole["extracted"].to_numpy(dtype=bool)
        parts.append(whole[extracted].assign(memorization_score=1.0))
        rows = np.append(rows, left[extracted])
    known = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*SCORES])
    scores = known[[*SCORES]].astype(float).set_axis(rows).reindex(np.arange(len(tokens)))
    scored = np.isin(np.arange(len(tokens)), rows)
    return scores.assign(extracted=scores["extracted"] == 1, scored=scored)


def write_counterpart(
    windows: Path,
    output: Path,
    counterpart: PreTrainedModel,
    prefix: int,
    tokenizers: tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase],
    metadata: dict[str, Any],
    batch_tokens: int = BATCH_TOKENS,
) -> None:
    """Write counterpart.parquet: what a model that was not shown the text makes of every window, in
    the order of the windows.

    Args:
        windows: sequence_id, tokens, and exposures where they are known.
        output: sequence_id; of the counterpart `counterpart_extracted`,
            `counterpart_matched_fraction`, `counterpart_suffix_log_prob` (nats per token), and,
            where the windows have exposures, `counterpart_exposures`, 0.
        counterpart: the model.
        prefix: tokens of the prompt.
        tokenizers: the studied model's and the counterpart's.
        metadata: what the artifact records.
        batch_tokens: tokens per batch of the model.

    Raises:
        EngramError: the tokenizers differ, or the counterpart cannot read the tokens.
    """
    if tokenizers[0].get_vocab() != tokenizers[1].get_vocab():
        raise EngramError(
            "counterpart: its tokenizer is not that of the model, so that their scores of a window "
            "cannot be compared; name a model with the same tokenizer, or give it as `twin`"
        )
    with stream_parquet(output, metadata) as stream:
        for table in read_batches(windows):
            tokens = stacked_tokens(table)  # (n, T)
            check_tokens(counterpart, tokens, "counterpart")
            read = tokens.astype(np.int64)
            scores = teacher_forced_scores(counterpart, read, prefix, batch_tokens)
            columns = {name: pa.array(scores[name].to_numpy()) for name in OF_COUNTERPART}
            if "exposures" in table.column_names:
                columns["exposures"] = pa.array(np.zeros(len(table), np.int64))
            named = {f"counterpart_{name}": values for name, values in columns.items()}
            stream.append(pa.table({"sequence_id": table["sequence_id"], **named}))


def twin_extracts(
    twin: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    tokenizer: PreTrainedTokenizerBase,
    twin_tokenizer: PreTrainedTokenizerBase,
    batch_tokens: int = BATCH_TOKENS,
) -> np.ndarray:
    """Return whether a model that was not trained on the text writes each suffix after its prefix
    all the same, bool (n,).

    A twin with the model's own tokenizer reads the tokens. Another one reads the prefix's and the
    suffix's text in its own tokens: extracted means that each of these is its most likely next
    one. Its greedy decoding could write the same text in other tokens, which does not count; nor
    does a window whose prefix or suffix cuts a character, or one with a token that the model's
    tokenizer lacks, unless both tokenizers are one.

    Args:
        tokens: windows of the studied model (n, T).
        prefix: tokens of the prompt.
        tokenizer: the studied model's.
        twin_tokenizer: the twin's.
        batch_tokens: tokens per batch.

    Raises:
        EngramError: the twin cannot read the tokens.
    """
    if not len(tokens):
        return np.zeros(0, dtype=bool)
    if twin_tokenizer.get_vocab() == tokenizer.get_vocab():
        check_tokens(twin, tokens, "twin")
        return teacher_forced_scores(twin, tokens.astype(np.int64), prefix, batch_tokens)[
            "extracted"
        ].to_numpy()
    prompts, suffixes = decode(tokenizer, tokens[:, :prefix]), decode(tokenizer, tokens[:, prefix:])
    encode = encoder(twin_tokenizer)
    extracted = np.zeros(len(tokens), dtype=bool)
    groups: dict[tuple[int, int], list[tuple[int, list[int]]]] = {}
    whole = [
        row
        for row in np.flatnonzero(has_text(tokenizer, tokens)).tolist()
        if "\ufffd" not in prompts[row] + suffixes[row]
    ]
    for row, prompt, suffix in zip(
        whole,
        encode([prompts[r] for r in whole]),
        encode([suffixes[r] for r in whole]),
        strict=True,
    ):
        if prompt and suffix:
            groups.setdefault((len(prompt), len(suffix)), []).append((row, prompt + suffix))
    # Rows of equal lengths together: no padding, which would have to be hidden from the model.
    for (length, _), members in groups.items():
        rows, read = [row for row, _ in members], np.array([ids for _, ids in members])
        check_tokens(twin, read, "twin")
        extracted[rows] = _all_likeliest(twin, read, length, batch_tokens)
    return extracted


def _all_likeliest(
    model: PreTrainedModel, tokens: np.ndarray, first: int, batch_tokens: int
) -> np.ndarray:
    """Return whether all tokens from position `first` on are the most likely ones, bool (n,)."""

    @torch.inference_mode()
    def run(part: slice) -> np.ndarray:
        batch = torch.as_tensor(tokens[part], device=model.device)  # (b, length)
        logits, _ = suffix_logits(model, batch, first)  # (b, length - first, V)
        return token_scores(model, logits, batch[:, first:])[0].all(1).cpu().numpy()

    batches = in_batches(
        run, len(tokens), max(1, batch_tokens // tokens.shape[1]), "twin", model.device
    )
    return np.concatenate([part for _, part in batches])
