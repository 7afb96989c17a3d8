"""`snakemake bundle`: the tiny study is packed, unpacked in another checkout, and finished there
without model and attention.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from checkout import TINY, Checkout, copy_project

CONFIG = "results/tiny/study.yaml"


@pytest.fixture(scope="module")
def bundle(finished: Checkout) -> tuple[Path, str]:
    """The bundle of the finished study, and what was printed."""
    text = finished.snakemake("bundle").stdout
    return finished.folder / "results/tiny.bundle.tar", text


@pytest.fixture
def laptop(bundle: tuple[Path, str], tmp_path: Path) -> Checkout:
    """Another checkout, in which the bundle was unpacked."""
    checkout = copy_project(tmp_path)
    (checkout.folder / "config.yaml").unlink()  # the bundle's own is enough
    subprocess.run(["tar", "xf", str(bundle[0])], cwd=checkout.folder, check=True)
    return checkout


def configure(laptop: Checkout, **changes: object) -> None:
    path = laptop.folder / CONFIG
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


def plan(laptop: Checkout, *arguments: str) -> str:
    command = [sys.executable, "-m", "engram", "bundle", "results/tiny", *arguments]
    environment = os.environ | {"PYTHONPATH": str(laptop.folder / "workflow")}
    return subprocess.run(
        command, cwd=laptop.folder, env=environment, text=True, stdout=subprocess.PIPE, check=True
    ).stdout


def test_all_but_attention_and_weights_is_packed(
    bundle: tuple[Path, str], finished: Checkout
) -> None:
    with tarfile.open(bundle[0]) as tar:
        packed = {name for name in tar.getnames() if name.startswith("results/")}
    made = {
        str(path.relative_to(finished.folder))
        for path in (finished.folder / "results/tiny").rglob("*")
        if path.is_file()
    }
    left_out = made - packed
    assert {Path(name).suffix for name in left_out} <= {".h5", ".safetensors", ".log", ".json"}
    assert {name for name in left_out if name.endswith(".h5")} == {
        name
        for name in made
        if name.endswith(".h5")
        and ("attention/shard-" in name or name.endswith(("hidden_states.h5", "feed_forward.h5")))
    }
    assert all(
        name.endswith("model.safetensors") for name in left_out if name.endswith(".safetensors")
    )
    assert "left out" in bundle[1]


def test_unpacked_nothing_is_to_be_done(laptop: Checkout) -> None:
    assert laptop.snakemake("-n", "--configfile", CONFIG).stdout.count("Nothing to be done") >= 1
    assert "everything is up to date with config and code" in plan(laptop)


def test_what_needs_no_attention_is_made_here_and_the_rest_stays(laptop: Checkout) -> None:
    configure(laptop, explorer={"megabytes": 2}, statistics=TINY["statistics"] | {"resamples": 200})
    scores, effects = (
        laptop.folder / "results/tiny" / name
        for name in ("tables/scores.csv", "tables/double_dissociation.csv")
    )
    before = scores.read_text(), effects.read_text()
    here, _, cluster = plan(laptop, "--finish").partition("On the cluster:")
    waiting = cluster.partition("Files that wait")[2]
    assert "score_cnns\n" in here
    assert "knock_out\n" in cluster
    for name in ("tables/double_dissociation.csv", "explorer.html"):
        assert name in waiting
    assert "tables/scores.csv" not in waiting
    assert scores.read_text() != before[0]
    assert effects.read_text() == before[1]
    assert not list(laptop.folder.glob("results/tiny/nursery/attention/shard-*.h5"))
    assert "0 jobs can run here" in plan(laptop)


def test_a_stage_of_the_cluster_is_refused_here_and_its_outputs_stay(laptop: Checkout) -> None:
    target = laptop.folder / "results/tiny/nursery/continuations.parquet"
    before = target.read_bytes()
    result = laptop.snakemake(
        "--configfile", CONFIG, "--forcerun", "continue_prefixes", check=False
    )
    assert result.returncode
    assert "nothing was run: " in result.stdout
    assert (
        "continue_prefixes"
        in result.stdout.partition("nothing was run: ")[2].partition("would read")[0]
    )
    assert "Traceback" not in result.stdout
    assert target.read_bytes() == before
