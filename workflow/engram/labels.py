"""Labels of the candidates: what the taxonomies' predicates read."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engram import code_text
from engram.code_text import is_code
from engram.errors import EngramError
from engram.reconstruct import reconstruct_labels
from engram.rouge import prefix_suffix_rouge
from engram.text_features import content_groups, huffman_coding_length, token_entropy

CARRIED = ("sequence_duplicates", "memorization_score", "exposures", "twin_extracted", "kind")
"""Columns that labels take over from the candidates as they are; the last three are the nursery's."""

GIVEN = (
    "is_repeating",
    "is_incrementing",
    "is_code",
    "huffman_coding_length",
    "prompt_perplexity_published",
    "generation_perplexity_published",
    "sequence_perplexity_published",
    "max_frequency",
    "avg_frequency",
    "min_frequency",
    "median_frequency",
)
"""Labels that are the source's where the candidates have them: the study's own, not ours."""


def label(candidates: pd.DataFrame, prefix: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Labels every candidate.

    Args:
        candidates: sequence_id, tokens (T), text, sequence_duplicates, memorization_score and what else the source has.
        prefix: tokens of the prompt.

    Returns:
        labels: sequence_id; content_group, equal iff the suffix tokens are; rouge_l and rouge_3 between prefix and suffix;
            is_repeating, is_incrementing, is_code of the text; huffman_coding_length (bits per character), token_entropy
            (bits); the columns of `CARRIED` and `GIVEN`; the source's scores and perplexities.
        metadata: how `is_code` was found, `source` where the candidates bring it.

    Raises:
        EngramError: no candidates, repeated sequence_id, a score that is missing, or windows of different lengths.
    """
    if candidates.empty:
        raise EngramError("candidates: the table is empty; the source gave no windows")
    if candidates["sequence_id"].duplicated().any():
        first = candidates.loc[candidates["sequence_id"].duplicated(), "sequence_id"].iloc[0]
        raise EngramError(f"candidates: sequence_id {first} stands twice; every window needs its own")
    if candidates["memorization_score"].isna().any():
        first = candidates.loc[candidates["memorization_score"].isna(), "sequence_id"].iloc[0]
        raise EngramError(f"candidates: memorization_score of sequence_id {first} is missing")
    if len(lengths := candidates["tokens"].map(len).unique()) > 1:
        raise EngramError(f"candidates: windows of {min(lengths)} to {max(lengths)} tokens; all must have prefix + suffix tokens")
    tokens = np.stack(candidates["tokens"].tolist())  # (n, T)
    text = candidates["text"].tolist()
    rouge_l, rouge_3 = prefix_suffix_rouge(tokens, prefix)
    given = [name for name in GIVEN if name in candidates]
    labels = pd.DataFrame(
        {
            "sequence_id": candidates["sequence_id"].to_numpy(),
            "content_group": content_groups(tokens[:, prefix:]),
            "rouge_l": rouge_l,
            "rouge_3": rouge_3,
        }
    )
    if not {"is_repeating", "is_incrementing"} <= set(given):
        labels["is_repeating"], labels["is_incrementing"] = reconstruct_labels(text)
    if "is_code" not in given:
        labels["is_code"] = is_code(text)
    if "huffman_coding_length" not in given:
        labels["huffman_coding_length"] = [huffman_coding_length(one) for one in text]
    labels["token_entropy"] = token_entropy(tokens)
    measured = [c for c in candidates.columns if c.endswith("perplexity") or c in ("extracted", "matched_fraction", "suffix_log_prob")]
    for column in (*given, *(c for c in CARRIED if c in candidates), *measured):
        labels[column] = candidates[column].to_numpy()
    return labels, {"is_code": "source" if "is_code" in given else code_text.METHOD}
