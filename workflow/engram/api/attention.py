"""Attention of texts, pooled over heads: what `engram.attention` returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from engram.api.display import STYLE, html_table, map_text, shown
from engram.api.language_model import LanguageModel, check_language_model
from engram.api.texts import read_windows
from engram.figures.attention import attention_examples, attention_heads
from engram.io.errors import EngramError, printable
from engram.io.packing import unpack
from engram.io.spans import Spans
from engram.lm.attention import BATCH_TOKENS, all_heads, extract
from engram.lm.models import check_tokens
from engram.store.attention_file import behind

PLOTTED = 3
"""Texts that `AttentionMaps.plot` draws unless the caller names them."""


@dataclass(frozen=True, repr=False, eq=False)
class AttentionMaps:
    """Attention of n texts in L layers, pooled over heads; packed, P = T'(T'+1)/2 values per map of
    T' = B + T rows: the model's opening of B special tokens, if it has one, then the text's T, or
    as many blocks as they make (`engram.io.spans`).
    """

    tokens: np.ndarray
    """The texts, int64 (n, T)."""
    index: pd.Index
    """Name of every text: its place in the list, frame or study that it comes from."""
    prefix: int
    """Tokens of the prefix."""
    packed_mean: np.ndarray
    """Mean over heads, float32 (n, L, P)."""
    packed_max: np.ndarray
    """Largest over heads, float16 (n, L, P)."""
    verification: pd.DataFrame
    """How well the model reproduces each text: extracted, matched_fraction, suffix_log_prob (nats
    per token), from the same forward; see `engram.lm.attention.Extraction`."""
    model: str
    """Name of the model."""
    lm: LanguageModel | None = None
    """The model, for single heads and for texts; None where the maps were read from a study."""
    opening: tuple[int, ...] = ()
    """Special tokens that the model read in front of every text, the maps' first rows and
    columns."""
    block: int = 1
    """Tokens of every other row and column."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def layers(self) -> int:
        """Number of layers L."""
        return self.packed_mean.shape[1]

    @property
    def window(self) -> int:
        """T, tokens per text."""
        return self.tokens.shape[1]

    @property
    def read_tokens(self) -> np.ndarray:
        """What the model read, int64 (n, B + T)."""
        return behind(self.opening, self.tokens)

    @property
    def spans(self) -> Spans:
        """The tokens of every row of a map."""
        return Spans(len(self.opening), self.prefix, self.window - self.prefix, self.block)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed maps."""
        return self.packed_mean.nbytes + self.packed_max.nbytes

    @property
    def mean(self) -> np.ndarray:
        """Mean over heads, float32 (n, L, T', T'): [i, l, query, key], 0 where the key lies later.

        Unpacked at each call and twice as large as what is kept: choose texts first, `maps[:8]`.
        """
        return unpack(self.packed_mean)

    @property
    def max(self) -> np.ndarray:
        """Largest attention of any head, float16 (n, L, T', T'); see `mean`."""
        return unpack(self.packed_max)

    def heads(self, i: int) -> np.ndarray:
        """Return the attention of every head to text i (a position from 0), token by token: float32
        (L, H, T', T').

        Heads are not kept: the model reads the text again.

        Raises:
            EngramError: there is no text i, or the model is not at hand.
        """
        return unpack(self._packed_heads(i))

    def texts(self) -> list[str]:
        """Return the texts as strings.

        Raises:
            EngramError: the model, and so its tokenizer, is not at hand.
        """
        return self._lm().decode(self.tokens)

    def __getitem__(self, rows: Any) -> AttentionMaps:
        """Return the maps of some texts: a position, a slice, positions, or a mask (n,)."""
        if isinstance(rows, pd.Series):
            rows = rows.to_numpy()
        if isinstance(rows, int | np.integer):
            rows = [self._position(int(rows))]
        chosen = np.arange(len(self))[rows]
        return replace(
            self,
            tokens=self.tokens[chosen],
            index=self.index[chosen],
            packed_mean=self.packed_mean[chosen],
            packed_max=self.packed_max[chosen],
            verification=self.verification.iloc[chosen],
        )

    def __iter__(self) -> Iterator[AttentionMaps]:
        """Go through the maps text by text."""
        return (self[row] for row in range(len(self)))

    def plot(
        self, rows: Sequence[int] | int | None = None, titles: Sequence[str] | None = None
    ) -> Figure:
        """Draw the mean maps of some texts, in up to six layers.

        Args:
            rows: positions of the texts from 0; None draws the first three.
            titles: of the columns, one per text; None takes the names of the rows.
        """
        if rows is None:
            rows = range(min(PLOTTED, len(self)))
        chosen = [self._position(row) for row in ([rows] if isinstance(rows, int) else rows)]
        names = [f"row {self.index[row]}" for row in chosen] if titles is None else list(titles)
        if len(names) != len(chosen):
            raise EngramError(f"titles: {len(names)} for {len(chosen)} texts")
        texts = [""] * len(chosen) if self.lm is None else self.lm.decode(self.tokens[chosen])
        maps = self.packed_mean[chosen].astype(np.float32)
        names = [printable(str(name)) for name in names]
        axes: dict[str, Any] = {"opening": len(self.opening), "block": self.block}
        return shown(attention_examples(maps, names, texts, self.prefix, **axes, style=STYLE))

    def plot_heads(self, i: int) -> Figure:
        """Draw the maps of single heads of text i, in up to six layers."""
        heads = self._packed_heads(i)
        title = printable(f"{self.model}, row {self.index[i]}")
        opening = len(self.opening)
        return shown(attention_heads(heads, title, self.prefix, opening=opening, style=STYLE))

    def _packed_heads(self, i: int) -> np.ndarray:
        row = self._position(i)
        (heads,) = all_heads(self._lm().model, self.tokens[row : row + 1])
        return heads.float().numpy()  # (L, H, P)

    def _position(self, i: int) -> int:
        if not -len(self) <= i < len(self):
            raise EngramError(f"row {i}: there are {len(self)} texts, count from 0")
        return i % len(self)

    def _lm(self) -> LanguageModel:
        if self.lm is None:
            raise EngramError(
                f"the model {self.model} is not at hand; take the attention of the texts with "
                f"engram.attention, or pass lm= where a study is asked for attention"
            )
        return self.lm

    def _facts(self) -> dict[str, str]:
        return {
            "model": self.model,
            "texts": f"{len(self):,}",
            "extracted": f"{int(self.verification['extracted'].sum()):,}",
            "layers": f"{self.layers}",
            "tokens": map_text(len(self.opening), self.prefix, self.spans.rows, self.block),
            "memory": f"{self.nbytes / 1e6:,.1f} MB, packed",
        }

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"AttentionMaps: {facts}"

    def _repr_html_(self) -> str:
        return html_table("AttentionMaps", self._facts())


def attention(
    lm: LanguageModel,
    texts: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    block: int = 1,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> AttentionMaps:
    """Return the attention of texts, pooled over heads, layer by layer.

    Args:
        lm: of `engram.load`.
        texts: strings or token ids; see `engram.api.texts.read_windows`. The paper studies the text
            that the model itself would write (section 5), so that no class shows attention to text
            that the model would not: for `engram.localize`, pass the column `continuation` of
            `engram.label`.
        prefix: tokens of the prompt.
        suffix: tokens after it.
        block: tokens of a row and column of the maps; with b, a cell is the mean (`mean`) or the
            largest (`max`) of up to b × b values, which keeps maps of long texts small. The exact
            definition is that of `engram.io.spans`.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Raises:
        EngramError: texts that cannot be read, tokens of another model, a block of no token, or an
            architecture whose attention cannot be seen.
    """
    check_language_model(lm)
    if isinstance(block, bool) or not isinstance(block, int) or block < 1:
        raise EngramError(f"block: {block!r}; give the tokens of a row of the maps, 1 or more")
    windows = read_windows(texts, lm.tokenizer, prefix, suffix, short=short)
    check_tokens(lm.model, windows.tokens, "texts")
    parts = list(extract(lm.model, windows.tokens, prefix, batch_tokens, block))
    names = ("extracted", "matched_fraction", "suffix_log_prob")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return AttentionMaps(
        tokens=windows.tokens,
        index=windows.index,
        prefix=prefix,
        packed_mean=np.concatenate([part.mean for part in parts]),
        packed_max=np.concatenate([part.max for part in parts]),
        verification=pd.DataFrame(columns, index=windows.index),
        model=lm.name,
        lm=lm,
        opening=lm.opening,
        block=block,
    )
