"""Compression: how much of the context a model needs to write the whole memorized suffix.

(P) The fewest tokens of the context that still give the whole output, over the length of the
context (Chen, Han and Miyao, arXiv 2603.21658). (U) Which tokens are kept is a choice, since the
paper does not say: see `KEEP`. Bisection finds a length below which the suffix is lost, and that is
the fewest only where a longer context never hurts. That need not be so, so lengths that bisection
did not ask about are tried as well; a scan tries all of them.

Positions of a shorter context count from 0, behind the model's opening, as if it were the whole
text. A suffix counts as written if greedy decoding gives it, which one forward shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.models import suffix_logits, token_scores

KEEP = ("last", "first", "onset")
"""What a context of m tokens is: `last`, the m tokens next to the suffix; `first`, the first m,
which the suffix follows directly; `onset`, the first m, after which the model has to write the rest
of the context and then the suffix."""


@dataclass(frozen=True)
class Compression:
    """Fewest context tokens of n sequences, float64 (n,) unless said differently; NaN where the
    whole context does not give the suffix."""

    bisected: np.ndarray
    """A length that gives the suffix while the next shorter one does not."""
    fewest: np.ndarray
    """The shortest length that gives it. Without a scan, the shortest that was tried."""
    monotone: np.ndarray
    """Whether no length that was tried gives the suffix while a longer one does not; 1, 0 or NaN.
    Of a scan it is the whole truth."""
    tried: np.ndarray
    """How many lengths were tried, the whole context included, int64 (n,)."""
    gives: np.ndarray
    """Whether each length 1 … prefix gives the suffix, int8 (n, prefix); -1 where it was not
    tried."""

    def values(self) -> dict[str, np.ndarray]:
        """Return extracted (the whole context gives the suffix), bisected, fewest, compressibility
        (fewest / context length) and monotone, float64 (n,) each.
        """
        return {
            "extracted": self.gives[:, -1].astype(np.float64),
            "bisected": self.bisected,
            "fewest": self.fewest,
            "compressibility": self.fewest / self.gives.shape[1],
            "monotone": self.monotone,
        }


def compress(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    keep: str = "last",
    *,
    scan: bool = False,
    probes: int = 4,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> Compression:
    """Find the fewest context tokens that still give each whole suffix.

    Args:
        model: the model.
        tokens: (n, T); the first `prefix` are the context, the others the suffix.
        prefix: tokens of the context.
        keep: one of `KEEP`.
        scan: try every length.
        probes: without a scan, lengths to try besides those of the bisection, spread evenly.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: another `keep`, a negative number of probes, or a logit that is not finite.
    """
    if keep not in KEEP:
        raise EngramError(f"keep: {keep!r}; choose {', '.join(KEEP)}")
    if isinstance(probes, bool) or not isinstance(probes, int) or probes < 0:
        raise EngramError(f"probes: {probes!r}; give a number of lengths, 0 or more")
    windows = np.asarray(tokens, np.int64)
    attempts = _Attempts(model, windows, prefix, keep, batch_tokens, kept)
    everyone = np.arange(len(windows))
    attempts.ask(everyone, np.full(len(windows), prefix))
    memorized = np.flatnonzero(attempts.gives[:, prefix - 1] == 1)
    if keep == "onset":
        # One forward shows all lengths, see `_Attempts`.
        return _result(attempts, memorized, _fewest(attempts.gives[memorized]))
    low = np.zeros(len(memorized), np.int64)  # does not give the suffix; 0 is without context
    high = np.full(len(memorized), prefix)  # gives it
    while (open_ := np.flatnonzero(high - low > 1)).size:
        middle = (low[open_] + high[open_]) // 2
        attempts.ask(memorized[open_], middle)
        given = attempts.gives[memorized[open_], middle - 1] == 1
        high[open_] = np.where(given, middle, high[open_])
        low[open_] = np.where(given, low[open_], middle)
    lengths = (
        np.arange(1, prefix)
        if scan
        else np.unique(np.linspace(1, prefix, probes + 2).round().astype(int)[1:-1])
    )
    for length in lengths:
        missing = memorized[attempts.gives[memorized, length - 1] < 0]
        attempts.ask(missing, np.full(len(missing), length))
    return _result(attempts, memorized, high)


class _Attempts:
    """Which lengths of context give the suffix, as far as it was asked."""

    def __init__(
        self,
        model: PreTrainedModel,
        windows: np.ndarray,
        prefix: int,
        keep: str,
        batch_tokens: int,
        kept: Kept | None,
    ) -> None:
        self._model, self._windows, self._keep = model, windows, keep
        self._kept = kept
        self._prefix, self._batch_tokens = prefix, batch_tokens
        self.gives = np.full((len(windows), prefix), -1, np.int8)
        """int8 (n, prefix), see `Compression.gives`."""

    def ask(self, rows: np.ndarray, lengths: np.ndarray) -> None:
        """Try a length of context for each of these sequences.

        Sequences of one length share batches, so that no padding enters a forward.
        """
        if self._keep == "onset":
            self._ask_all(rows)
            return
        for length in np.unique(lengths):
            chosen = rows[lengths == length]
            context = self._windows[chosen, : self._prefix]
            kept = context[:, -length:] if self._keep == "last" else context[:, :length]
            suffix = self._windows[chosen, self._prefix :]
            matches = self._matches(np.concatenate([kept, suffix], 1), int(length))
            self.gives[chosen, length - 1] = matches.all(1)

    def _ask_all(self, rows: np.ndarray) -> None:
        """Try every length of an onset: a length gives the suffix if and only if each token after
        it is the most likely one, so the matches of one forward show all lengths.
        """
        matches = self._matches(self._windows[rows], 1)  # (n, T - 1), of tokens 1 …
        lasting = np.logical_and.accumulate(matches[:, ::-1], axis=1)[:, ::-1]
        self.gives[rows] = lasting[:, : self._prefix]

    def _matches(self, windows: np.ndarray, first: int) -> np.ndarray:
        """Return whether each token from position `first` on is the most likely one, bool
        (n, T - first).
        """
        tokens = torch.from_numpy(np.ascontiguousarray(windows))

        def run(part: slice) -> list[np.ndarray]:
            batch = tokens[part].to(self._model.device)
            with torch.inference_mode():
                logits, _ = suffix_logits(self._model, batch, first)
                matches, _ = token_scores(self._model, logits, batch[:, first:])
            return [matches.cpu().numpy()]

        rows = max(1, self._batch_tokens // windows.shape[1])
        kept = self._kept and self._kept.also(str(first))
        batches = kept_batches(run, windows, rows, "contexts", self._model.device, kept)
        parts = [values for _, (values,) in batches]
        return np.concatenate([np.empty((0, windows.shape[1] - first), bool), *parts])


def _fewest(gives: np.ndarray) -> np.ndarray:
    """Return the shortest length that is known to give the suffix, (n, prefix) -> (n,)."""
    shortest: np.ndarray = (gives == 1).argmax(1) + 1
    return shortest


def _result(attempts: _Attempts, memorized: np.ndarray, bisected: np.ndarray) -> Compression:
    """Return what was found of the sequences whose whole context gives the suffix."""
    gives = attempts.gives
    known = gives[memorized]
    # A length gives the suffix, and a longer one does not.
    failing = np.maximum.accumulate((known == 0)[:, ::-1], axis=1)[:, ::-1]
    monotone = ~((known == 1) & failing).any(1)
    columns = {"bisected": bisected, "fewest": _fewest(known), "monotone": monotone}
    spread = {name: np.full(len(gives), np.nan) for name in columns}
    for name, values in columns.items():
        spread[name][memorized] = values
    return Compression(**spread, tried=(gives >= 0).sum(1), gives=gives)
