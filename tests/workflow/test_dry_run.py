"""What the package reads from a dry run of the real Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.io.errors import EngramError
from engram.run import launch


def test_a_dry_run_returns_the_jobs_with_their_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").write_text(
        "rule all:\n    input: 'b.txt'\n"
        "rule copy:\n    input: ancient('a b.txt')\n    output: 'b.txt'\n    shell: 'cp a b'\n"
    )
    with pytest.raises(EngramError, match="the dry run fails:"):
        launch.dry_run([])
    Path("a b.txt").touch()
    copy, everything = launch.dry_run(["--quiet", "rules"])
    assert copy == launch.PlannedJob("copy", ("a b.txt",), ("b.txt",))
    assert (everything.rule, everything.outputs) == ("all", ())
    Path("b.txt").touch()
    assert launch.dry_run([]) == []
