"""A damaged artifact is a one-line error that names it, or is computed again, or is read as it was
written: never another number.

`make test` tries a few mutations of every kind of file; `ENGRAM_MUTATIONS=2000 pytest -s
tests/mutations` tries more."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from artifacts import ARTIFACTS, Artifact, plain
from mutations import DAMAGES

from engram.cnn import checkpoints
from engram.io import artifacts, hdf5
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION

MUTATIONS = int(os.environ.get("ENGRAM_MUTATIONS", "200"))
VERSIONED = (artifacts, checkpoints, hdf5)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()
    yield counted
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common()))


def outcome(artifact: Artifact, path: Path, whole: Any) -> str:
    """Return what reading a mutated file comes to."""
    try:
        found = artifact.read(path)
    except EngramError as error:
        message = str(error)
        assert str(path) in message and message.isprintable() and len(message) < 1000, message
        return "errors"
    if found is None:
        assert not artifact.versioned
        return "computed again"
    assert plain(found) == whole, f"{artifact.name}: silently read as something else"
    return "read as they were written"


@pytest.mark.parametrize(
    "number", range(len(ARTIFACTS)), ids=[artifact.name for artifact in ARTIFACTS]
)
def test_damage_is_never_read_as_a_number(
    number: int, tmp_path: Path, outcomes: Counter[str]
) -> None:
    artifact, r = ARTIFACTS[number], random.Random(number)
    path = tmp_path / artifact.name
    artifact.write(path)
    content, whole = path.read_bytes(), plain(artifact.read(path))
    others = [other for other in ARTIFACTS if other is not artifact]
    for _ in range(max(1, MUTATIONS // len(ARTIFACTS))):
        if r.random() < 0.1:  # another kind of Engram's own files under this name
            other = r.choice(others)
            (tmp_path / "other").mkdir(exist_ok=True)
            other.write(tmp_path / "other" / other.name)
            mutated = (tmp_path / "other" / other.name).read_bytes()
        else:
            mutated = r.choice(DAMAGES)(r, content)
        path.write_bytes(mutated)
        outcomes[outcome(artifact, path, whole)] += 1


@pytest.mark.parametrize(
    "artifact",
    [artifact for artifact in ARTIFACTS if artifact.versioned],
    ids=lambda artifact: artifact.name,
)
def test_another_schema_version_is_an_error(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: Counter[str]
) -> None:
    path = tmp_path / artifact.name
    for version in (SCHEMA_VERSION + 1, SCHEMA_VERSION - 1, "two"):
        with monkeypatch.context() as patch:
            for module in VERSIONED:
                patch.setattr(module, "SCHEMA_VERSION", version)
            artifact.write(path)
        with pytest.raises(EngramError, match="schema version"):
            artifact.read(path)
        outcomes["errors"] += 1
