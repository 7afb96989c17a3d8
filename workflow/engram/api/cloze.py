"""Paired cloze: does a model complete terms with their identifiers, and back?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from engram.api.display import html_table
from engram.api.language_model import LanguageModel, check_language_model
from engram.auditing.facts import as_text
from engram.auditing.pair_rates import pair_rates
from engram.auditing.pairs import ask_pairs, pairs_of
from engram.auditing.settings import PairSettings
from engram.io.errors import EngramError
from engram.lm.generation import BATCH_TOKENS

DEFAULTS = PairSettings()
"""Templates and bins."""
KNOWN = ("popularity", "held_out")
"""Columns that pairs may have."""


@dataclass(frozen=True, repr=False, eq=False)
class Cloze:
    """What a model makes of pairs: what `engram.cloze` returns."""

    model: str
    """The model's name."""
    answers: pd.DataFrame
    """A row per pair, direction and model: weights (`model` or `twin`), the columns of
    `engram.auditing.pairs.ask_pairs`, and what is known of the pair."""
    rates: pd.DataFrame
    """How often pairs are completed, by popularity and overlap: weights, and the columns of
    `engram.auditing.pair_rates.pair_rates`."""

    def _facts(self) -> dict[str, str]:
        whole = self.rates[(self.rates["by"] == "all") & (self.rates["pairs"] == "all")]
        return {
            f"{row['direction']}, {row['weights']}": f"{row['accuracy']:.1%} of {row['n']:,}"
            for row in whole.to_dict("records")
        }

    def __repr__(self) -> str:
        facts = "; ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"Cloze of {self.model}: {facts}"

    def _repr_html_(self) -> str:
        return html_table(f"Cloze of {self.model}", self._facts())


def cloze(
    lm: LanguageModel,
    pairs: Any,
    *,
    forward: str = DEFAULTS.forward,
    backward: str = DEFAULTS.backward,
    twin: LanguageModel | None = None,
    bins: int = DEFAULTS.bins,
    confidence: float = 0.95,
    batch_tokens: int = BATCH_TOKENS,
) -> Cloze:
    """Ask a model to complete terms with their identifiers, and identifiers with their terms
    (arXiv 2510.19036).

    An answer is correct where greedy decoding writes it.

    Args:
        lm: of `engram.load`.
        pairs: a mapping of terms to identifiers, or a table with the columns term and identifier,
            and if they are known popularity (numbers) and held_out (whether a pair was not in the
            training text).
        forward: with `{term}` and after it `{identifier}`, which the model is to write.
        backward: with `{identifier}` and after it `{term}`.
        twin: a model to compare with, for example as it was before it was trained on the pairs.
        bins: of popularity and of lexical overlap, of about equally many pairs.
        confidence: nominal coverage of the intervals.
        batch_tokens: tokens per batch; halved when a GPU runs out of memory.

    Raises:
        EngramError: pairs or templates that cannot be read.
    """
    asked = {"model": lm} | ({} if twin is None else {"twin": twin})
    for model in asked.values():
        check_language_model(model)
    settings = PairSettings.parse(
        {"forward": forward, "backward": backward, "bins": bins}, "audit.pairs"
    )
    table = pairs_of(_columns(pairs), "pairs")
    known = table.drop(columns=["term", "identifier"])
    answers, rates = [], []
    for weights, model in asked.items():
        own = ask_pairs(model.model, model.tokenizer, table, settings, batch_tokens)
        own = own.merge(known, on="pair", validate="m:1")
        answers.append(own.assign(weights=weights))
        rates.append(pair_rates(own, bins, confidence).assign(weights=weights))
    return Cloze(
        lm.name, pd.concat(answers, ignore_index=True), pd.concat(rates, ignore_index=True)
    )


def _columns(pairs: Any) -> dict[str, pd.Series]:
    """Return the columns of pairs, as text."""
    if isinstance(pairs, Mapping):
        pairs = pd.DataFrame(list(pairs.items()), columns=["term", "identifier"])
    if not isinstance(pairs, pd.DataFrame):
        raise EngramError(
            f"pairs: a {type(pairs).__name__}; give a mapping of terms to identifiers, or a table"
        )
    if missing := [name for name in ("term", "identifier") if name not in pairs]:
        raise EngramError(f"pairs: the table has no column {missing[0]}")
    if not len(pairs):
        raise EngramError("pairs: empty; give at least one")
    text = as_text(pairs)
    return {name: text[name] for name in ("term", "identifier", *KNOWN) if name in text}
