"""Releases of packages: downloaded once, read as text, and compared line by line."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_wheels import Registry, registry

from engram.io.errors import EngramError
from engram.lm.gguf import file_digest
from engram.sources.account import Account
from engram.sources.releases import (
    LONGEST_LINE,
    TextFile,
    fetch_release,
    fetch_releases,
    library_files,
    new_text,
    text_files,
)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return registry(tmp_path / "index", monkeypatch)


def test_pip_downloads_a_wheel_and_its_digest_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Registry(tmp_path / "index").add(
        "tiny", "2.0", {"a.py": "x = 1\n"}, "License: MIT", "Requires-Python: >=9.9"
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    record = fetch_release("tiny==2.0", tmp_path / "cache")
    assert record == {
        "package": "tiny==2.0",
        "path": str(tmp_path / "cache" / "tiny-2.0" / path.name),
        "sha256": file_digest(path),
        "license": "MIT",
    }
    assert file_digest(record["path"]) == record["sha256"]


def test_releases_are_downloaded_once(wheels: Registry, tmp_path: Path) -> None:
    wheels.add("tiny", "1.0", {})
    wheels.add("tiny", "2.0", {})
    wheels.add("other", "1.0", {})
    asked = [
        {"name": "tiny", "version": "2.0", "released": "2026-02-01", "before": "1.0"},
        {"name": "other", "version": "1.0", "released": "2026-02-02", "before": ""},
    ]
    first = fetch_releases(asked, tmp_path / "cache")
    assert wheels.asked == ["tiny==2.0", "tiny==1.0", "other==1.0"]
    assert [entry["before"] and entry["before"]["package"] for entry in first] == [
        "tiny==1.0",
        None,
    ]
    assert fetch_releases(asked, tmp_path / "cache") == first
    assert len(wheels.asked) == 3


def test_a_wheel_that_changed_on_disk_is_refused(wheels: Registry, tmp_path: Path) -> None:
    wheels.add("tiny", "1.0", {})
    path = Path(fetch_release("tiny==1.0", tmp_path / "cache")["path"])
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(EngramError, match=r"tiny==1\.0: .* is not the wheel that was downloaded"):
        fetch_release("tiny==1.0", tmp_path / "cache")


def test_a_release_that_is_not_to_be_had_leaves_nothing(wheels: Registry, tmp_path: Path) -> None:
    with pytest.raises(EngramError, match="tiny==9: pip cannot download it"):
        fetch_release("tiny==9", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_code_and_documentation_are_read(wheels: Registry, tmp_path: Path) -> None:
    files = {
        "a.py": "def a():\n    pass\n",
        "guide.rst": "Guide\n=====\n",
        "data.json": "{}",
        "page.js": "var a;",
        "LICENSE.md": "terms",
        "long.py": "x" * (LONGEST_LINE + 1),
        "old.py": "caf\udce9",
    }
    path = wheels.add("tiny", "1.0", {}, readme="What it does.\n")
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in files.items():
            archive.writestr(f"tiny/{name}", text.encode(errors="surrogateescape"))
    counted = Account("tiny", 0)
    read = list(text_files(fetch_release("tiny==1.0", tmp_path / "cache"), counted))
    assert [(file.name, file.is_code) for file in read] == [
        ("METADATA", False),
        ("tiny/__init__.py", True),
        ("tiny/a.py", True),
        ("tiny/guide.rst", False),
    ]
    assert read[0].text.strip() == "What it does."
    assert read[2].text == files["a.py"]
    assert counted.read == 4
    assert counted.left_out == {
        "files that are neither code nor documentation": 4,  # WHEEL and RECORD too
        "licences and notices": 2,
        "files that are not UTF-8": 1,
        f"files with a line over {LONGEST_LINE} characters": 1,
    }


def file(text: str) -> TextFile:
    return TextFile("a.py", text, is_code=True)


def test_new_lines_are_runs() -> None:
    old = "one\ntwo\n\nthree\nfour\n"
    new = "one\nfresh\n\nalso fresh\nthree\n\nlast\n"
    runs = [(run.line, run.text) for run in new_text(file(new), old)]
    assert runs == [(2, "fresh\n\nalso fresh\n"), (7, "last\n")]
    assert [run.text for run in new_text(file(new), None)] == [new]
    assert new_text(file(new), new) == []
    assert [run.text for run in new_text(file(new + "end"), new)] == ["end"]


LINES = st.lists(st.sampled_from(["a", "b", "c", "", " ", "d d"]), max_size=12)


@given(LINES, LINES)
def test_runs_are_the_new_lines_and_no_others(old: list[str], new: list[str]) -> None:
    runs = new_text(file("".join(f"{line}\n" for line in new)), "".join(f"{x}\n" for x in old))
    covered: list[int] = []
    for run in runs:
        lines = run.text.splitlines()
        assert lines == new[run.line - 1 : run.line - 1 + len(lines)]
        assert lines[0].strip()
        assert lines[-1].strip()
        covered += range(run.line - 1, run.line - 1 + len(lines))
    assert covered == sorted(set(covered))
    assert {n for n, line in enumerate(new) if line.strip() and line not in old} <= set(covered)
    # What is left is in the earlier text, in this order.
    rest = iter(old)
    assert all(line in rest for n, line in enumerate(new) if n not in covered and line.strip())


def test_the_standard_library_is_read() -> None:
    names = [file.name for _, file in zip(range(40), library_files(), strict=False)]
    assert "abc.py" in names
