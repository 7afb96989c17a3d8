"""Measured scores for windows that came without, and what a twin makes of a model's windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.io.streams import read_batches, stacked_tokens, stream_parquet
from engram.lm.generation import BATCH_TOKENS, memorization_scores, teacher_forced_scores
from engram.lm.models import check_tokens, in_batches, suffix_logits, token_scores
from engram.lm.tokens import decode, encoder, has_text


def write_scored(
    windows: Path,
    output: Path,
    model: PreTrainedModel,
    prefix: int,
    metadata: dict[str, Any],
    batch_tokens: int = BATCH_TOKENS,
    decoded: bool = True,
    per_token: bool = False,
) -> None:
    """Write candidates.parquet: the windows with the columns of `generation.memorization_scores`.

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

    Raises:
        EngramError: the file cannot be read, or the model cannot read its tokens.
    """
    score = memorization_scores if decoded else teacher_forced_scores
    with stream_parquet(output, metadata) as stream:
        for table in read_batches(windows):
            tokens = stacked_tokens(table)  # (n, T)
            check_tokens(model, tokens, str(windows))
            scores = score(model, tokens.astype(np.int64), prefix, batch_tokens, per_token)
            for name in scores.columns:
                table = table.append_column(name, pa.array(scores[name].to_numpy()))
            stream.append(table)


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
