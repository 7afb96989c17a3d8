"""A tiny model that counts, and shards of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_shards import SETTINGS, Counted, sequences

from engram.store import shards
from engram.store.settings import ExtractionSettings
from engram.store.shards import ShardReport, build_shard


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts what is extracted; the check against transformers sends more through the model."""
    monkeypatch.setattr(shards, "expect_some", lambda *_arguments: {})
    return Counted()


@pytest.fixture
def build(tmp_path: Path, counted: Counted) -> Callable[..., ShardReport]:
    """Builds a shard of some ids under a name, with a fresh process' memory of parts."""

    def build(
        ids: range | list[int],
        name: str = "demo/shard-0.h5",
        settings: ExtractionSettings = SETTINGS,
    ) -> ShardReport:
        return build_shard(
            counted.source, sequences(ids), tmp_path / ".parts", tmp_path / name, settings
        )

    return build
