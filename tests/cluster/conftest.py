"""The cluster that these tests run on: started once, ended afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout, copy_project
from slurm_cluster import Cluster, ClusterError, why_not


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster, which SLURM_CONF names; skipped where SLURM cannot run, but never in
    continuous integration.
    """
    if (reason := why_not()) and not os.environ.get("CI"):
        pytest.skip(reason)
    # Unix sockets want a short path.
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")))
    try:
        try:
            cluster.up()
        except ClusterError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error).splitlines()[0])
        os.environ["SLURM_CONF"] = str(cluster.conf)
        yield cluster
    finally:
        cluster.down()
        os.environ.pop("SLURM_CONF", None)
        shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the checkout, in which the real command runs."""
    return copy_project(tmp_path_factory.mktemp("engram"), forked=False)
