"""The rooms of the package, and who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "workflow" / "engram"
LAYERS = (
    ("io",),
    ("lm",),
    ("windows",),
    ("taxonomy", "store", "sources", "nursery"),
    ("cnn",),
    ("scores",),
    ("saliency",),
    ("knockout",),
    ("mechanisms", "series"),
    ("crossed",),
    ("figures", "explorer", "auditing"),
    ("api",),
)
"""From the bottom up; a module may import its own room and those of lower layers."""
OPERATIONS = "run"
"""Outside the layers: it may import all of them, and none may import it."""
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room(module: str) -> str:
    """The package that a module lies in; empty for the top floor."""
    return module.split("/")[0] if "/" in module else ""


def imported(path: Path) -> set[str]:
    """Everything that a file may import, anywhere in it: modules, and names of modules."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What every module imports."""
    return {name: imported(path) for name, path in MODULES.items()}


@pytest.fixture(scope="module")
def graph(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """The modules of engram that every module imports."""
    return {
        module: {
            name.replace(".", "/").removeprefix("engram/")
            for name in names
            if name.startswith("engram.")
        }
        & MODULES.keys()
        for module, names in imports.items()
    }


def height(name: str) -> int:
    """Number of a room's layer from the bottom."""
    return next(number for number, rooms in enumerate(LAYERS) if name in rooms)


def test_every_module_lies_in_a_known_room() -> None:
    rooms = {room(module) for module in MODULES} - {""}
    assert rooms == {OPERATIONS, *(name for layer in LAYERS for name in layer)}


def test_science_imports_downwards(graph: dict[str, set[str]]) -> None:
    science = [name for name in MODULES if room(name) not in ("", OPERATIONS)]
    upwards = [
        f"{module} imports {other}"
        for module in science
        for other in sorted(graph[module])
        if room(other) != room(module)
        and (room(other) in ("", OPERATIONS) or height(room(other)) >= height(room(module)))
    ]
    assert len(science) > 200
    assert upwards == []


def test_no_circle(graph: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_no_module_but_launch_imports_snakemake(imports: dict[str, set[str]]) -> None:
    importing = {
        module
        for module, names in imports.items()
        if any(name.split(".")[0].startswith("snakemake") for name in names)
    }
    assert importing - {"run/launch"} == set()
