"""`snakemake smoke` on a real cluster whose GPUs are stand-ins: what is right passes, what is wrong
is named before anything is paid.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkout import Checkout
from slurm_cluster import PROMPT, Cluster


def test_the_two_jobs_run_in_their_partitions(cluster: Cluster, project: Checkout) -> None:
    before = len(cluster.jobs())
    done = project.snakemake("smoke", "--profile", "slurm", *PROMPT, check=False)
    jobs = cluster.jobs()[before:]
    assert sorted(job["Partition"] for job in jobs) == ["cpu", "gpu"]
    assert "shared files" in done.stdout
    if torch.version.cuda is None:
        # The truth about this machine: a GPU was asked for, and this torch could not use it.
        assert done.returncode
        assert "1 things to fix:" in done.stdout
        assert "CUDA: install torch with CUDA" in done.stdout
    assert not list((project.folder / "results/.smoke").glob("*"))


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ("cpu_partition: nosuch", "set cpu_partition in {file}; the cluster has cpu, gpu"),
        (
            "gpu_partition: cpu",
            "set gpu_partition or gpu_model in {file}: no node of cpu has what --gpus=1 asks for",
        ),
        ("gpu_model: h100", "no node of gpu has what --gpus=h100:1 asks for"),
    ],
)
def test_a_site_that_slurm_refuses_is_told_before_a_job_is_submitted(
    cluster: Cluster, project: Checkout, tmp_path: Path, site: str, said: str
) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(site)
    before = len(cluster.jobs())
    done = project.snakemake(
        "smoke", "--profile", "slurm", PROMPT[0], "1", check=False, ENGRAM_SITE=str(file)
    )
    assert done.returncode
    assert said.format(file=file) in done.stdout
    assert len(cluster.jobs()) == before
