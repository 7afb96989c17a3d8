"""The site file: its values reach the cluster profile, its mistakes are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
import yte
from snakemake_executor_plugin_slurm import Executor

from engram.io.errors import EngramError
from engram.run.site import VARIABLE, Site, load_site
from engram.run.smoke import FIRST_LOOK

PROFILE = Path(__file__).parents[3] / "profiles/slurm/config.yaml"


@pytest.fixture
def site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "site.yaml"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def profile() -> dict[str, Any]:
    with PROFILE.open() as file:
        return yte.process_yaml(file, require_use_yte=True)


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_site() == Site()


def test_every_name_reaches_the_jobs_that_it_is_for(site_file: Path) -> None:
    site_file.write_text(
        "{cpu_partition: 2024, gpu_partition: a100, account: lab, qos: low, "
        "gpu_model: a100, gpu_constraint: nvlink, jobs: 7, local_cores: 1}"
    )
    settings = profile()
    everywhere, rules = settings["default-resources"], settings["set-resources"]
    assert (everywhere["slurm_partition"], everywhere["slurm_account"], everywhere["qos"]) == (
        "2024",
        "lab",
        "low",
    )
    assert (settings["jobs"], settings["local-cores"]) == (7, 1)
    on_gpu = {rule for rule, resources in rules.items() if "slurm_partition" in resources}
    for rule in on_gpu:
        names = [rules[rule][key] for key in ("slurm_partition", "gpu_model", "constraint")]
        assert names == ["a100", "a100", "nvlink"], rule
    assert "train_cnns" not in on_gpu


def test_cnns_on_a_gpu_go_to_its_partition(site_file: Path) -> None:
    site_file.write_text("cnn_device: cuda")
    assert profile()["set-resources"]["train_cnns"]["slurm_partition"] == "gpu"


def test_memory_and_time_grow_with_every_attempt() -> None:
    settings = profile()
    for rule, resources in {
        "default": settings["default-resources"],
        **settings["set-resources"],
    }.items():
        if not rule.startswith("smoke"):
            for key in ("mem_mb", "runtime"):
                first, second = (eval(resources[key], {"attempt": attempt}) for attempt in (1, 2))
                assert second == 2 * first, f"{rule}: {key}"


def test_the_profile_mends_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Executor, "check_active_jobs", Executor.check_active_jobs
    )  # as it was, afterwards
    before = Executor.check_active_jobs
    profile()
    assert Executor.check_active_jobs is not before
    assert Executor.check_active_jobs.__module__ == "<run_path>"


def test_the_status_checks_are_those_that_the_smoke_test_reckons_with() -> None:
    assert profile()["slurm-init-seconds-before-status-checks"] == FIRST_LOOK


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partition: gpu", "key 'partition' is unknown; there are cpu_partition"),
        ("jobs: 0", "jobs is 0; a whole number"),
        ("jobs: true", "jobs is True"),
        ("account: a b", "account is 'a b'; a name without spaces"),
        ("account: [x]", r"account is \['x'\]"),
        ("cnn_device: gpu", "cnn_device is 'gpu'; it is cpu or cuda"),
        ("- gpu", "lines of `key: value` are wanted, this is a list"),
        ("a: [", "cannot be read"),
    ],
)
def test_mistakes_are_named_with_the_file(site_file: Path, text: str, message: str) -> None:
    site_file.write_text(text)
    with pytest.raises(EngramError, match=message) as raised:
        load_site()
    assert str(raised.value).startswith(str(site_file))
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_a_mistake_only_where_it_was_named(site_file: Path) -> None:
    with pytest.raises(EngramError, match=f"no such file; {VARIABLE} names it"):
        load_site()


def test_every_rule_of_the_profile_exists() -> None:
    rules = Path(__file__).parents[3] / "rules"
    text = "\n".join(path.read_text() for path in rules.glob("*.smk"))
    for rule in yaml.safe_load(PROFILE.read_text())["set-resources"]:
        assert f"rule {rule}:" in text or f" as {rule} with:" in text, rule


def test_every_rule_that_asks_for_a_gpu_is_sized() -> None:
    rules = Path(__file__).parents[3] / "rules"
    blocks = [
        block
        for path in rules.glob("*.smk")
        for block in re.split(r"\n(?=(?:use )?rule )", path.read_text())
        if "gpu=1" in block
    ]
    asking = {re.match(r"rule (\w+):|use rule \w+ as (\w+) with:", block) for block in blocks}
    asking = {match[1] or match[2] for match in asking if match}
    inherited = ("random_attention", "crossed_attention", "crossed_hidden_states")
    asking |= {f"extract_{name}" for name in inherited} | {"drill_model", "score_drilled"}
    on_gpu = {
        rule
        for rule, resources in profile()["set-resources"].items()
        if "slurm_partition" in resources
    }
    assert asking == on_gpu
