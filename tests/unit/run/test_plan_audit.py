"""The price of an audit: counted by hand, and that of what the audit does."""

from __future__ import annotations

import numpy as np
import pytest

from engram.auditing.settings import BookSettings
from engram.run.plan import Shape
from engram.run.plan_audit import audit_costs
from engram.run.rates import Rates

SHAPE = Shape(layers=2, heads=2, width=8, weights=1000, head_weights=80)
BOOKS = BookSettings(enabled=True, prefix=20, step=7)


def test_parts_are_counted() -> None:
    """A document of 100 tokens has 18 windows of 15 tokens every 5, one of 14 has none."""
    table = audit_costs([100, 14], SHAPE, (10, 5), 5, BOOKS, 8, Rates(), 1).set_index("part")
    assert table.loc["windows", "sequences"] == 18
    assert table.loc["unrelated prefixes", "sequences"] == 18 * 9
    assert table.loc["books", "sequences"] == 2 * 12  # 80 tokens in steps of 7
    assert table["tokens"].tolist() == [18 * 15, 18 * 9 * 15, 24 * 27]
    assert table.loc["windows", "pflop"] == pytest.approx(18 * SHAPE.forward_flops(16, 5) / 1e15)
    hours = table.loc["books", "pflop"] * 1e15 / Rates().continuation / 3600
    assert table.loc["books", "gpu_hours"] == pytest.approx(hours)


def test_windows_are_those_that_an_audit_cuts() -> None:
    for length in range(10, 60):
        table = audit_costs([length], SHAPE, (6, 4), 3, BookSettings(), 0, Rates())
        assert table["part"].tolist() == ["windows"]
        assert table["sequences"].tolist() == [len(np.arange(0, length - 10 + 1, 3))]


def test_a_bound_on_the_tokens_bounds_the_price() -> None:
    bounded = BOOKS.model_copy(update={"longest": 14})
    table = audit_costs([1000], SHAPE, (10, 5), 5, bounded, 0, Rates()).set_index("part")
    assert table.loc["books", "sequences"] == 2 * 2
