"""`python -m engram VERB`: what each verb calls, how mistakes look, how Snakemake is started."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engram import __main__ as command_line
from engram import __version__
from engram.io.errors import EngramError
from engram.io.shipped import ROOT
from engram.run import launch

VERBS = [
    *("run", "audit", "verify", "resume", "efficiency", "bundle", "summary", "import-paper"),
    *("config-reference", "promote-base", "promote-nursery"),
]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The command lines of Snakemake that would have been started, from an empty folder."""
    commands: list[list[str]] = []
    monkeypatch.setattr(launch, "start", lambda arguments: commands.append(list(arguments)))
    monkeypatch.chdir(tmp_path)
    return commands


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert re.findall(r"^    ([a-z][a-z-]*)\b", said, flags=re.MULTILINE) == VERBS


def test_the_version_is_the_package_s() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engram", "--version"], text=True, capture_output=True, check=True
    )
    assert done.stdout == f"engram {__version__}\n"


@pytest.mark.parametrize(
    ("words", "module", "expected"),
    [
        (["verify", "r", "a", "b"], "engram.run.verify", (Path("r"), ["a", "b"])),
        (["resume", "--clean"], "engram.run.resume", (True,)),
        (["efficiency", "r", "--csv", "c"], "engram.run.efficiency", (Path("r"), Path("c"))),
        (["bundle", "r", "--finish"], "engram.run.finish", (Path("r"), None, True)),
        (["summary", "r"], "engram.run.summary", (Path("r"),)),
        (
            ["import-paper", "p", "--cnns", "d", "--output", "o"],
            "engram.run.import_paper",
            (Path("p"), Path("d"), Path("o")),
        ),
        (["config-reference"], "engram.run.config_reference", ()),
    ],
)
def test_a_verb_calls_its_command(
    words: list[str], module: str, expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []

    def command(*arguments: Any) -> int:
        calls.append(arguments)
        return 3

    monkeypatch.setattr(f"{module}.command", command)
    status = command_line.main(words)
    assert calls == [expected]
    assert status == (3 if words[0] == "verify" else 0)


def test_a_mistake_is_one_line_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["efficiency", "results/none"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: results/none/benchmarks: no benchmark files")
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", [["verify", "r", "--bad"], ["resume", "-n"], ["lead"], []])
def test_unknown_words_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(words)
    assert ended.value.code == 2


def test_run_hands_everything_on_to_snakemake(started: list[list[str]]) -> None:
    command_line.main(["run", "--cores", "2", "-n", "all"])
    command_line.main(["run", "--study", "paper", "-n"])
    Path("mine.yaml").touch()
    command_line.main(["run", "-n", "--study", "mine.yaml"])
    assert started == [
        ["--cores", "2", "-n", "all"],
        ["-n", "--configfile", str(ROOT / "studies/paper.yaml")],
        ["-n", "--configfile", "mine.yaml"],
    ]


def test_an_unknown_study_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["run", "--study", "papr"]) == 1
    assert "study papr: no such file; the studies that ship are " in capsys.readouterr().err


def test_in_a_checkout_snakemake_finds_everything_itself() -> None:
    assert launch.command(["-n", "--profile", "slurm"], ROOT) == [
        *SNAKEMAKE,
        *("-n", "--profile", "slurm"),
    ]


def test_elsewhere_the_files_that_ship_are_named(tmp_path: Path) -> None:
    snakefile = ["--snakefile", str(ROOT / "Snakefile")]
    default = ["--configfile", str(ROOT / "config.yaml")]
    assert launch.command(["-n"], tmp_path) == [*SNAKEMAKE, "-n", *snakefile, *default]
    given = ["--configfile", "a.yaml"]
    assert launch.command(given, tmp_path) == [*SNAKEMAKE, *given, *snakefile]
    given = ["--configfile=a.yaml", "--snakefile=b"]
    assert launch.command(given, tmp_path) == [*SNAKEMAKE, *given]
    (tmp_path / "config.yaml").touch()
    own = ["--configfile", str(tmp_path / "config.yaml")]
    assert launch.command([], tmp_path) == [*SNAKEMAKE, *snakefile, *own]


def test_profiles_that_ship_are_found_by_name(tmp_path: Path) -> None:
    shipped = str(ROOT / "profiles/slurm")
    assert launch.command(["--profile", "slurm"], tmp_path)[3:5] == ["--profile", shipped]
    assert launch.command(["--profile=slurm"], tmp_path)[3] == f"--profile={shipped}"
    assert launch.command(["--profile", "other"], tmp_path)[3:5] == ["--profile", "other"]
    assert launch.command(["slurm"], tmp_path)[3] == "slurm"
    (tmp_path / "slurm").mkdir()
    assert launch.command(["--profile", "slurm"], tmp_path)[3:5] == ["--profile", "slurm"]


def test_the_process_becomes_snakemake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []
    monkeypatch.setattr("os.execv", lambda *arguments: calls.append(arguments))
    monkeypatch.chdir(tmp_path)
    launch.start(["-n"])
    assert calls == [(sys.executable, launch.command(["-n"]))]


def test_only_launch_starts_snakemake() -> None:
    """No other module of the package names the program next to a way to start one."""
    starters = {
        path.relative_to(ROOT / "workflow/engram").as_posix()
        for path in (ROOT / "workflow/engram").rglob("*.py")
        if re.search(r'"-m",\s*"snakemake"|\["snakemake"', path.read_text(encoding="utf-8"))
    }
    assert starters == {"run/launch.py"}


def test_no_module_is_a_command_and_no_text_calls_one() -> None:
    written = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    texts = [
        name
        for name in written
        if Path(name).suffix in {".py", ".md", ".smk", ".yaml", ".rst", ".toml", ""}
        and name != "tests/unit/run/test_command_line.py"
        and (ROOT / name).is_file()
    ]
    found = [
        name
        for name in texts
        if re.search(
            r"engram\.(run|nursery)\.\w+`? (results|--|README)|-m\W+engram\.\w", read(name)
        )
    ]
    assert not found
    mains = [
        path for path in (ROOT / "workflow/engram").rglob("*.py") if "__main__" in path.read_text()
    ]
    assert mains == [ROOT / "workflow/engram/__main__.py"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def test_the_summary_is_the_headline_of_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"taxonomy": "A, B", "input": "attention", "labels": "real", "n": 9, "diverged": 0}
    for name in ("balanced_accuracy", "min_f1", "mean_f1"):
        row |= {name: 0.5, f"{name}_low": 0.4, f"{name}_high": 0.6}
    (tmp_path / "tables").mkdir()
    pd.DataFrame([row]).to_csv(tmp_path / "tables/scores.csv", index=False)
    assert command_line.main(["summary", str(tmp_path)]) == 0
    assert "0.500 [0.400, 0.600]" in capsys.readouterr().out
    assert command_line.main(["summary", str(tmp_path / "none")]) == 1


def test_a_bundle_is_asked_for(tmp_path: Path) -> None:
    from engram.run import finish

    with pytest.raises(EngramError, match=r"no bundle\.json; unpack a bundle in this folder first"):
        finish.command(tmp_path)


def test_the_summary_of_a_crossed_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"input": "attention_mean", "trained_on": "all", "tested_on": "low", "dose": 0}
    row |= {"selection": "assigned", "accuracy": 0.65, "accuracy_low": 0.6, "accuracy_high": 0.7}
    rows = [{"pair": pair, **row, "p": 0.001} for pair in ("one", "all pairs")]
    (tmp_path / "tables").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "tables" / "crossed_scores.csv", index=False)
    assert command_line.main(["summary", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "0.650 [0.600, 0.700]" in text and text.count("attention mean") == 1
