"""Tables of this folder, and their values as text."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import yaml

HERE = Path(__file__).parent
WORDS = (
    *("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)


def table(path: str) -> pd.DataFrame:
    """Return a table of this folder, `classes/scores` for example."""
    return pd.read_csv(HERE / f"{path}.csv")


def settings(study: str) -> dict:
    """Return the file of a study, `studies/crossed.yaml` for example; config.yaml for the demo."""
    file = "config.yaml" if study == "demo" else f"studies/{study}.yaml"
    return yaml.safe_load((HERE.parents[1] / file).read_text(encoding="utf-8"))


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


def word(count: int) -> str:
    """Return a number of things as a word up to twelve: none, five, 30, 1,160."""
    return WORDS[count] if count < len(WORDS) else f"{count:,}"


def tenths(value: float) -> str:
    """Return how many of ten a fraction is, as a word: nine, of .911."""
    return word(math.floor(value * 10 + 0.5 + 1e-9))


def span(values: Iterable[float], show: Callable[[float], str]) -> str:
    """Return the smallest and the largest value, `75 to 81`, or one where they read the same."""
    values = list(values)
    ends = dict.fromkeys((show(min(values)), show(max(values))))
    return " to ".join(ends)


def listed(items: Iterable[object], conjunction: str = "and") -> str:
    """Return items in words: `2, 4 or 8`."""
    *others, last = map(str, items)
    return f"{', '.join(others)} {conjunction} {last}" if others else last


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


def filled(text: str) -> str:
    """Return paragraphs, between which there are blank lines, and bullets with their lines broken
    at 100 columns."""
    blocks = re.split(r"\n{2,}", text.strip())
    return "\n\n".join("\n".join(_filled(block)) for block in blocks)


def _filled(block: str) -> list[str]:
    paragraph, *bullets = re.split(r"^- ", block, flags=re.MULTILINE)
    options = {"width": 100, "break_long_words": False, "break_on_hyphens": False}
    lines = [textwrap.fill(" ".join(paragraph.split()), **options)] if paragraph else []
    for bullet in bullets:
        text = f"- {' '.join(bullet.split())}"
        lines.append(textwrap.fill(text, subsequent_indent="  ", **options))
    return lines
