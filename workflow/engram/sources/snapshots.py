"""Repositories of the Hugging Face hub: the files that are needed, from the local cache or the
network, and their commit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from engram.io.artifacts import write_json
from engram.io.errors import EngramError
from engram.io.settings import Bos
from engram.lm.checkpoint import check_folder
from engram.lm.gguf import is_gguf
from engram.lm.inputs import chosen_opening, write_opening
from engram.lm.models import fingerprint, load_tokenizer
from engram.sources.account import Account, account
from engram.sources.gguf import dequantized
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


def fetch_model(
    path_or_repository: str | Path,
    revision: str | None,
    folder: Path,
    bos: Bos = "auto",
    parts: Path | None = None,
    package: Mapping[str, Any] | None = None,
) -> None:
    """Make a model folder that every later step loads, offline: configuration and tokenizer copied,
    weights linked, and a record of what its sequences begin with.

    Args:
        path_or_repository: a folder with `config.json` and `*.safetensors`, a GGUF file, or a
            repository on the hub.
        revision: commit, tag or branch on the hub; None is its main branch.
        folder: where it appears, whole or not at all; what lies there is replaced.
        bos: see `engram.lm.inputs.chosen_opening`.
        parts: folder of finished work; the weights of a GGUF file are dequantized into it, once.
        package: what is recorded of the package that a GGUF file comes from.

    Raises:
        EngramError: the model cannot be had, has no safetensors weights or tokenizer, cannot be
            studied (`engram.lm.checkpoint`), or lacks the token that `bos` asks for.
    """
    source, commit, read = Path(path_or_repository), "local", {}
    if is_gguf(path_or_repository):
        if parts is None:
            raise ValueError("a GGUF file is dequantized into a folder of finished work")
        source, of_file = dequantized(source, parts / "gguf")
        read = {"gguf": of_file} | ({"package": dict(package)} if package else {})
    elif not source.is_dir():
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
    first = chosen_opening(load_tokenizer(source), bos)
    log.info("%s: sequences begin with the tokens %s", source, list(first))
    small = [source / name for name in SMALL if (source / name).is_file()]
    if is_gguf(path_or_repository):
        said = Account(str(path_or_repository), 1)
    else:
        said = account(source, [*small, *weights], reasons=_adapters(source))
    log.info(said.line())
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for file in small:
            shutil.copyfile(file, partial / file.name)
        for file in weights:
            _link(file, partial / file.name, lasting=not read)
        write_opening(partial, first, bos)
        write_json(
            {"model": str(path_or_repository), "revision": revision, "commit": commit}
            | read
            | said.metadata(),
            partial / ORIGIN,
        )
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _link(file: Path, link: Path, lasting: bool) -> None:
    """Link to a file of weights.

    Args:
        lasting: the file stays where it is; what is finished work may be deleted, and is linked so
            that its bytes stay.
    """
    if lasting:
        link.symlink_to(file.resolve())
        return
    try:
        link.hardlink_to(file)
    except OSError:  # another disk
        shutil.copyfile(file, link)


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


def model_metadata(entry: Mapping[str, Any], prefix: int, folder: Path | None) -> dict[str, Any]:
    """Return what artifacts record of a model's entry.

    Args:
        entry: the completed entry.
        prefix: tokens of the prompt.
        folder: of the fetched model; None for one that is known by name.

    Returns:
        source, model, revision, prefix; package, if the entry names one; and of a fetched model
        its commit and the fingerprint of its weights.
    """
    metadata = {key: entry[key] for key in ("source", "model", "revision")} | {"prefix": prefix}
    metadata |= {"package": entry["package"]} if entry["package"] else {}
    if folder and (folder / ORIGIN).is_file():
        metadata |= {
            "commit": read_origin(folder)["commit"],
            "model_revision": fingerprint(folder, None, entry["dtype"]),
        }
    return metadata
