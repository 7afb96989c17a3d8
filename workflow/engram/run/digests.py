"""Digests of code: what a stage's results depend on in addition to its inputs.

The settings file of a stage holds a digest of its script and of every engram module that the script
imports, directly or not. So a change of code reruns that stage and what follows. A change of
comments, docstrings or layout reruns nothing, nor does another version of Python.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
NEUTRAL = frozenset(
    {
        "engram",
        "engram.run",
        "engram.run.job",
        "engram.run.digests",
        "engram.io.errors",
        "engram.io.mistakes",
    }
)
"""Modules that log, report or name what is finished, and cannot change a result."""


def code_digest(script: Path) -> str:
    """Return a digest, 12 hex digits, of the code of `script` and all engram modules it needs."""
    sha = hashlib.sha256()
    for file in (script, *sorted(_closure(script))):
        sha.update(f"{file.name}\0{_normalised(file, _code(file))}\0".encode())
    return sha.hexdigest()[:12]


def code_digests(scripts: Path, memory: Path) -> dict[str, str]:
    """Return the digest of every script in a folder, by name without `.py`.

    To read all code takes a second, most of a plan of the default study. So `memory`, a file,
    remembers the digests with a hash of all the code they were made of, and counts for nothing once
    a byte of that has changed.
    """
    sha = hashlib.sha256()
    files = [
        (root.name, file.relative_to(root).as_posix(), file)
        for root in (PACKAGE, scripts)
        for file in sorted(root.rglob("*.py"))
    ]
    for root, name, file in files:
        sha.update(f"{root}/{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    with suppress(OSError, ValueError, TypeError, KeyError):
        remembered = json.loads(memory.read_text())
        if remembered["code"] == sha.hexdigest():
            return dict(remembered["digests"])
    digests = {script.stem: code_digest(script) for script in sorted(scripts.glob("*.py"))}
    with suppress(OSError):  # a folder that cannot be written to remembers nothing
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary = memory.with_name(f"{memory.name}.{os.getpid()}")
        temporary.write_text(json.dumps({"code": sha.hexdigest(), "digests": digests}))
        temporary.replace(memory)
    return digests


@cache
def file_digest(path: str) -> str:
    """Return twelve hexadecimal digits over a shipped file's bytes; of a folder, over the names and
    bytes of the files that lie in it directly.
    """
    sha = hashlib.sha256()
    root = Path(path)
    for file in sorted(root.glob("*")) if root.is_dir() else [root]:
        if file.is_file():
            sha.update(file.name.encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:12]


def _closure(script: Path) -> set[Path]:
    """Return the files of every engram module that `script` imports, transitively."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        importing = waiting.pop()
        for file in _imports(importing, _code(importing)):
            if file not in found:
                found.add(file)
                waiting.append(file)
    return found


@cache
def _code(file: Path) -> str:
    """Return the text of a file, read once; what follows from it is remembered with it."""
    return file.read_text(encoding="utf-8")


@cache
def _tree(file: Path, code: str) -> ast.Module:
    return ast.parse(code, str(file))


@cache
def _imports(file: Path, code: str) -> frozenset[Path]:
    """Return the files of the engram modules that one file imports, wherever in the file the import
    is.
    """
    names: set[str] = set()
    for node in ast.walk(_tree(file, code)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, file)
            names.add(origin)
            names.update(f"{origin}.{alias.name}" for alias in node.names)
    own = {name for name in names if name.split(".")[0] == "engram"} - NEUTRAL
    # Importing a module runs its packages' __init__ first.
    packages = {
        parent for name in own for parent in itertools.accumulate(name.split("."), "{}.{}".format)
    }
    return frozenset(path for name in (own | packages) - NEUTRAL if (path := _module_file(name)))


def _origin(node: ast.ImportFrom, file: Path) -> str:
    """Return the absolute name of what follows `from`, which may begin with dots."""
    if not node.level:
        return node.module or ""
    package = ("engram", *file.relative_to(PACKAGE).parts[: -node.level])
    return ".".join([*package, *([node.module] if node.module else [])])


def _module_file(name: str) -> Path | None:
    """Return the file of an engram module, or None where the name is a function or class in one."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


@cache
def _normalised(file: Path, code: str) -> str:
    """Return a file's code as a syntax tree: without docstrings, comments and layout."""
    return _text(_tree(file, code))


def _text(node: Any) -> str:
    """Return a syntax tree as text: what `ast.dump` of Python 3.11 writes, with docstrings left
    out, in every version of Python.

    Later versions leave out empty lists, or add fields (`type_params`) that most nodes have no use
    for; with either, all stages would rerun under another Python.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    documented = isinstance(
        node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    )
    parts = []
    for name in node._fields:
        value: Any = getattr(node, name, None)
        absent = value is None and (
            name == "kind" or not isinstance(node, ast.Constant | ast.MatchSingleton)
        )
        if absent or (name == "type_params" and not value):
            continue
        if documented and name == "body":
            value = [
                part
                for part in value
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
        parts.append(f"{name}={_text(value)}")
    return f"{type(node).__name__}({', '.join(parts)})"
