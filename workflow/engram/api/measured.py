"""Texts that a model is measured on, and the tables of the measures: by text, and by class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.content import content_numbers
from engram.api.language_model import LanguageModel, check_language_model
from engram.api.texts import Windows, read_windows
from engram.io.errors import EngramError
from engram.lm.models import check_tokens
from engram.mechanisms.class_means import class_table

BATCH_TOKENS = 8192
"""Tokens per forward unless the caller says otherwise."""
EVERYTHING = "all"
"""The class of texts that have none."""


@dataclass(frozen=True)
class MeasuredTexts:
    """Windows that a model has read, with what tables call them."""

    windows: Windows
    """The texts."""
    prefix: int
    """Tokens that prompt the model."""

    @property
    def tokens(self) -> np.ndarray:
        """Token ids, int64 (n, prefix + suffix)."""
        return self.windows.tokens

    @property
    def label(self) -> np.ndarray:
        """The class of every text, (n,): a column `class`, or one class for all."""
        if "class" in self.windows.columns:
            return self.windows.columns["class"].to_numpy(object)
        return np.full(len(self.windows), EVERYTHING, object)

    @property
    def group(self) -> np.ndarray:
        """Content group of every text, int64 (n,): equal where suffixes are."""
        return content_numbers(self.tokens[:, self.prefix :])

    def several_classes(self, what: str) -> np.ndarray:
        """Return `label`, of two classes or more, which `what` compares.

        Raises:
            EngramError: all texts are of one class.
        """
        if len(pd.unique(pd.Series(self.label))) < 2:
            raise EngramError(
                f"{what}: all {len(self.label)} texts are of the class {self.label[0]}; give a "
                f"DataFrame with a column class"
            )
        return self.label

    def table(
        self, keys: dict[str, tuple[Any, ...]], values: dict[str, np.ndarray]
    ) -> pd.DataFrame:
        """Return a row per text and combination of keys.

        Args:
            keys: names and values of the further axes, in order.
            values: columns, (n, *axes) each.

        Returns:
            row (the name of the text), class (where texts have one), the keys, the values;
            `extracted` as true or false.
        """
        names: dict[str, Any] = {"row": self.windows.index}
        if "class" in self.windows.columns:
            names["class"] = self.windows.columns["class"].array
        index = pd.MultiIndex.from_product([range(len(self.windows)), *keys.values()])
        texts = pd.DataFrame(names).iloc[index.codes[0]].reset_index(drop=True)
        for level, name in enumerate(keys, start=1):
            texts[name] = index.get_level_values(level)
        return texts.assign(**columns(values))

    def by_class(
        self,
        keys: dict[str, tuple[Any, ...]],
        values: dict[str, np.ndarray],
        *,
        resamples: int,
        confidence: float,
        seed: int,
    ) -> pd.DataFrame:
        """Return a row per class and combination of keys, with intervals over content groups.

        Arguments and columns are those of `engram.mechanisms.class_means.class_table`.
        """
        return class_table(
            keys,
            values,
            self.label,
            self.group,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )


def columns(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return values of any shape as columns of a table, `extracted` as true or false."""
    flat = {name: value.reshape(-1) for name, value in values.items()}
    return flat | ({"extracted": flat["extracted"] > 0} if "extracted" in flat else {})


class ClassMeans(ABC):
    """Measures of texts that have means per class: the base of what the measures return."""

    texts: MeasuredTexts
    """The texts."""

    @abstractmethod
    def _of_classes(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, np.ndarray]]:
        """Return the axes of the values after the texts, and the values whose means are reported,
        as `MeasuredTexts.by_class` takes them.
        """

    def by_class(
        self, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Return means over the texts of every class, with intervals over content groups.

        Args:
            resamples: bootstrap draws of content groups.
            confidence: nominal coverage.
            seed: of the draws.

        Returns:
            a row per class and whatever the values are measured at, such as layer or depth: class,
            n, groups, the names of these; every value with `_low` and `_high`. The class of the
            object says which values there are.
        """
        keys, values = self._of_classes()
        return self.texts.by_class(
            keys, values, resamples=resamples, confidence=confidence, seed=seed
        )


def measured_texts(
    lm: LanguageModel, texts: Any, prefix: int, suffix: int, short: str, name: str = "texts"
) -> MeasuredTexts:
    """Return texts as windows that the model can read.

    Raises:
        EngramError: something else than a model, or texts that it cannot read.
    """
    check_language_model(lm)
    windows = read_windows(texts, lm.tokenizer, prefix, suffix, short=short, name=name)
    check_tokens(lm.model, windows.tokens, name)
    return MeasuredTexts(windows, prefix)
