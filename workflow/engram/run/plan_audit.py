"""What an audit costs, from the lengths of the documents and the model's shape."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engram.auditing.books import priced
from engram.auditing.settings import BookSettings
from engram.run.plan import Shape
from engram.run.rates import Rates


def audit_costs(
    lengths: Sequence[int],
    shape: Shape,
    window: tuple[int, int],
    stride: int,
    books: BookSettings,
    unrelated: int,
    rates: Rates,
    opening: int = 0,
) -> pd.DataFrame:
    """Return what the parts of an audit cost; regions and attributes, which nobody knows before,
    are not among them.

    Args:
        lengths: tokens of each document.
        shape: the model's.
        window: tokens of prefix and suffix.
        stride: tokens between the beginnings of two windows.
        books: of the reconstruction.
        unrelated: prefixes of the prior of each window; 0 for none.
        rates: assumed of the GPU.
        opening: special tokens in front of every sequence.

    Returns:
        a row per part that is asked for: part (`windows`, `unrelated prefixes`, `books`),
        sequences that go through the model, tokens (read and written), pflop (10¹⁵ operations),
        gpu_hours.
    """
    prefix, suffix = window
    whole = prefix + suffix
    count = sum((length - whole) // stride + 1 for length in lengths if length >= whole)
    parts = [("windows", count, whole, suffix, rates.forward)]
    if unrelated:
        reads = count * (unrelated + 1)
        parts.append(("unrelated prefixes", reads, whole, suffix, rates.forward))
    if books.enabled:
        steps = priced(lengths, books)["sequences"]
        parts.append(("books", steps, books.prefix + books.step, books.step, rates.continuation))
    rows = []
    for part, sequences, length, scored, rate in parts:
        operations = sequences * shape.forward_flops(opening + length, scored)
        rows.append(
            {
                "part": part,
                "sequences": sequences,
                "tokens": sequences * length,
                "pflop": operations / 1e15,
                "gpu_hours": operations / rate / 3600,
            }
        )
    return pd.DataFrame(rows)
