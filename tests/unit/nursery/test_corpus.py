"""The base's corpus: the same files are held out everywhere, and nothing unreadable gets in."""

import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram.nursery.corpus import (
    Document,
    digest,
    installed_packages,
    path_fraction,
    standard_library,
)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A standard library and a folder of packages in its place."""
    files = {
        "lib/ast.py": "import ast\n",
        "lib/json/decoder.py": "# naïve\n",
        "lib/json/empty.py": "",
        "lib/json/notes.txt": "no source",
        "lib/site-packages/numpy.py": "import numpy\n",
        "lib/dist-packages/apt.py": "import apt\n",
        "pure/a.py": "a" * 100,
        "pure/b/b.py": "b" * 200,
        "pure/c.py": "c" * 300,
        "pure/d.pyi": "stub",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "lib" / "latin.py").write_bytes("# naïve\n".encode("latin-1"))
    for i in range(300):
        (tmp_path / "lib" / f"module_{i}.py").write_text(f"x = {i}\n")
    monkeypatch.setattr(
        sysconfig,
        "get_paths",
        lambda: {"stdlib": str(tmp_path / "lib"), "purelib": str(tmp_path / "pure")},
    )
    return tmp_path


def test_the_library_is_its_readable_sources(library: Path) -> None:
    paths = [document.path for document in standard_library(0.3)]
    assert [path for path in paths if "module_" not in path] == [
        "stdlib/ast.py",
        "stdlib/json/decoder.py",
    ]
    assert len(paths) == 302


def test_texts_are_read_as_they_are(library: Path) -> None:
    texts = {document.path: document.text for document in standard_library(0.3)}
    assert texts["stdlib/json/decoder.py"] == "# naïve\n"


def test_a_share_of_the_library_is_held_out(library: Path) -> None:
    held_out = [document.held_out for document in standard_library(0.3)]
    assert np.mean(held_out) == pytest.approx(0.3, abs=6 * 0.46 / np.sqrt(302))


def test_a_larger_share_holds_out_the_same_files_and_more(library: Path) -> None:
    few, many = (
        {document.path for document in standard_library(share) if document.held_out}
        for share in (0.2, 0.5)
    )
    assert few < many


def test_what_is_held_out_does_not_depend_on_the_other_files(library: Path) -> None:
    before = {document.path: document.held_out for document in standard_library(0.3)}
    for i in range(0, 300, 2):
        (library / "lib" / f"module_{i}.py").unlink()
    after = {document.path: document.held_out for document in standard_library(0.3)}
    assert after == {path: before[path] for path in after}


def test_fractions_are_those_of_every_machine() -> None:
    assert path_fraction("stdlib/ast.py") == 0.9873552715299795
    fractions = [path_fraction(f"stdlib/{i}.py") for i in range(2000)]
    assert min(fractions) >= 0 and max(fractions) < 1
    assert np.mean(fractions) == pytest.approx(0.5, abs=6 * 0.29 / np.sqrt(2000))


def test_packages_come_in_the_order_of_their_fractions_up_to_the_size(library: Path) -> None:
    every = list(installed_packages(1000))
    assert [document.path for document in every] == sorted(
        ["packages/a.py", "packages/b/b.py", "packages/c.py"], key=path_fraction
    )
    sizes = np.cumsum([len(document.text) for document in every])
    assert len(list(installed_packages(int(sizes[1])))) == 2
    assert len(list(installed_packages(int(sizes[1]) - 1))) == 1
    assert list(installed_packages(0)) == []


def test_packages_are_never_held_out(library: Path) -> None:
    assert not any(document.held_out for document in installed_packages(1000))


def test_a_digest_tells_every_difference() -> None:
    documents = [Document("stdlib/a.py", "a", False), Document("stdlib/b.py", "b", True)]
    variants = [
        documents,
        documents[::-1],
        documents[:1],
        [documents[0], replace(documents[1], text="c")],
        [documents[0], replace(documents[1], path="stdlib/c.py")],
        [documents[0], replace(documents[1], held_out=False)],
        [],
    ]
    assert len({digest(variant) for variant in variants}) == len(variants)
    assert digest(list(documents)) == digest(documents)
