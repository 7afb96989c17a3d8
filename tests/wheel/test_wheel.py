"""The wheel, in an environment that has no checkout: the front door, and a study from an empty
folder.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, TINY

STUDY = TINY | {
    "study": "wheel",
    "taxonomies": ["Non-Memo, Guess, Others"],
    "flow": [],
    "cnn": TINY["cnn"] | {"epochs": 1, "baselines": []},
    "knockout": {"enabled": False},
    "saliency": {"methods": ["guided"], "samples_per_class": 5, "check_samples": 5},
}
"""The tiny study without what takes its time."""

SIX_NAMES = """
import engram as eg
from engram.cnn.settings import CnnSettings

lm = eg.load("nursery")
windows = lm.windows
texts = windows[windows["exposures"] == 40].iloc[:60]
table = eg.label(lm, texts)
assert table["extracted"].mean() > 0.5, table["extracted"].mean()
maps = eg.attention(lm, table["continuation"])
classes = ["even", "odd"] * 30
quick = CnnSettings(kernels=(6,), features=(4,), epochs=1, baselines=())
delta = eg.localize(maps, classes, settings=quick, resamples=100)
held_out = windows[windows["exposures"] == 32].iloc[:5]
loss = eg.knock_out(lm, held_out, cells=delta.top(0.01), heads=[(2, 1)])
assert len(loss) == 10
study = eg.open("results/wheel")
print(study, study.delta("Non-Memo, Guess, Others"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and the packages of this one behind it."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    interpreter = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "-q"]
    subprocess.run([*command, "--no-deps", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A line of a .pth file adds a folder, and not what .pth files in it add: no editable Engram.
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    return interpreter


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def run(python: Path, folder: Path, *arguments: str) -> str:
    """What a command prints, without the checkout on its path."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env=inherited,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_the_package_is_that_of_the_wheel(python: Path, empty: Path) -> None:
    said = run(python, empty, "-c", "import engram.io.shipped as s; print(s.PACKAGE, s.ROOT)")
    package, root = said.split()
    assert package.startswith(str(python.parents[1])) and root == f"{package}/project"


def test_the_wheel_carries_what_ships_and_nothing_that_a_run_left(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    known = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    folders = ("rules", "studies", "profiles", "slurm", "resources", "envs")
    folders += tuple(
        f"workflow/{part}"
        for part in ("scripts", "report", "explorer", "audit", "pages", "schemas")
    )
    expected = {f"engram/project/{name}" for name in known if name.startswith(folders)}
    expected |= {f"engram/project/{name}" for name in ("Snakefile", "config.yaml")}
    packages = ("workflow/engram/", "workflow/snakemake_logger_plugin_engram/")
    expected |= {name.removeprefix("workflow/") for name in known if name.startswith(packages)}
    shipped = {name for name in names if "dist-info" not in name}
    assert shipped == expected
    assert "engram/py.typed" in names


def test_the_command_line(python: Path, empty: Path) -> None:
    assert "verify" in run(python, empty, "-m", "engram", "--help")
    script = python.with_name("engram")
    assert "engram 0." in run(python, empty, str(script), "--version")


def test_a_study_runs_in_an_empty_folder_and_the_six_names_work(python: Path, empty: Path) -> None:
    (empty / "study.yaml").write_text(yaml.safe_dump(STUDY))
    run(python, empty, "-m", "engram", "run", "--study", "study.yaml", "--quiet", "all")
    assert (empty / "results/wheel/tables/scores.csv").is_file()
    assert "Localization: model nursery" in run(python, empty, "-c", SIX_NAMES)


def test_an_audit_is_planned_in_an_empty_folder(python: Path, tmp_path: Path) -> None:
    """With all that is off by default."""
    (tmp_path / "text.txt").write_text("some text\n" * 200)
    (tmp_path / "facts.csv").write_text("document,ward,town,readers\ntext.txt,A,Rome,3\n")
    (tmp_path / "finished").mkdir()
    words = ["audit", "--model", "nursery", "--documents", "text.txt", "-n", "--quiet", "rules"]
    (tmp_path / "terms.csv").write_text("term,identifier\nBRCA1,HGNC:1100\n")
    words += [
        "--pairs",
        "terms.csv",
        "--books",
        "--unrelated",
        "8",
        "--reference",
        "text.txt",
        "--cnns",
        "finished",
    ]
    words += ["--facts", "facts.csv", "--group", "ward", "--popularity", "readers"]
    words += ["--pairs", "terms.csv"]
    plan = run(python, tmp_path, "-m", "engram", *words, "--attributes", "town")
    rules = {
        *("find_regions", "build_audit", "reconstruct_books", "measure_prior", "ask_attributes"),
        *("find_occurrences", "calibrate_cnns", "classify_windows", "tabulate_groups"),
        *("correlate_popularity", "tabulate_classes", "ask_pairs", "plot_pairs"),
    }
    assert rules <= set(plan.split())
    assert "extract_attention" not in plan and "continue_prefixes" not in plan


def test_the_default_study_is_planned_in_an_empty_folder(python: Path, tmp_path: Path) -> None:
    plan = run(python, tmp_path, "-m", "engram", "run", "-n", "--quiet", "rules")
    assert "drill_crossed" in plan and "score_pair" in plan
