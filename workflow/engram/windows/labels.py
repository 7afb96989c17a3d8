"""Labels of the candidates: what the taxonomies' predicates read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from engram.io.errors import EngramError
from engram.windows.code_classifier import OFFLINE, CodeClassifier
from engram.windows.reconstruct import reconstruct_labels
from engram.windows.rouge import prefix_suffix_rouge
from engram.windows.text_features import (
    FREQUENCIES,
    content_groups,
    huffman_coding_length,
    token_counts,
    token_entropy,
    token_frequencies,
)

CARRIED = (
    "sequence_duplicates",
    "memorization_score",
    "exposures",
    "scheduled",
    "twin_extracted",
    "kind",
    "counterpart_exposures",
    "counterpart_extracted",
    "counterpart_matched_fraction",
    "counterpart_suffix_log_prob",
    "trains",
    "pile",
    "unseen",
    "seen_before",
    "half_overlap",
    "repeated",
    "copies",
)
"""Columns that labels take over from the candidates as they are: scores and duplicates; what only
the nursery has, of a checkpoint also how often a window is shown in all; how often text was
inserted in the training text, and what a counterpart makes of it; the split of a user's table;
whether a published window is of a plain draw from the corpus; what is known of text that is younger
than the model, or repeated everywhere."""

GIVEN = (
    "is_repeating",
    "is_incrementing",
    "is_code",
    "huffman_coding_length",
    "prompt_perplexity_published",
    "generation_perplexity_published",
    "sequence_perplexity_published",
    *FREQUENCIES,
)
"""Labels that are the source's where the candidates have them: the study's own, not ours."""

MEASURED = (
    "scored",
    "extracted",
    "matched_fraction",
    "longest_match",
    "suffix_log_prob",
    "prompt_perplexity",
    "generation_perplexity",
    "sequence_perplexity",
)
"""What the model was asked for where the source brings no scores; see
`generation.memorization_scores`.
"""


def text_labels(
    texts: Sequence[str], columns: Iterable[str], classifier: CodeClassifier = OFFLINE
) -> dict[str, np.ndarray]:
    """Return the labels that are found in the text alone: all of the work that takes long.

    Args:
        texts: of n candidates.
        columns: of the candidates; what they bring is not found again.
        classifier: of code and natural language.

    Returns:
        is_repeating and is_incrementing, is_code, huffman_coding_length, as far as they are
        missing; (n,) each.

    Raises:
        EngramError: an entry is no text.
    """
    columns, found = set(columns), {}
    if not {"is_repeating", "is_incrementing"} <= columns:
        found["is_repeating"], found["is_incrementing"] = reconstruct_labels(texts)
    if "is_code" not in columns:
        found["is_code"] = classifier.is_code(texts)
    if "huffman_coding_length" not in columns:
        found["huffman_coding_length"] = np.array([huffman_coding_length(text) for text in texts])
    return found


def label(
    candidates: pd.DataFrame,
    prefix: int,
    classifier: CodeClassifier = OFFLINE,
    counts: np.ndarray | None = None,
    of_texts: dict[str, np.ndarray] | None = None,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Label every candidate.

    Args:
        candidates: sequence_id, tokens (T), text, sequence_duplicates, memorization_score (an audit
            alone measures none) and what else the source has.
        prefix: tokens of the prompt.
        classifier: of code and natural language.
        counts: occurrences by token id, for the frequencies of a source that has none; those in the
            candidates unless given.
        of_texts: `text_labels` of the candidates, where they have been found already.

    Returns:
        labels: sequence_id; content_group, equal iff the suffix tokens are; rouge_l and rouge_3
            between prefix and suffix; is_repeating, is_incrementing, is_code of the text;
            huffman_coding_length (bits per character), token_entropy (bits); max_, avg_, min_ and
            median_frequency of the window's tokens; the columns of `CARRIED`, `GIVEN` and
            `MEASURED` that the candidates have.
        metadata: see `provenance`.

    Raises:
        EngramError: no candidates, repeated sequence_id, a score that is missing, or windows of
            different lengths.
    """
    if candidates.empty:
        raise EngramError("candidates: the table is empty; the source gave no windows")
    if candidates["sequence_id"].duplicated().any():
        first = candidates.loc[candidates["sequence_id"].duplicated(), "sequence_id"].iloc[0]
        raise EngramError(
            f"candidates: sequence_id {first} stands twice; every window needs its own"
        )
    scored = "memorization_score" in candidates
    missing = candidates["memorization_score"].isna() if scored else pd.Series(dtype=bool)
    if scored and "scored" in candidates:
        missing &= candidates["scored"]
    if missing.any():
        first = candidates.loc[missing, "sequence_id"].iloc[0]
        raise EngramError(f"candidates: memorization_score of sequence_id {first} is missing")
    if len(lengths := candidates["tokens"].map(len).unique()) > 1:
        raise EngramError(
            f"candidates: windows of {min(lengths)} to {max(lengths)} tokens; all must have prefix "
            f"+ suffix tokens"
        )
    tokens = np.stack(candidates["tokens"].tolist())  # (n, T)
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
    if of_texts is None:
        of_texts = text_labels(candidates["text"].tolist(), candidates.columns, classifier)
    labels = labels.assign(**of_texts)
    labels["token_entropy"] = token_entropy(tokens)
    if not set(FREQUENCIES) <= set(given):
        labels = labels.assign(
            **token_frequencies(tokens, token_counts(tokens) if counts is None else counts)
        )
    for column in (*given, *(c for c in (*CARRIED, *MEASURED) if c in candidates)):
        labels[column] = candidates[column].to_numpy()
    return labels, provenance(candidates.columns, classifier)


def provenance(columns: Iterable[str], classifier: CodeClassifier) -> dict[str, str]:
    """Return where labels come from that can come from several places, by the columns of the
    candidates.

    Returns:
        is_code: `source` or the classifier's method. token_frequencies: `source`, which counted
        them in its corpus, or `candidates`, whose own tokens were counted.
    """
    columns = set(columns)
    return {
        "is_code": "source" if "is_code" in columns else classifier.method,
        "token_frequencies": "source" if set(FREQUENCIES) <= columns else "candidates",
    }
