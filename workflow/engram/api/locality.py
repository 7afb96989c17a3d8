"""Is recall local? Heads are knocked out, and an attack on the input tries to bring it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.language_model import LanguageModel
from engram.api.measured import BATCH_TOKENS, MeasuredTexts, columns, measured_texts
from engram.api.steering import draw_splits
from engram.io.errors import EngramError
from engram.lm.conditions import by_measure
from engram.mechanisms.locality import probe_locality
from engram.mechanisms.locality_results import REMOVED, Locality, Texts
from engram.mechanisms.locality_settings import LocalitySettings


@dataclass(frozen=True, repr=False, eq=False)
class Attack:
    """What an attack brings back of recall: what `attack` returns."""

    texts: MeasuredTexts
    """The texts, those that heads were ranked on included."""
    rows: np.ndarray
    """Which of them were attacked, (n,)."""
    values: Locality
    """Results as arrays."""

    @property
    def removed(self) -> tuple[tuple[int, int], ...]:
        """The heads (layer, head) from 1 that were knocked out, the most important first."""
        return self.values.heads[: self.values.removed]

    @property
    def table(self) -> pd.DataFrame:
        """A row per attacked text, kind of model and step: row, model, step; extracted,
        matched_fraction, suffix_log_prob (`engram.lm.attention.Extraction`).
        """
        tables = []
        for (kind, state), attacked in self.values.attacks.items():
            if kind == "recalled":
                n, steps, _ = attacked.measures.shape
                names = {
                    "row": self.texts.windows.index[self.rows].repeat(steps),
                    "model": state,
                    "step": np.tile(np.arange(steps), n),
                }
                tables.append(pd.DataFrame(names | columns(by_measure(attacked.measures))))
        return pd.concat(tables, ignore_index=True)

    def removal(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return what is left of recalled texts as heads are removed:
        `engram.mechanisms.locality.Locality.removal`.
        """
        return self.values.removal(resamples=resamples, confidence=confidence, seed=seed)

    def curves(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return what comes back step by step: `engram.mechanisms.locality.Locality.curves`."""
        return self.values.curves(resamples=resamples, confidence=confidence, seed=seed)

    def comparison(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return whether recalled texts come back sooner than never-seen ones:
        `engram.mechanisms.locality.Locality.comparison`.
        """
        return self.values.comparison(resamples=resamples, confidence=confidence, seed=seed)

    def overlap(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return whether localization from the found embeddings names the same heads:
        `engram.mechanisms.locality.Locality.overlap`.
        """
        return self.values.overlap(resamples=resamples, confidence=confidence, seed=seed)

    def __repr__(self) -> str:
        back = self.values.attacks["recalled", REMOVED].recovered
        return (
            f"Attack: {len(self.rows):,} texts, {len(self.removed)} heads removed, "
            f"{back.sum():,} came back"
        )


def attack(
    lm: LanguageModel,
    texts: Any,
    unseen: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    recalled: str = "Others",
    heads: Sequence[tuple[int, int]] | None = None,
    operation: str = "remove",
    left: float = 0.2,
    most: float = 0.5,
    steps: int = 50,
    learning_rate: float = 0.1,
    top: float = 0.2,
    seed: int = 0,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> Attack:
    """Knock out the heads that recall depends on, and optimize prefixes until it comes back.

    (P) Removal, attack on the input and a second localization (arXiv 2507.16880, on text-to-image
    models). (U) Heads of language models, the loss of the suffix, the comparisons with never-seen
    text and with the intact model: `engram.mechanisms.locality`.

    Args:
        lm: of `engram.load`.
        texts: see `engram.api.texts.read_windows`; of a frame with a column `class`, those of the
            class `recalled` alone. Of a column `split`, `test` is attacked and the others rank the
            heads; without it, 60 % rank, drawn by content group. Where `heads` are given and
            `operation` is `remove`, none is needed for that, and all are attacked.
        unseen: windows that the model has never seen.
        prefix: tokens that prompt the model.
        suffix: tokens to reproduce.
        recalled: the class whose texts are recalled.
        heads: (layer, head) from 1, the most important first, as a localization names them; None
            ranks them by what texts lose without each of them.
        operation: what replaces a head's output: `remove`, 0, or `mean`, its mean over the texts
            that rank.
        left: heads are removed until no larger share of the texts is extracted.
        most: most heads that are removed, as a share of all.
        steps: of the attack.
        learning_rate: of Adam.
        top: share of heads whose sets are compared.
        seed: of the split.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward, and of the attack a quarter of them; halved when a GPU
            runs out of memory.

    Raises:
        EngramError: texts that cannot be read, no text to attack or to rank on, heads that the
            model does not have, or a value out of range.
    """
    settings = LocalitySettings.parse(
        {
            "recalled": recalled,
            "operation": operation,
            "left": left,
            "most": most,
            "steps": steps,
            "learning_rate": learning_rate,
            "top": top,
        },
        "locality",
    )
    measured = measured_texts(lm, texts, prefix, suffix, short)
    given = measured.windows.columns
    chosen = measured.label == recalled if "class" in given else np.ones(len(measured.tokens), bool)
    if not chosen.any():
        raise EngramError(f"texts: none of the class {recalled!r}; name another class")
    if "split" in given:
        tested = given["split"].to_numpy(object) == "test"
    elif heads is not None and operation == "remove":
        tested = np.ones(len(chosen), bool)
    else:
        tested = draw_splits(measured.group, None, seed) == "test"
    rows = np.flatnonzero(chosen & tested)
    other = measured_texts(lm, unseen, prefix, suffix, short, "unseen")
    values = probe_locality(
        lm.model,
        Texts(measured.tokens[rows], measured.group[rows]),
        Texts(other.tokens, other.group),
        prefix,
        settings,
        ranking=measured.tokens[chosen & ~tested],
        heads=heads,
        batch_tokens=batch_tokens,
    )
    return Attack(measured, rows, values)
