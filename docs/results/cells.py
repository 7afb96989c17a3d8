"""Tables of this folder, and their values as text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent


def table(path: str) -> pd.DataFrame:
    """Return a table of this folder, `classes/scores` for example."""
    return pd.read_csv(HERE / f"{path}.csv")


def score(value: float) -> str:
    """Return a fraction with three places and no leading 0: .699, −.020, 1.000."""
    return f"{value:.3f}".replace("-", "−").replace("0.", ".", 1)


def short(value: float) -> str:
    """Return a fraction with two places and no leading 0: .62, −.19."""
    return f"{value:.2f}".replace("-", "−").replace("0.", ".", 1)


def nats(value: float) -> str:
    """Return nats with one place: 11.1, −7.5."""
    return f"{value:.1f}".replace("-", "−")


def hundredths(value: float) -> str:
    """Return hundredths with one place: 5.5, −1.7."""
    return nats(100 * value)


def points(value: float) -> str:
    """Return a fraction as whole percent or points, halves away from zero: 38, −4."""
    whole = math.floor(abs(value) * 100 + 0.5 + 1e-9)
    return f"{'−' if value < 0 and whole else ''}{whole}"


def interval(row: pd.Series, name: str, show: Callable[[float], str]) -> str:
    """Return a value with its interval: `.699 [.646, .743]`."""
    low, high = show(row[f"{name}_low"]), show(row[f"{name}_high"])
    return f"{show(row[name])} [{low}, {high}]"


def stacked(row: pd.Series, name: str, show: Callable[[float], str]) -> str:
    """Return a value above its interval, for tables of many columns."""
    value, bounds = interval(row, name, show).split(" ", 1)
    return f"{value}<br><small>{bounds}</small>"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, one row a line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def select(rows: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Return the rows whose columns have these values; the key `class_` means column `class`."""
    for name, value in values.items():
        rows = rows[rows[name.rstrip("_")] == value]
    return rows


def only(rows: pd.DataFrame, **values: object) -> pd.Series:
    """Return the one row whose columns have these values.

    Raises:
        ValueError: none or several rows have them.
    """
    rows = select(rows, **values)
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows with {values}; expected one")
    return rows.iloc[0]


def filled(bullets: str) -> str:
    """Return bullets with their lines broken at 100 columns."""
    parts = [" ".join(part.split()) for part in f"\n{bullets}".split("\n- ")[1:]]
    return "\n".join(
        textwrap.fill(
            f"- {part}", 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for part in parts
    )
