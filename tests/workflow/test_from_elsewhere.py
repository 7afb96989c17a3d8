"""Engram run from another folder, and as a module of another workflow; what a lost memory costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import warm
import yaml
from checkout import ROOT, TINY
from tiny_sources import TEXT, tiny_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from engram.lm.generation import greedy_continuations

PREFIX = SUFFIX = 8
MADE = "results/own/tiny/labels.parquet"
MODULE = f"""\
configfile: "my.yaml"


module engram:
    snakefile:
        "{ROOT}/Snakefile"
    config:
        config


use rule * from engram as engram_*
"""


def configure(folder: Path, seed: int = 0) -> None:
    """Write a study of a table that lies in the folder."""
    model = {"name": "tiny", "shards": 1, "source": "table", "model": "model"}
    entry = model | {"table": "table.jsonl", "columns": {"tokens": "ids"}}
    study = {"study": "own", "seed": seed, "models": [entry], "taxonomies": ["Non-Memo, Others"]}
    study |= {"prefix": PREFIX, "suffix": SUFFIX, "flow": [], "knockout": {"enabled": False}}
    cnn = TINY["cnn"] | {"kernels": [4], "baselines": []}
    (folder / "my.yaml").write_text(yaml.safe_dump(TINY | study | {"cnn": cnn}))


@pytest.fixture
def caller(tmp_path: Path) -> Path:
    """A folder with a model, a table and a study of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    folder = tmp_path / "caller"
    folder.mkdir()
    model = tiny_model()
    model.save_pretrained(folder / "model")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.save_pretrained(folder / "model")
    ids = np.random.default_rng(0).integers(1, 250, (60, PREFIX + SUFFIX))
    ids[:30, PREFIX:] = greedy_continuations(model, ids[:30, :PREFIX], SUFFIX)
    rows = [json.dumps({"ids": row}) for row in ids.tolist()]
    (folder / "table.jsonl").write_text("\n".join(rows))
    configure(folder)
    return folder


def snakemake(folder: Path, *arguments: str, forked: bool = True) -> str:
    """Run Snakemake in a folder, without any Engram on the path; return what it printed.

    Args:
        forked: in a fork that has its imports already (see `warm`), not by the command.
    """
    arguments = ("--cores", "1", *arguments)
    settings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if forked:
        status, printed = warm.snakemake(arguments, folder, settings)
    else:
        result = subprocess.run(
            [str(Path(sys.executable).with_name("snakemake")), *arguments],
            cwd=folder,
            env=settings,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        status, printed = result.returncode, result.stdout
    assert status == 0, printed[-3000:]
    return printed


def rows(folder: Path) -> int:
    return pq.read_metadata(folder / MADE).num_rows


def test_as_a_module_of_another_workflow(caller: Path) -> None:
    (caller / "Snakefile").write_text(MODULE)
    assert "engram_extract_attention" in snakemake(caller, "-n", "--quiet", "rules")
    snakemake(caller, MADE, forked=False)
    assert rows(caller) == 60
    assert "Nothing to be done" in snakemake(caller, "-n", MADE)


@pytest.mark.parametrize("how", ["snakefile", "directory"])
def test_from_another_folder(how: str, caller: Path) -> None:
    configfile = ("--configfile", str(caller / "my.yaml"))
    if how == "snakefile":
        snakemake(caller, "-s", str(ROOT / "Snakefile"), *configfile, "--", MADE)
    else:
        snakemake(ROOT, "--directory", str(caller), *configfile, "--", MADE)
    assert rows(caller) == 60


@pytest.mark.parametrize("how", ["snakefile", "directory"])
def test_without_a_config_the_default_study_is_planned_there(how: str, tmp_path: Path) -> None:
    if how == "snakefile":
        plan = snakemake(tmp_path, "-s", str(ROOT / "Snakefile"), "-n", "--quiet", "rules")
    else:
        plan = snakemake(ROOT, "--directory", str(tmp_path), "-n", "--quiet", "rules")
    assert "drill_crossed" in plan
    assert (tmp_path / "results" / "demo" / "settings").is_dir()


def test_an_edited_seed_reruns_though_the_memory_is_lost_and_all_times_are_equal(
    caller: Path,
) -> None:
    """A folder that was copied without `.snakemake` and without its times."""
    common = ("-s", str(ROOT / "Snakefile"), "--configfile", "my.yaml")
    target = "results/own/tiny/continuations.parquet"
    samples = "results/own/tiny/engram/samples/non-memo_others.parquet"
    snakemake(caller, *common, "--", target)
    configure(caller, seed=1)
    snakemake(caller, *common, "-n", "--", target)
    shutil.rmtree(caller / ".snakemake")
    copied = int(time.time())
    for path in (caller / "results").rglob("*"):
        os.utime(path, (copied, copied), follow_symlinks=False)  # weights are links
    verified = subprocess.run(
        [sys.executable, "-m", "engram", "verify", "results/own"],
        cwd=caller,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 1
    for name in (samples, target):
        assert f"OUTDATED  {name}" in verified.stdout
    assert "OUTDATED  results/own/tiny/model/config.json" not in verified.stdout
    plan = snakemake(caller, *common, "-n", "--", target)
    assert "no memory of this study" in plan
    assert "rule draw_samples" in plan and "rule continue_prefixes" in plan
    assert "rule fetch_model" not in plan
    snakemake(caller, *common, "--", target)
    assert "Nothing to be done" in snakemake(caller, *common, "-n", "--", target)
