"""Repositories of the Hugging Face hub: the files that are needed, from the local cache or the
network, and their commit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from engram.io.artifacts import write_json
from engram.io.errors import EngramError
from engram.lm.checkpoint import check_folder
from engram.lm.models import load_tokenizer
from engram.sources.account import account
from engram.windows.code_classifier import CodeClassifier

log = logging.getLogger(__name__)

WEIGHTS = ["model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"]
"""Weights by the names that `transformers` loads; a repository may hold a second copy under another
name.
"""

SMALL = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
]
"""What a model needs in addition to its weights. Code and pickled weights are never fetched."""

ORIGIN = "origin.json"
"""Where a model's folder says where it comes from."""


def snapshot(
    repository: str, revision: str | None, patterns: Sequence[str], kind: str
) -> tuple[Path, str]:
    """Return the files of a repository that match, on this machine.

    Without a network, or with HF_HUB_OFFLINE=1, the local cache (HF_HOME) must hold them.

    Args:
        repository: `owner/name`.
        revision: commit, tag or branch; None is the main branch.
        patterns: of file names; others are not downloaded.
        kind: `model` or `dataset`.

    Returns:
        the folder, and the commit.

    Raises:
        EngramError: they cannot be had.
    """
    try:
        folder = Path(
            snapshot_download(
                repository, repo_type=kind, revision=revision, allow_patterns=list(patterns)
            )
        )
    except Exception as error:  # what the network and the hub raise has no common base
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        where = f"{kind} {repository}" + (f" at {revision}" if revision else "")
        raise EngramError(
            f"{where}: no such folder here, and the hub gives none ({first}); see `revision` and "
            f"HF_HUB_OFFLINE"
        ) from error
    return folder, folder.name


def fetch_model(path_or_repository: str | Path, revision: str | None, folder: Path) -> None:
    """Make a model folder that every later step loads, offline: configuration and tokenizer copied,
    weights linked.

    Args:
        path_or_repository: a folder with `config.json` and `*.safetensors`, or a repository on the
            hub.
        revision: commit, tag or branch on the hub; None is its main branch.
        folder: where it appears, whole or not at all; what lies there is replaced.

    Raises:
        EngramError: the model cannot be had, has no safetensors weights or tokenizer, or cannot be
            studied (`engram.lm.checkpoint`).
    """
    source, commit = Path(path_or_repository), "local"
    if not source.is_dir():
        source, commit = snapshot(str(path_or_repository), revision, [*WEIGHTS, *SMALL], "model")
    if not (source / "config.json").is_file():
        raise EngramError(
            f"model {path_or_repository}: no config.json in it; give the folder that "
            f"`save_pretrained` wrote"
        )
    weights = [file for pattern in WEIGHTS for file in sorted(source.glob(pattern))]
    if not any(file.suffix == ".safetensors" for file in weights):
        raise EngramError(
            f"model {path_or_repository}: no safetensors weights at this revision; name one that "
            f"has them (a conversion is often kept as "
            "refs/pr/<number>), or save the model again with `save_pretrained`"
        )
    check_folder(source)
    load_tokenizer(source)
    small = [source / name for name in SMALL if (source / name).is_file()]
    said = account(source, [*small, *weights], reasons=_adapters(source))
    log.info(said.line())
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for file in small:
            shutil.copyfile(file, partial / file.name)
        for file in weights:
            (partial / file.name).symlink_to(file.resolve())
        write_json(
            {"model": str(path_or_repository), "revision": revision, "commit": commit}
            | said.metadata(),
            partial / ORIGIN,
        )
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _adapters(source: Path) -> dict[Path, str]:
    """Return the files of an adapter next to a model: they would change its weights and are not
    read.
    """
    reason = "files of an adapter, which is not applied"
    return dict.fromkeys(source.glob("adapter_*"), reason)


def find_code_classifier(
    path_or_repository: str, revision: str | None, name: str
) -> CodeClassifier:
    """Return the fastText model that separates code from natural language, downloaded where it is
    not on this machine.

    Args:
        path_or_repository: the file, a folder with it, or a repository on the hub.
        revision: commit, tag or branch on the hub.
        name: of the file in the folder or repository.

    Raises:
        EngramError: it cannot be had.
    """
    file, origin = Path(path_or_repository), ""
    if not file.exists():
        file, commit = snapshot(path_or_repository, revision, [name], "model")
        origin = f"{path_or_repository} at {commit}, "
    if file.is_dir():
        file = file / name
    if not file.is_file():
        raise EngramError(
            f"code_classifier: {path_or_repository} has no file {name}; name it by "
            f"`code_classifier.file`"
        )
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:24]
    return CodeClassifier(str(file.resolve()), f"fastText {origin}{file.name}, sha256 {digest}")


def read_origin(folder: Path) -> dict[str, Any]:
    """Return what `fetch_model` recorded in a model's folder: model (path or repository), revision
    and commit (`local` for a path).
    """
    return json.loads((folder / ORIGIN).read_text())
