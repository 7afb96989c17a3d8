"""The state of a user's files: what must change for a source to be read again.

Snakemake sees of a folder only that files were added or removed, and a corpus may have too many
files for as many inputs. The digest stands in the rules' `params` instead. It is taken of names,
sizes and times, so that a plan reads no contents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engram.io.errors import EngramError
from engram.io.hashing import value_digest
from engram.sources.documents import document_files
from engram.sources.files import table_files

MODEL_FILES = ("*.json", "*.safetensors", "tokenizer.model", "merges.txt")
"""What of a model's folder decides what it reads and writes."""


def source_state(entry: Mapping[str, Any]) -> str:
    """Return a digest that changes when a file is added to, removed from or edited in what a
    model's entry names.

    Args:
        entry: a completed entry; the nursery, and repositories of the hub, have no files of the
            user's.
    """
    files = _model_files(entry["model"])
    if entry["source"] == "hub" and Path(entry["dataset"]).is_dir():
        files += sorted(Path(entry["dataset"]).glob("*.parquet")) + sorted(
            Path(entry["dataset"], "data").glob("*.parquet")
        )
    try:
        if entry["source"] == "table":
            files += table_files(entry["table"])
        if entry["source"] == "corpus":
            files += [file for file, _ in document_files(entry["documents"], entry["pattern"])]
    except EngramError:
        pass  # What is not there yet has no state; the job that reads it says what is missing.
    return _digest(files)


def model_state(path: str) -> str:
    """Return a digest that changes when a local model is trained again or replaced; of a
    repository, always the same.
    """
    return _digest(_model_files(path))


def file_state(*paths: str | Path) -> str:
    """Return a digest that changes when one of these files is edited; of those that are not there,
    always the same.
    """
    return _digest(path for path in map(Path, paths) if path.is_file())


def cnn_state(study: str | Path, slug: str) -> str:
    """Return a digest that changes when a finished study has other attention, or other CNNs of one
    taxonomy.
    """
    names = ("checkpoints.safetensors", "predictions.parquet")
    patterns = ("*/attention/index.parquet", *(f"*/*/cnns/{slug}/{name}" for name in names))
    return file_state(*(file for pattern in patterns for file in sorted(Path(study).glob(pattern))))


def _model_files(path: str) -> list[Path]:
    if path and Path(path).is_file():
        return [Path(path)]
    return (
        sorted(file for pattern in MODEL_FILES for file in Path(path).glob(pattern))
        if path and Path(path).is_dir()
        else []
    )


def _digest(files: Iterable[Path]) -> str:
    return value_digest(
        *((str(file), (state := file.stat()).st_size, state.st_mtime_ns) for file in files)
    )
