"""GGUF files as ordinary model folders: dequantizing takes up to minutes and is done once."""

from __future__ import annotations

import logging
import shutil
import uuid
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import transformers

from engram.io.artifacts import write_json
from engram.io.errors import boundary
from engram.io.hashing import content_digest
from engram.lm.gguf import description
from engram.lm.models import load_model, load_tokenizer

log = logging.getLogger(__name__)

DEQUANTIZED = "gguf.json"
"""Where a folder of dequantized weights says what file they come from."""


def dequantized(path: Path, cache: Path) -> tuple[Path, dict[str, Any]]:
    """Return a folder with the dequantized model and tokenizer of a GGUF file, made unless it is
    there, and `description` with the precision that the weights have now.

    Args:
        path: the GGUF file.
        cache: where such folders lie; each is named by the content of the file and by the versions
            that dequantized it.

    Raises:
        EngramError: as `check_gguf` and `engram.lm.models.load_model`.
    """
    said = description(path) | {"dtype": "float32"}
    versions = f"transformers {transformers.__version__}, gguf {_version('gguf')}"
    folder = cache / content_digest(said["sha256"], versions)
    if folder.is_dir():
        log.info("%s: dequantized before, into %s", path, folder)
        return folder, said
    model = load_model(path, dtype="float32", device="cpu")
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        with boundary(f"{partial}: cannot be written", "make room and run again"):
            model.save_pretrained(partial)
            load_tokenizer(path).save_pretrained(partial)
            write_json(said | {"versions": versions}, partial / DEQUANTIZED)
            if not folder.is_dir():  # another job may have been faster
                partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    log.info("%s: dequantized into %s", path, folder)
    return folder, said


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
