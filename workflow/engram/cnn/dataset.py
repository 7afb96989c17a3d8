"""The samples of one taxonomy in memory: what its CNNs are trained and evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engram.cnn.network import token_identity
from engram.io.errors import EngramError
from engram.io.packing import packed_length
from engram.io.spans import Spans

_BLOCK = 256
"""Samples that are checked at a time."""


@dataclass(frozen=True)
class Dataset:
    """Samples with their pooled attention; `check` says whether they can be trained on."""

    sequence_id: np.ndarray
    """int64 (n,)."""
    content_group: np.ndarray
    """int64 (n,), equal iff the suffix tokens are equal."""
    tokens: np.ndarray
    """(n, T), what the model read: its opening, where it has one, and the text whose attention this
    is."""
    mean: np.ndarray
    """Attention averaged over heads, packed, (n, L, P)."""
    max: np.ndarray
    """The largest attention of any head, packed, (n, L, P)."""
    label: np.ndarray
    """Index of the class, int (n,)."""
    split: np.ndarray
    """train, validation or test, str (n,)."""
    classes: Sequence[str]
    """The K class names."""
    spans: Spans | None = None
    """The tokens of every row of a map; None: one each."""
    random_mean: np.ndarray | None = None
    """Like `mean`, of the model with permuted weights; None where that baseline is not asked for.
    """
    random_max: np.ndarray | None = None
    """Like `max`, of the model with permuted weights."""
    features: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """What probes see: baseline → name of a set of features → (n, F); `hidden_states` has a set per
    layer.
    """

    def __len__(self) -> int:
        return len(self.sequence_id)

    @property
    def side(self) -> int:
        """Rows of a map: T, tokens per sample, or as many as its spans."""
        return self.tokens.shape[1] if self.spans is None else self.spans.rows

    def layers(self, source: str) -> int:
        """Return the channels of an input of CNNs: L for attention, 1 for token identity."""
        return 1 if source == "token_identity" else self.mean.shape[1]

    def maps(self, source: str, head_pooling: str) -> np.ndarray:
        """Return the packed maps of an input, (n, channels, P): pooled attention, or token
        identity (the same for both poolings).
        """
        if source == "token_identity":
            return token_identity(self.tokens, self.spans)[:, None]  # (n, 1, P)
        if source == "random_weights":
            random = self.random_mean if head_pooling == "mean" else self.random_max
            if random is None:
                raise ValueError(
                    "the data set was assembled without the attention of random weights"
                )
            return random
        return self.mean if head_pooling == "mean" else self.max

    def rows(self, split: str) -> np.ndarray:
        """Return the positions of a split's samples, in the order of the data set."""
        return np.flatnonzero(self.split == split)

    def check(self, splits: Sequence[str]) -> None:
        """Whether these samples can be trained and evaluated on.

        Args:
            splits: those in which every class must have samples.

        Raises:
            EngramError: shapes that do not fit, fewer than two classes, a class that a split lacks,
                or attention that is not finite.
        """
        n, packed = len(self), packed_length(self.side)
        unit = "tokens" if self.spans is None else "blocks"
        columns = {
            name: getattr(self, name) for name in ("content_group", "tokens", "label", "split")
        } | dict(self._attention())
        for name, rows in columns.items():
            if len(rows) != n:
                raise EngramError(f"CNN data: {name} has {len(rows)} rows for {n} sequences")
        for name, maps in self._attention():
            if maps.shape[2] != packed:
                raise EngramError(
                    f"CNN data: {name} has {maps.shape[2]} values per map, {self.side} {unit} "
                    f"make {packed}; extract it again"
                )
        if len(self.classes) < 2:
            raise EngramError(
                f"CNN data: {len(self.classes)} class ({', '.join(self.classes)}), nothing to tell "
                f"apart; take two or more"
            )
        for split in splits:
            counts = np.bincount(self.label[self.rows(split)], minlength=len(self.classes))
            if (counts == 0).any():
                lacking, found = (
                    self.classes[int(counts.argmin())],
                    dict(zip(self.classes, counts.tolist(), strict=True)),
                )
                raise EngramError(
                    f"CNN data: class {lacking} has no sample in the {split} split ({found}); take "
                    f"more samples per class"
                )
        self._check_finite()

    def _attention(self) -> list[tuple[str, np.ndarray]]:
        """Return the attention maps that there are, by the name of their field."""
        return [
            (name, maps)
            for name in ("mean", "max", "random_mean", "random_max")
            if (maps := getattr(self, name)) is not None
        ]

    def _check_finite(self) -> None:
        for name, values in self._attention():
            for start in range(0, len(self), _BLOCK):
                finite = np.isfinite(values[start : start + _BLOCK]).all(axis=(1, 2))  # (block,)
                if not finite.all():
                    sequence = self.sequence_id[start + int(finite.argmin())]
                    raise EngramError(
                        f"CNN data: {name} attention of sequence_id {sequence} is not finite; "
                        f"extract it in float32 or bfloat16"
                    )
