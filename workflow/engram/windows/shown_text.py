"""What the text that samples show has by itself: overlap with the prefix, distinct tokens, runs of
other windows.

Classes whose texts differ in these differ for any classifier that sees the text, whatever a model
knows of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engram.windows.rouge import prefix_suffix_rouge

RUN = 16
"""Tokens of a run that a window shares with another one."""
TEXT_MEASURES = ("rouge_l", "rouge_3", "distinct_suffix", "distinct_window")
"""Columns of `text_measures`."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


def text_measures(tokens: np.ndarray, prefix: int) -> dict[str, np.ndarray]:
    """Return what every text shows by itself, `TEXT_MEASURES`, float64 (n,) each.

    Args:
        tokens: the text shown, (n, T).
        prefix: tokens of the prompt.

    Returns:
        rouge_l, rouge_3: overlap of prefix and suffix, fractions. distinct_suffix,
        distinct_window: different tokens of the suffix and of the window.
    """
    rouge_l, rouge_3 = prefix_suffix_rouge(tokens, prefix)
    return {
        "rouge_l": rouge_l,
        "rouge_3": rouge_3,
        "distinct_suffix": distinct_tokens(tokens[:, prefix:]),
        "distinct_window": distinct_tokens(tokens),
    }


def distinct_tokens(tokens: np.ndarray) -> np.ndarray:
    """Return how many different tokens each row has, float64 (n,) for tokens (n, T)."""
    ordered = np.sort(tokens, axis=1)
    return 1.0 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)


def holds_run(
    texts: np.ndarray,
    sequence_id: np.ndarray,
    windows: Iterable[tuple[np.ndarray, np.ndarray]],
    run: int = RUN,
) -> np.ndarray:
    """Return whether each text holds `run` consecutive tokens of another window, at any offset.

    Only the runs of the texts are kept, so that the windows may come part by part.

    Args:
        texts: (n, S); none holds a run where S is less than `run`.
        sequence_id: of the texts; windows with the same one are the text's own, (n,).
        windows: parts of all windows: sequence_id (m,) and tokens (m, T).
        run: tokens of a run.

    Returns:
        bool (n,).
    """
    if not len(texts) or texts.shape[1] < run:
        return np.zeros(len(texts), bool)
    known, place = np.unique(run_hashes(texts, run), return_inverse=True)
    place = place.reshape(len(texts), -1)  # (n, S - run + 1)
    # A run is in another window iff the least or the greatest id among its windows is not the own.
    ends = np.iinfo(np.int64)
    least, greatest = np.full(len(known), ends.max), np.full(len(known), ends.min)
    for ids, tokens in windows:
        if tokens.shape[1] < run:
            continue
        hashes = run_hashes(tokens, run)  # (m, T - run + 1)
        found = np.searchsorted(known, hashes).clip(max=len(known) - 1)
        row, column = np.nonzero(known[found] == hashes)
        np.minimum.at(least, found[row, column], ids[row])
        np.maximum.at(greatest, found[row, column], ids[row])
    own = np.asarray(sequence_id, np.int64)[:, None]
    seen = greatest[place] > ends.min
    return (seen & ((least[place] != own) | (greatest[place] != own))).any(axis=1)


def suffix_keys(suffixes: np.ndarray) -> np.ndarray:
    """Return a number of 64 bits for every suffix (n, S), int64 (n,): equal ones have equal
    numbers, and different ones hardly ever do.
    """
    return run_hashes(suffixes, suffixes.shape[1])[:, 0].view(np.int64)


def run_hashes(tokens: np.ndarray, run: int) -> np.ndarray:
    """Return a number of 64 bits for every run of consecutive tokens, uint64 (n, T - run + 1):
    equal runs have equal ones, and different runs hardly ever do.
    """
    values = np.asarray(tokens).astype(np.uint64)
    places = values.shape[1] - run + 1
    result = np.zeros((len(values), places), np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(run):
            result = (result ^ (values[:, offset : offset + places] + np.uint64(1))) * _MIX
            result ^= result >> np.uint64(29)
    return result
