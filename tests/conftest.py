"""Marks every test outside tests/unit with the name of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/<folder>/, so that `-m <folder>` chooses it."""
    for item in items:
        if item.path.is_relative_to(HERE):
            folder = item.path.relative_to(HERE).parts[0]
            if folder not in ("unit", item.path.name):
                item.add_marker(folder)
