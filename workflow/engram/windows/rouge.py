"""ROUGE between prefix and suffix: how much of the suffix could be copied from the prompt."""

from __future__ import annotations

import numpy as np
from numba import njit

from engram.io.errors import EngramError

MAX_PREFIX = 1024
"""Longest prefix in tokens."""
_WORD = 64
"""Bits of a machine word: the positions of a prefix of at most as many tokens."""


def prefix_suffix_rouge(tokens: np.ndarray, prefix: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return ROUGE-L and ROUGE-3 F-measures between the prefix and the suffix of each window.

    A high score means that the suffix can be copied from the prompt, so that a model may *guess* it
    (the thresholds ρ of arXiv 2508.02573). The units are token ids. ROUGE-L counts the longest
    common subsequence of prefix and suffix; ROUGE-3 counts the trigrams they share, each as often
    as it stands in both.

    The reference is the prefix, the prediction is the suffix, as in the study's code. The F-measure
    does not depend on it, bit for bit: precision and recall enter its formula symmetrically.

    Every float64 equals that of the package rouge-score (`fmeasure`, no stemmer) on the ids written
    as decimal strings. Its rounding is part of the definition of a threshold: three of 30 trigrams
    score 0.10000000000000002, not 3/30. With 32 + 32 tokens `score >= ρ` decides as exact fractions
    would for the literals 0.1, 0.2, …, 0.9; a computed threshold may not (`3 * 0.1` exceeds 0.3 and
    loses the windows that share nine trigrams).

    One core scores a million windows of 64 tokens in a second or two; for prefixes of at most 64
    tokens nothing but the two results is allocated.

    Args:
        tokens: token ids (n, T), any integer type.
        prefix: prefix tokens, 1 to 1,024 and less than T; the other tokens are the suffix.

    Returns:
        rouge_l, rouge_3: fractions in [0, 1], (n,) float64 each.

    Raises:
        EngramError: `tokens` is no (n, T) array of integers >= 0, or `prefix` is out of range.
    """
    if tokens.ndim != 2 or not np.issubdtype(tokens.dtype, np.integer):
        raise EngramError(
            f"tokens: shape {tokens.shape} of {tokens.dtype}; ROUGE needs a table of token ids, "
            f"(windows, tokens) integers"
        )
    if not 1 <= prefix <= MAX_PREFIX:
        raise EngramError(
            f"prefix: {prefix} tokens; ROUGE is computed for prefixes of 1 to {MAX_PREFIX} tokens"
        )
    windows, length = tokens.shape
    if length <= prefix:
        raise EngramError(
            f"tokens: windows of {length} tokens leave no suffix after a prefix of {prefix}; "
            f"choose a shorter prefix"
        )
    if tokens.size and (lowest := int(tokens.min())) < 0:
        # A sign is no part of a word for rouge-score: it would take -5 for 5.
        raise EngramError(
            f"tokens: id {lowest} is negative; remove padding before ROUGE is computed"
        )
    suffix = length - prefix
    rouge_l, rouge_3 = np.empty(windows), np.empty(windows)  # (n,), (n,)
    score = _score if prefix <= _WORD else _score_long
    score(
        tokens,
        prefix,
        _fmeasures(prefix, suffix),
        _fmeasures(prefix - 2, suffix - 2),
        rouge_l,
        rouge_3,
    )
    return rouge_l, rouge_3


def _fmeasures(reference: int, prediction: int) -> np.ndarray:
    """Return f-measure by number of shared units, in the order of operations of rouge-score.

    Args:
        reference, prediction: units (tokens or trigrams) on each side; none of them is less than
            one for rouge-score.

    Returns:
        (min(reference, prediction) + 1,) float64; index 0 is no overlap.
    """
    reference, prediction = max(reference, 1), max(prediction, 1)
    scores = np.zeros(min(reference, prediction) + 1)
    for shared in range(1, len(scores)):
        precision, recall = shared / prediction, shared / reference
        scores[shared] = 2 * precision * recall / (precision + recall)
    return scores


# Compiled at the first call for an integer type (less than a second). No cache on disk: a read-only
# installation has no place for one, and numba then fails on import. No parallel loop either: it
# takes twice as long to compile, and numba's threads set the number of torch's to all cores.
@njit(nogil=True)
def _score(  # pragma: no cover
    tokens: np.ndarray,
    prefix: int,
    scores_l: np.ndarray,
    scores_3: np.ndarray,
    rouge_l: np.ndarray,
    rouge_3: np.ndarray,
) -> None:
    """Fill `rouge_l` and `rouge_3`: one match mask per suffix token, over the prefix positions,
    serves both scores.

    The longest common subsequence follows the bit-vector recurrence of Crochemore et al. (2001, "A
    fast and practical bit-vector algorithm for the longest common subsequence problem"): a zero in
    `free` is one token of it. A suffix trigram stands at the prefix positions in the conjunction of
    three shifted masks; taking one of them that no earlier trigram took counts each trigram as
    often as it stands in both.
    """
    one = np.uint64(1)
    everywhere = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - prefix)
    for row in range(tokens.shape[0]):
        free = everywhere
        taken = before = last = np.uint64(0)
        for column in range(prefix, tokens.shape[1]):
            token = tokens[row, column]
            match = np.uint64(0)  # bit i: the prefix token i is this suffix token
            for position in range(prefix):
                match |= np.uint64(tokens[row, position] == token) << np.uint64(position)
            matched = free & match
            free = (free + matched) | (free & ~match)
            trigram = before & (last >> one) & (match >> np.uint64(2)) & ~taken
            taken |= trigram & (~trigram + one)  # its lowest bit
            before, last = last, match
        rouge_l[row] = scores_l[_bits(~free & everywhere)]
        rouge_3[row] = scores_3[_bits(taken)]


@njit(nogil=True)
def _score_long(  # pragma: no cover
    tokens: np.ndarray,
    prefix: int,
    scores_l: np.ndarray,
    scores_3: np.ndarray,
    rouge_l: np.ndarray,
    rouge_3: np.ndarray,
) -> None:
    """Do as `_score` for prefixes that need several words; the first word has the first tokens.
    What an addition carries out of a word, and what a shift takes from the next, is passed on.
    """
    one, two, top = np.uint64(1), np.uint64(2), np.uint64(63)
    words = (prefix + 63) // 64
    for row in range(tokens.shape[0]):
        free = np.full(words, ~np.uint64(0))
        taken, before = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
        last, match = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
        for column in range(prefix, tokens.shape[1]):
            token = tokens[row, column]
            match[:] = np.uint64(0)
            for position in range(prefix):
                match[position >> 6] |= np.uint64(tokens[row, position] == token) << np.uint64(
                    position & 63
                )
            carry, searching = np.uint64(0), True
            for word in range(words):
                matched = free[word] & match[word]
                total = free[word] + matched
                carried = total + carry
                carry = np.uint64(total < matched) | np.uint64(carried < total)
                free[word] = carried | (free[word] & ~match[word])
                if searching:
                    later = last[word] >> one
                    latest = match[word] >> two
                    if word + 1 < words:
                        later |= last[word + 1] << top
                        latest |= match[word + 1] << (top - one)
                    trigram = before[word] & later & latest & ~taken[word]
                    taken[word] |= trigram & (~trigram + one)  # its lowest bit
                    searching = trigram == 0
            before[:] = last
            last[:] = match
        common = shared = 0
        for word in range(words):
            inside = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(max(0, 64 * (word + 1) - prefix))
            common += _bits(~free[word] & inside)
            shared += _bits(taken[word])
        rouge_l[row] = scores_l[common]
        rouge_3[row] = scores_3[shared]


@njit
def _bits(word: np.uint64) -> int:  # pragma: no cover
    """Return the number of bits set in a word."""
    bits = 0
    while word:
        word &= word - np.uint64(1)
        bits += 1
    return bits
