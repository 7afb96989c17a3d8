"""GGUF files as models: one file with weights, configuration and tokenizer, often quantized.

transformers reads them and dequantizes the weights; here is what is checked and said before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import GgufConfig, PreTrainedModel

from engram.io.errors import EngramError, boundary
from engram.io.pointers import refuse_pointers

MAGIC = b"GGUF"
NEEDED = ("accelerate", "gguf")
"""Packages of the extra `gguf`."""
ADVICE = "copy or download it again, or give another model"


def is_gguf(source: str | Path) -> bool:
    """Return whether a model is named as a GGUF file."""
    return str(source).lower().endswith(".gguf")


def check_gguf(path: str | Path) -> None:
    """Check that a GGUF file is there and can be read here; its content is checked by reading it.

    Raises:
        EngramError: no such file, another kind of file, or a package that reading takes is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise EngramError(f"model {path}: no such file")
    refuse_pointers([path])
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC:
        raise EngramError(f"model {path}: not a GGUF file, it begins with {start!r}; {ADVICE}")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise EngramError(
            f"model {path}: reading GGUF files takes the package {missing[0]}; install Engram with "
            f"its extra: pip install 'engram[gguf]'"
        )


def located(source: str | Path) -> tuple[str | Path, dict[str, Any]]:
    """Return where transformers finds a model, and what else it must be given: of a GGUF file its
    folder and its name.
    """
    if not is_gguf(source):
        return source, {}
    path = Path(source)
    return path.parent, {"gguf_file": path.name}


def dequantizing() -> dict[str, Any]:
    """Return what makes transformers dequantize all weights while it loads a GGUF file."""
    return {"quantization_config": GgufConfig(dequantize=True)}


def forget_quantization(model: PreTrainedModel, source: str | Path) -> None:
    """Make a dequantized model an ordinary one, which can be saved."""
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, name):
            delattr(model.config, name)
    for name in ("hf_quantizer", "quantization_method", "is_quantized"):
        if name in vars(model):
            delattr(model, name)
    model.name_or_path = model.config._name_or_path = str(source)


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def description(path: Path) -> dict[str, Any]:
    """Return what is recorded of a GGUF file: file name, sha256, architecture, name, license, and
    `elements`, weights by their type (`Q4_K`, `F32` …).

    Raises:
        EngramError: as `check_gguf`, or a file that is cut off or damaged.
    """
    check_gguf(path)
    with boundary(f"model {path}: cannot be read", ADVICE):
        from gguf import GGUFReader  # of an extra

        reader = GGUFReader(path)
        elements: Counter[str] = Counter()
        for tensor in reader.tensors:
            elements[tensor.tensor_type.name] += int(tensor.n_elements)
        named = {
            key: str(field.contents()) if (field := reader.get_field(f"general.{key}")) else ""
            for key in ("architecture", "name", "license")
        }
    return {
        "file": path.name,
        "sha256": file_digest(path),
        **named,
        "elements": dict(elements.most_common()),
    }
