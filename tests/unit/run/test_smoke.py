"""What the smoke test says of a node, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engram.run import smoke
from engram.run.smoke import Finding, check_node, describe_here, report


@pytest.fixture
def head(tmp_path: Path) -> dict[str, Any]:
    """What the machine that runs Snakemake noted: this one."""
    (tmp_path / "token").write_text("x")
    return describe_here({"model mine": str(tmp_path), "nothing": str(tmp_path / "nothing")}) | {
        "token": "token"
    }


def mended(findings: list[Finding]) -> dict[str, str]:
    """What is to be mended, by check."""
    return {finding.check: finding.fix for finding in findings if not finding.ok}


def test_a_sound_machine_has_nothing_to_mend(
    head: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert mended(check_node(head, tmp_path, "gpu", "", gpu=True)) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_a_node_that_sees_other_files_is_named(
    head: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "PATIENCE", 0.0)
    found = mended(
        check_node(head | {"token": "elsewhere", "host": "login"}, tmp_path, "cpu", "", gpu=False)
    )
    assert "does not see what login writes" in found["shared files"]


def test_another_torch_and_an_unreadable_model_are_named(
    head: dict[str, Any], tmp_path: Path
) -> None:
    head |= {"torch": "1.0", "places": {"model mine": "/gone", "hub cache": "/scratch/hub"}}
    found = mended(check_node(head, tmp_path, "cpu", "", gpu=False))
    assert "torch is 1.0 on" in found["software"]
    assert "model mine lies in /gone" in found["models and caches"]
    assert "HF_HOME" in found["models and caches"]


def test_a_clock_that_is_wrong_is_named(
    head: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = smoke.time.time()
    monkeypatch.setattr(smoke.time, "time", lambda: now + 60)
    assert (
        "clocks differ by 60 s"
        in mended(check_node(head, tmp_path, "cpu", "", gpu=False))["writing"]
    )


def test_the_wrong_partition_and_account_are_named(
    head: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"ID": "1", "PARTITION": "debug", "ACCOUNT": "other"}.items():
        monkeypatch.setenv(f"SLURM_JOB_{key}", value)
    found = mended(check_node(head, tmp_path, "gpu", "lab", gpu=False))
    assert "should be in gpu" in found["partition"]
    assert "set account in" in found["account"]


@pytest.mark.skipif(torch.version.cuda is not None, reason="needs a torch without CUDA")
def test_a_paid_gpu_without_a_cuda_build_is_to_be_mended(
    head: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"ID": "1", "PARTITION": "gpu"}.items():
        monkeypatch.setenv(f"SLURM_JOB_{key}", value)
    assert (
        "install torch with CUDA" in mended(check_node(head, tmp_path, "gpu", "", gpu=True))["CUDA"]
    )


def test_the_report_ends_with_what_to_mend() -> None:
    text = report({"here": [Finding("a", "good")], "there": [Finding("b", "bad", "do this")]})
    assert text.splitlines()[-2:] == ["1 things to fix:", "  - b: do this"]
    assert report({"here": [Finding("a", "good")]}).endswith("Ready: nothing to fix.")
