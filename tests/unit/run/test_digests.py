"""Digests of code: what a change of code reruns, and what it does not."""

import ast
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engram.io.hashing import value_digest
from engram.run import digests
from engram.run.digests import code_digest, code_digests, file_digest

MODULES = {
    "engram/__init__.py": '"""A package."""\n\nVERSION = 1\n',
    "engram/io/__init__.py": '"""Files."""\n',
    "engram/io/errors.py": "class EngramError(Exception):\n    pass\n",
    "engram/run/__init__.py": "",
    "engram/run/job.py": "from engram import unrelated\n\n\ndef job():\n    return unrelated.x\n",
    "engram/deep.py": "from engram.io.errors import EngramError\n\nDEPTH = 1\n",
    "engram/middle.py": "import numpy as np\n\nfrom engram.deep import DEPTH\n\n\ndef middle(x: "
    "int) -> int:\n    return x + DEPTH\n",
    "engram/lazy.py": "LAZY = 1\n",
    "engram/unrelated.py": "x = 1\n",
    "engram/part/__init__.py": '"""A part."""\n',
    "engram/part/one.py": "from engram.part import two\n\n\ndef one():\n    from engram import "
    "lazy\n\n    return lazy.LAZY + two.TWO\n",
    "engram/part/two.py": "TWO = 2\n",
    "engram/part/near.py": "from . import two\nfrom ..deep import DEPTH\n",
    "scripts/middle.py": """
        '''Runs the middle.'''

        from engram.run.job import job
        from engram.middle import middle

        with job():
            print(middle(1))
        """,
    "scripts/part.py": "from engram.part.one import one\n\none()\n",
    "scripts/near.py": "import engram.part.near\n",
    "scripts/plain.py": "import json\n\nprint(json)\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package and its scripts; the package of `digests` for the test."""
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    monkeypatch.setattr(digests, "PACKAGE", tmp_path / "engram")
    yield tmp_path
    forget()


def forget() -> None:
    """A process reads every file once; the next one starts over."""
    for function in (digests._code, digests._imports, digests.file_digest):
        function.cache_clear()


def digest(root: Path, script: str) -> str:
    forget()
    return code_digest(root / "scripts" / f"{script}.py")


def edit(root: Path, name: str, change: Callable[[str], str]) -> None:
    text = (root / name).read_text()
    assert change(text) != text
    (root / name).write_text(change(text))


def closure(root: Path, script: str) -> set[str]:
    forget()
    return {
        file.relative_to(root).as_posix()
        for file in digests._closure(root / "scripts" / f"{script}.py")
    }


# --- what a script needs
# -------------------------------------------------------------------------------------------------


def test_needed_are_modules_imported_directly_or_not(root: Path) -> None:
    assert closure(root, "middle") == {
        "engram/io/__init__.py",
        "engram/middle.py",
        "engram/deep.py",
    }


def test_needed_are_packages_and_imports_within_functions(root: Path) -> None:
    expected = {
        "engram/part/__init__.py",
        "engram/part/one.py",
        "engram/part/two.py",
        "engram/lazy.py",
    }
    assert closure(root, "part") == expected


def test_needed_are_relative_imports(root: Path) -> None:
    expected = {
        "engram/io/__init__.py",
        "engram/part/__init__.py",
        "engram/part/near.py",
        "engram/part/two.py",
        "engram/deep.py",
    }
    assert closure(root, "near") == expected


def test_a_script_may_need_nothing_of_engram(root: Path) -> None:
    assert closure(root, "plain") == set()


def test_modules_that_import_one_another_end(root: Path) -> None:
    edit(root, "engram/deep.py", lambda text: "from engram import middle\n" + text)
    assert closure(root, "middle") == {
        "engram/io/__init__.py",
        "engram/middle.py",
        "engram/deep.py",
    }


# --- what reruns a stage
# --------------------------------------------------------------------------------------------------

CHANGES: dict[str, tuple[str, Callable[[str], str]]] = {
    "the script": ("scripts/middle.py", lambda text: text.replace("middle(1)", "middle(2)")),
    "a module": ("engram/middle.py", lambda text: text.replace("x + DEPTH", "x - DEPTH")),
    "a module's annotation": ("engram/middle.py", lambda text: text.replace("-> int", "-> float")),
    "a module of a module": ("engram/deep.py", lambda text: text.replace("DEPTH = 1", "DEPTH = 2")),
    "a package": ("engram/io/__init__.py", lambda text: text + "VERSION = 2\n"),
    "a text that is not a docstring": ("engram/deep.py", lambda text: text + 'NAME = "x"\n'),
    "an import": ("engram/middle.py", lambda text: text + "from engram import lazy\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_code_changes_the_digest(root: Path, change: str) -> None:
    before = digest(root, "middle")
    edit(root, *CHANGES[change])
    assert digest(root, "middle") != before


NO_CHANGES: dict[str, tuple[str, Callable[[str], str]]] = {
    "a comment": ("engram/deep.py", lambda text: "# A reason.\n" + text),
    "a module's docstring": ("engram/deep.py", lambda text: '"""What it is."""\n' + text),
    "the script's docstring": (
        "scripts/middle.py",
        lambda text: text.replace("Runs the middle", "Walks"),
    ),
    "a function's docstring": (
        "engram/middle.py",
        lambda text: text.replace("    return", '    """Adds."""\n    return'),
    ),
    "an attribute's docstring": ("engram/deep.py", lambda text: text + '"""How deep."""\n'),
    "layout": (
        "engram/middle.py",
        lambda text: text.replace("x + DEPTH", "(\n        x\n        + DEPTH\n    )"),
    ),
    "quotes": ("scripts/middle.py", lambda text: text.replace("'''", '"""')),
    "an unrelated module": ("engram/unrelated.py", lambda text: text.replace("1", "2")),
    "a module of another script": ("engram/lazy.py", lambda text: text.replace("1", "2")),
    "the front door": (
        "engram/__init__.py",
        lambda text: text.replace("VERSION = 1", "VERSION = 2"),
    ),
    "the log": ("engram/run/job.py", lambda text: text.replace("unrelated.x", "None")),
    "the error": ("engram/io/errors.py", lambda text: text + "\n\nclass Other(Exception): ...\n"),
}


@pytest.mark.parametrize("change", NO_CHANGES)
def test_a_change_of_something_else_does_not(root: Path, change: str) -> None:
    before = digest(root, "middle")
    edit(root, *NO_CHANGES[change])
    assert digest(root, "middle") == before


def test_a_change_within_a_relative_import_counts(root: Path) -> None:
    before = digest(root, "near")
    edit(root, "engram/part/two.py", lambda text: text.replace("2", "3"))
    assert digest(root, "near") != before


def test_the_place_of_the_checkout_does_not_count(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(root, "middle")
    moved = root.parent / f"{root.name}-moved"
    root.rename(moved)
    monkeypatch.setattr(digests, "PACKAGE", moved / "engram")
    after = digest(moved, "middle")
    moved.rename(root)
    assert after == before


def test_every_script_has_a_digest() -> None:
    scripts = sorted((Path(__file__).parents[3] / "workflow" / "scripts").glob("*.py"))
    assert len(scripts) > 50
    without = [
        script.stem for script in scripts if not re.fullmatch(r"[0-9a-f]{12}", code_digest(script))
    ]
    assert without == []


# --- the same code, the same digest
# ----------------------------------------------------------------------------------------

OWN_CODE = sorted((Path(__file__).parents[3] / "workflow").rglob("*.py"))
ODD = (
    "match x:\n    case None | [*_]:\n        y = {**x, 'a': None}\nasync def f[T](a, /, *b: T, "
    "c=None): return f'{a!r:>{c}}'\n"
)


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="compares with `ast.dump` of Python 3.11"
)
def test_code_is_digested_as_python_3_11_dumps_it() -> None:
    odd = ODD.replace("[T]", "")
    texts = {odd: digests._normalised(Path("odd.py"), odd)}
    texts |= {(code := digests._code(file)): digests._normalised(file, code) for file in OWN_CODE}
    for text, normalised in texts.items():
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = [
                    part
                    for part in node.body
                    if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
                ]
        assert normalised == ast.dump(tree)


def test_fields_of_later_pythons_do_not_count_where_they_are_empty() -> None:
    tree = ast.parse("def f(): pass")
    before = digests._text(tree)
    tree.body[0]._fields = (*tree.body[0]._fields, "type_params")  # type: ignore[attr-defined]
    tree.body[0].type_params = []  # type: ignore[attr-defined]
    assert digests._text(tree) == before
    tree.body[0].type_params = ["T"]  # type: ignore[attr-defined]
    assert digests._text(tree) != before


@pytest.mark.parametrize(
    "remembered", [None, "", "{", "[]", '{"code": 1}', '{"code": "x", "digests": 3}']
)
def test_digests_of_a_folder_are_those_of_its_scripts(root: Path, remembered: str | None) -> None:
    memory = root / "new" / "memory.json"
    if remembered is not None:
        memory.parent.mkdir()
        memory.write_text(remembered)
    forget()
    expected = {script.stem: code_digest(script) for script in (root / "scripts").glob("*.py")}
    for _ in range(2):
        assert code_digests(root / "scripts", memory) == expected
    assert [file.name for file in memory.parent.iterdir()] == ["memory.json"]


def test_remembered_digests_are_used_until_a_byte_of_code_changes(root: Path) -> None:
    memory = root / "memory.json"
    before = code_digests(root / "scripts", memory)
    memory.write_text(memory.read_text().replace(before["plain"], "0" * 12))
    assert code_digests(root / "scripts", memory)["plain"] == "0" * 12
    edit(root, "engram/unrelated.py", lambda text: text + "# A remark.\n")
    forget()
    assert code_digests(root / "scripts", memory) == before
    edit(root, "engram/deep.py", lambda text: text.replace("1", "2"))
    forget()
    after = code_digests(root / "scripts", memory)
    assert {script for script in before if before[script] != after[script]} == {"middle", "near"}


def test_digests_need_no_memory(root: Path) -> None:
    (root / "file").touch()
    assert code_digests(root / "scripts", root / "file" / "memory.json")


# --- values and files
# --------------------------------------------------------------------------------------------------


def test_a_value_digest_knows_order_but_not_that_of_keys() -> None:
    assert value_digest({"a": 1, "b": 2}) == value_digest({"b": 2, "a": 1})
    assert (
        len(
            {
                value_digest(1, 2),
                value_digest(2, 1),
                value_digest([1, 2]),
                value_digest("1", "2"),
                value_digest(),
            }
        )
        == 5
    )


def test_a_file_digest_is_of_the_bytes(tmp_path: Path) -> None:
    values = []
    for content in (b"a", b"b", b"a"):
        (tmp_path / "x").write_bytes(content)
        forget()
        values.append(file_digest(str(tmp_path / "x")))
    assert values[0] == values[2] != values[1]


def test_a_folder_digest_is_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "z").write_bytes(b"a")
    values = [file_digest(str(tmp_path / "x"))]
    forget()
    (tmp_path / "x" / "z").write_bytes(b"b")
    values.append(file_digest(str(tmp_path / "x")))
    forget()
    (tmp_path / "x" / "z").rename(tmp_path / "x" / "w")
    values.append(file_digest(str(tmp_path / "x")))
    assert len(set(values)) == 3


def test_a_folder_digest_leaves_folders_in_it_out(tmp_path: Path) -> None:
    """The drilled nursery ships in a folder of the base's: another one leaves the base as it is."""
    (tmp_path / "drilled").mkdir()
    (tmp_path / "weights").write_bytes(b"base")
    values = []
    for content in (b"a", b"b"):
        (tmp_path / "drilled" / "weights").write_bytes(content)
        forget()
        values.append(file_digest(str(tmp_path)))
    assert values[0] == values[1]
