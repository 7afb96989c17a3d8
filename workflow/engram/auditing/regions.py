"""Regions: the stretches of a document that the model reproduces, to the token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engram.auditing.documents import Document
from engram.auditing.windows import n_column

PRIOR = ("prior_log_prob", "log_prior_ratio")
"""What a prior says of a window."""


@dataclass(frozen=True)
class Scored:
    """What the windows of a document say of its tokens."""

    covered: np.ndarray
    """Whether a token is in the suffix of a window, bool (N,)."""
    reproduced: np.ndarray
    """Whether it is in the suffix of a window that the model reproduces, bool (N,)."""
    matched: np.ndarray
    """Whether it is the model's first choice given the tokens before it, in the window that shows
    the model the most of them; bool (N,)."""
    log_probs: np.ndarray
    """Its log-probability in that window, nats, float32 (N,); NaN where no window covers it."""
    best: np.ndarray
    """Row of the window with the highest log p_z among those that cover it, int64 (N,), −1 for
    none."""


def score_tokens(
    length: int,
    prefix: int,
    windows: pd.DataFrame,
    token_matches: Sequence[np.ndarray] | np.ndarray,
    token_log_probs: Sequence[np.ndarray] | np.ndarray,
) -> Scored:
    """Return what the windows of one document say of its tokens.

    Args:
        length: tokens N of the document.
        prefix: tokens that prompt the model.
        windows: of the document: `offset`, `extracted` and `log_p_z`.
        token_matches: of every window, bool (S,).
        token_log_probs: of every window, nats (S,).
    """
    matched, reproduced = np.zeros(length, bool), np.zeros(length, bool)
    log_probs, best = np.full(length, np.nan, np.float32), np.full(length, -1, np.int64)
    starts = windows["offset"].to_numpy() + prefix
    extracted, log_p = windows["extracted"].to_numpy(), windows["log_p_z"].to_numpy()
    suffix = len(token_matches[0]) if len(windows) else 0
    # What is written last stays: the window that begins first, and the one with the highest p_z.
    for row in np.argsort(-starts, kind="stable"):
        part = slice(starts[row], starts[row] + suffix)
        matched[part], log_probs[part] = token_matches[row], token_log_probs[row]
        reproduced[part] |= extracted[row]
    for row in np.argsort(log_p, kind="stable"):
        best[starts[row] : starts[row] + suffix] = row
    return Scored(best >= 0, reproduced, matched, log_probs, best)


def spans(scored: Scored) -> list[tuple[int, int]]:
    """Return where the regions of a document begin and end (behind their last token).

    A region is a run of tokens in the suffixes of windows that the model reproduces exactly. It is
    prolonged, at both ends, by the tokens next to it that are the model's first choice, so that its
    borders do not depend on where windows happen to begin.
    """
    reaches = scored.matched & scored.covered
    marked = scored.reproduced.copy()
    for start, end in _runs(scored.reproduced):
        while end < len(marked) and reaches[end]:
            marked[end] = True
            end += 1
        while start > 0 and reaches[start - 1]:
            start -= 1
            marked[start] = True
    return list(_runs(marked))


def _runs(flags: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield start and end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def describe(
    document: Document,
    prefix: int,
    windows: pd.DataFrame,
    scored: Scored,
    probabilities: Sequence[float],
) -> pd.DataFrame:
    """Return the regions of one document, a row each.

    Args:
        document: the document.
        prefix: tokens that prompt the model.
        windows: its rows of `engram.auditing.windows.measure`.
        scored: of its windows.
        probabilities: p of the columns `n_<p>` of the windows.

    Returns:
        document, region (number from 1), start and end (tokens; the end is behind the last one),
        char_start and char_end, tokens, windows (those reproduced whose suffix is in the region),
        prompt (offset of the first of them: the prefix there is what the model is given),
        log_p_z and p_z of the likeliest window, its `n_<p>`, worst_log_p_z (of the reproduced
        windows), prior_log_prob and log_prior_ratio of the likeliest window where a prior was
        measured (`engram.lm.prior`), rouge_l (between prefix and suffix, highest),
        sequence_duplicates (of a suffix in all documents, highest), is_repeating, is_incrementing,
        is_code (of most windows), class (of most windows), classes (each with its number of
        windows), prefix and text.
    """
    rows = []
    starts = windows["offset"].to_numpy() + prefix
    extracted = windows["extracted"].to_numpy()
    for number, (start, end) in enumerate(spans(scored), 1):
        inside = windows[extracted & (starts >= start) & (starts < end)].sort_values("offset")
        likeliest = inside.iloc[int(inside["log_p_z"].to_numpy().argmax())]
        prompt = int(inside["offset"].iloc[0])
        counts = inside["class"].value_counts()
        rows.append(
            {
                "document": document.name,
                "region": number,
                "start": start,
                "end": end,
                "char_start": int(document.ends[start - 1]) if start else 0,
                "char_end": int(document.ends[end - 1]),
                "tokens": end - start,
                "windows": len(inside),
                "prompt": prompt,
                "log_p_z": likeliest["log_p_z"],
                "p_z": likeliest["p_z"],
                **{n_column(p): likeliest[n_column(p)] for p in probabilities},
                "worst_log_p_z": inside["log_p_z"].min(),
                **{name: likeliest[name] for name in PRIOR if name in inside},
                "rouge_l": inside["rouge_l"].max(),
                "sequence_duplicates": int(inside["sequence_duplicates"].max()),
                **{
                    name: bool(inside[name].mean() > 0.5)
                    for name in ("is_repeating", "is_incrementing", "is_code")
                },
                "class": counts.index[0],
                "classes": ", ".join(f"{name} {count}" for name, count in counts.items()),
                "prefix": document.span(prompt, prompt + prefix),
                "text": document.span(start, end),
            }
        )
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else None)
