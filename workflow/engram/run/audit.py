"""`engram audit`: a study file for a model and a person's documents, and the run of it."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.io.shipped import shipped_file
from engram.run import launch, summary
from engram.run.config import complete
from engram.run.digests import file_digest
from engram.run.mistakes import RESERVED
from engram.sources.documents import document_files
from engram.sources.entry import PINNED_PACKAGE

EVERY = 10**12
"""Windows that are drawn: all of them."""
SHIPPED = {"nursery": "resources/nursery/drilled", "nursery-base": "resources/nursery"}
"""Models that ship, and their folders; the tokenizer of both is in the second."""


@dataclass(frozen=True)
class AuditRequest:
    """What `engram audit` was asked for."""

    model: str
    """A folder, a GGUF file, a repository, a package in one version, or a model that ships."""
    documents: str
    """A text file, a table of documents, or a folder of either."""
    prefix: int
    """Tokens that prompt the model."""
    suffix: int
    """Tokens that it is to reproduce."""
    stride: int
    """Tokens between the beginnings of two windows."""
    study: str | None = None
    """Name of the study; None makes one of the names of model and documents."""
    revision: str = ""
    """Commit, tag or branch of a repository."""
    dtype: str = "float32"
    """Precision of the model."""
    pattern: str = "*"
    """Names of the files that are read."""
    text_column: str = "text"
    """Column of the text in tables of documents."""
    redact: bool = False
    """Whether texts are kept out of every file."""
    unrelated: int = 0
    """Unrelated prefixes after which every suffix is asked for as well."""
    books: int = 0
    """Tokens of the prefix from which the model writes whole documents again; 0 writes none."""
    popularity: str = ""
    """Column with a number that says how well known a document is."""
    cnns: str = ""
    """Folder of a finished study whose CNNs give windows their class."""
    taxonomy: str = ""
    """The rule that gives windows their class; empty for the default."""
    pairs: str = ""
    """Table of terms and identifiers that the model is asked to complete."""
    reference: str = ""
    """Corpus in which regions are looked for."""
    group: str = ""
    """Column with the group of a document."""
    attributes: Sequence[str] = ()
    """Columns with values that occur in the texts."""
    facts: str = ""
    """Table with the columns of documents that are text files."""


def command(request: AuditRequest, snakemake: Sequence[str]) -> int:
    """Write the study file, run it, and say where the page is; return Snakemake's exit status.

    Raises:
        EngramError: something that was asked for cannot be; a job that ends with a user's mistake
            is repeated as the last line.
    """
    study = study_of(request)
    results = Path("results", study["study"])
    write_study(study, results / "audit.yaml")
    page, started = results / "audit.html", time.time()
    status = launch.run([*snakemake, "--configfile", str(results / "audit.yaml")])
    if status:
        for line in mistakes(results / "logs", started):
            print(line, file=sys.stderr)
    elif page.is_file():
        summary.command(results)
    return status


def study_of(request: AuditRequest) -> dict[str, Any]:
    """Return the config of the study of an audit.

    Raises:
        EngramError: documents or model are missing, or a number is out of range.
    """
    document_files(request.documents, request.pattern)
    name = slug(Path(request.model.partition("==")[0]).name.removesuffix(".gguf"))
    entry: dict[str, Any] = {
        "name": f"{name}-model" if name in RESERVED else name,
        "source": "corpus",
        **model_keys(request.model, request.revision),
        "dtype": request.dtype,
        "documents": request.documents,
        "pattern": request.pattern,
        "text_column": request.text_column,
        "stride": request.stride,
        "candidates": EVERY,
    }
    study = {
        "study": request.study or slug(f"audit-{name}-{Path(request.documents).resolve().stem}"),
        "prefix": request.prefix,
        "suffix": request.suffix,
        "models": [entry],
        "audit": audit_keys(request),
        **({"prior": {"prefixes": request.unrelated}} if request.unrelated else {}),
        # An audit trains no CNN, and those of the default do not fit into a short window.
        "cnn": {"kernels": [2]},
    }
    complete(study)
    return study


def audit_keys(request: AuditRequest) -> dict[str, Any]:
    """Return the section `audit` of the study: what is asked for and not the default."""
    return {
        "enabled": True,
        **({"redact": True} if request.redact else {}),
        **({"books": {"enabled": True, "prefix": request.books}} if request.books else {}),
        **{
            key: getattr(request, key)
            for key in ("popularity", "facts", "group", "reference", "cnns", "taxonomy")
            if getattr(request, key)
        },
        **({"pairs": {"table": request.pairs}} if request.pairs else {}),
        **({"attributes": list(request.attributes)} if request.attributes else {}),
    }


def model_keys(model: str, revision: str) -> dict[str, str]:
    """Return the keys of a model's entry that name the model.

    Raises:
        EngramError: it is a local path without a model.
    """
    if model in SHIPPED:
        return {"model": str(unpacked(model))}
    if PINNED_PACKAGE.fullmatch(model):
        return {"package": model}
    path = Path(model)
    if path.is_dir() and not (path / "config.json").is_file():
        raise EngramError(
            f"model {model}: no config.json in it; give the folder that `save_pretrained` wrote"
        )
    if not path.exists() and (path.is_absolute() or model.startswith(".") or len(path.parts) > 2):
        raise EngramError(f"model {model}: no such file or folder")
    return {"model": model, **({"revision": revision} if revision else {})}


def unpacked(model: str) -> Path:
    """Return a folder with a model that ships and its tokenizer, under results/.parts/."""
    source = shipped_file(f"{SHIPPED[model]}/config.json").parent
    tokenizer = shipped_file("resources/nursery/tokenizer.json").parent
    folder = Path("results", ".parts", "shipped", f"{model}-{file_digest(str(source))}")
    files = [source / "config.json", source / "model.safetensors"]
    files += [tokenizer / "tokenizer.json", tokenizer / "tokenizer_config.json"]
    for file in files:
        if not (folder / file.name).is_file():
            with whole(folder / file.name) as temporary:
                shutil.copyfile(file, temporary)
    return folder


def slug(text: str) -> str:
    """Return a name that a folder of results may have."""
    kept = re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-._")[:64].strip("-._")
    return kept or "audit"


def write_study(study: dict[str, Any], path: Path) -> None:
    """Write a study file, unless it is that already."""
    text = (
        "# Written by `engram audit`, which writes it again; run it with\n"
        f"#   engram run --study {path}\n"
        + yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
    )
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def mistakes(logs: Path, since: float) -> Iterable[str]:
    """Return the lines with which jobs ended for a user's mistake, without repetition.

    Args:
        logs: folder of the study's logs.
        since: seconds since the epoch; older logs are of earlier runs.
    """
    lines = [
        text.splitlines()[-1]
        for log in sorted(logs.rglob("*.log"))
        if log.stat().st_mtime >= since
        and (text := log.read_text(encoding="utf-8", errors="replace").strip())
    ]
    return dict.fromkeys(line for line in lines if line.startswith("error: "))
