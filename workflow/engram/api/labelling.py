"""Labels of texts: what the model reproduces of them, what the text is like, and their class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel, check_language_model
from engram.api.texts import read_windows
from engram.io.errors import EngramError
from engram.lm.generation import BATCH_TOKENS, greedy_continuations, teacher_forced_scores
from engram.lm.models import check_tokens
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.labels import MEASURED
from engram.windows.labels import label as label_candidates

TAXONOMY = "Non-Memo, Guess, Others"
"""The taxonomy that the paper proposes."""
FIRST = (
    "text",
    "class",
    "extracted",
    "matched_fraction",
    "memorization_score",
    "rouge_l",
    "rouge_3",
    "is_repeating",
    "is_incrementing",
    "is_code",
)
"""The columns that come first."""
TAKEN_OVER = (
    "sequence_duplicates",
    "exposures",
    "kind",
    "is_repeating",
    "is_incrementing",
    "is_code",
)
"""Columns of a frame that become labels as they are."""


def label(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    taxonomy: str | Taxonomy = TAXONOMY,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> pd.DataFrame:
    """Label texts: what the model reproduces, what the text is like, and the class that follows.

    The first prefix + suffix tokens of each text are studied: the model is prompted with the
    prefix and should reproduce the suffix.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids; see `engram.api.texts.read_windows`. Of a DataFrame, the
            columns `sequence_duplicates`, `exposures`, `kind`, `is_repeating`, `is_incrementing`
            and `is_code` are taken over.
        prefix: tokens that prompt the model, 2 to 1,024.
        suffix: tokens to reproduce.
        taxonomy: the classes, as the paper writes them; `Recite[5]` and `Recollect[5]` need a
            column `sequence_duplicates`.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per batch; halved when a GPU runs out of memory.

    Returns:
        a row per text, under its index in `texts`: text (of the window), class (a category),
        extracted (the suffix is reproduced exactly), matched_fraction (of the suffix, under teacher
        forcing), memorization_score (fraction of the suffix, in greedy decoding), rouge_l and
        rouge_3 between prefix and suffix, is_repeating, is_incrementing, is_code, longest_match,
        suffix_log_prob (nats per token), perplexities and text features; content_group (equal where
        suffixes are), tokens (the window), continuation (the prefix and what the model writes after
        it: the text whose attention the paper studies). Definitions:
        `engram.lm.generation.memorization_scores` and `engram.windows.labels.label`.

    Raises:
        EngramError: texts that cannot be read, tokens of another model, or a taxonomy that needs
            a missing column.
    """
    check_language_model(lm)
    classes = taxonomy if isinstance(taxonomy, Taxonomy) else Taxonomy.parse(taxonomy)
    windows = read_windows(texts, lm.tokenizer, prefix, suffix, short=short)
    if prefix < 2:
        raise EngramError(f"prefix: {prefix} token; label needs 2 or more to measure a perplexity")
    if "sequence_duplicates" in classes.columns() and "sequence_duplicates" not in windows.columns:
        raise EngramError(
            f"taxonomy `{classes.name}`: it counts duplicates; give a DataFrame with the column "
            f"sequence_duplicates"
        )
    check_tokens(lm.model, windows.tokens, "texts")
    scores = teacher_forced_scores(lm.model, windows.tokens, prefix, batch_tokens)
    continuation = windows.tokens.copy()
    rest = np.flatnonzero(~scores["extracted"])
    continuation[rest, prefix:] = greedy_continuations(
        lm.model, windows.tokens[rest, :prefix], suffix, batch_tokens
    )
    score = np.ones(len(windows))
    score[rest] = (continuation[rest, prefix:] == windows.tokens[rest, prefix:]).mean(1)
    carried = [name for name in TAKEN_OVER if name in windows.columns]
    candidates = pd.DataFrame(
        {
            "sequence_id": np.arange(len(windows)),
            "tokens": list(windows.tokens),
            "text": lm.decode(windows.tokens),
            **{name: windows.columns[name].to_numpy() for name in carried},
            **{name: scores[name].to_numpy() for name in MEASURED if name in scores},
            "memorization_score": score,
        }
    )
    labels, _ = label_candidates(candidates, prefix)
    labels["class"] = pd.Categorical(classes.assign(labels), categories=classes.class_names)
    labels["text"] = candidates["text"]
    table = labels.drop(columns="sequence_id").set_index(windows.index)
    table = table[[*FIRST, *(name for name in table if name not in FIRST)]]
    return table.assign(tokens=windows.tokens.tolist(), continuation=continuation.tolist())
