"""Where the files that ship are found."""

from __future__ import annotations

import pytest

from engram.io import shipped
from engram.io.errors import EngramError
from engram.run import project


def test_a_checkout_is_its_own_root() -> None:
    assert (shipped.ROOT / "Snakefile").is_file()
    assert (project.ROOT, project.PACKAGE) == (shipped.ROOT, shipped.PACKAGE)


def test_an_installed_package_carries_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = tmp_path_factory.mktemp("site-packages") / "engram"
    monkeypatch.setattr(shipped, "PACKAGE", package)
    assert shipped._root() == package / "project"


def test_a_file_that_is_missing_is_named() -> None:
    assert shipped.shipped_file("config.yaml").is_file()
    with pytest.raises(EngramError, match=r"none\.yaml: missing from this installation"):
        shipped.shipped_file("none.yaml")
