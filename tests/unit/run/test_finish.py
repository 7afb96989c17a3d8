"""What can be made where a bundle was unpacked: jobs whose settings changed, and what follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram.run.bundle import LEFT_OUT
from engram.run.finish import divide, plan_text
from engram.run.launch import PlannedJob

STUDY = Path("results/s")


def planned(rule: str, made: str, *inputs: str) -> PlannedJob:
    """A job whose settings file has the name of its rule."""
    named = (f"settings/stamps/{rule}.json", *inputs)
    return PlannedJob(
        rule, tuple(str(STUDY / name) for name in named), tuple(str(STUDY / n) for n in [made])
    )


SHARD = planned("extract_attention", "m/attention/shard-0.h5")
TRAIN = planned("train_cnns", "predictions.parquet", "m/attention/shard-0.h5")
SCORE = planned("score_cnns", "tables/scores.csv", "predictions.parquet")
EXPOSURES = planned("plot_exposures", "figures/exposures.svg", "labels.parquet")
JOBS = [SHARD, TRAIN, SCORE, EXPOSURES]


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that is up to date, without its attention."""
    monkeypatch.chdir(tmp_path)
    for job in JOBS:
        settings = STUDY / f"settings/{job.rule}.json"
        write(settings, {"code": job.rule})
        for output in map(Path, job.outputs):
            write(
                STUDY / ".records" / f"{output.relative_to(STUDY)}.json",
                {"settings": {"code": job.rule}},
            )
            if output.suffix != ".h5":
                write(output, {})


def write(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def change(rule: str) -> None:
    write(STUDY / f"settings/{rule}.json", {"code": "another"})


def test_attention_that_was_left_out_asks_for_nothing() -> None:
    assert "*/attention/shard-*.h5" in LEFT_OUT
    assert divide(JOBS) == ([], [])
    assert plan_text(STUDY, [], []) == "results/s: everything is up to date with config and code."


def test_what_needs_no_attention_can_run_here() -> None:
    change("score_cnns")
    assert divide(JOBS) == ([SCORE], [])


def test_what_follows_from_a_changed_stage_of_the_cluster_waits_for_it() -> None:
    change("train_cnns")
    change("plot_exposures")
    here, stuck = divide(JOBS)
    assert (here, stuck) == ([EXPOSURES], [TRAIN, SCORE])
    text = plan_text(STUDY, here, stuck)
    assert "  tables/scores.csv" in text
    assert "predictions.parquet" not in text


def test_an_output_that_is_missing_is_made() -> None:
    (STUDY / "predictions.parquet").unlink()
    assert divide(JOBS) == ([], [TRAIN, SCORE])
    change("extract_attention")
    assert divide(JOBS) == ([], [SHARD, TRAIN, SCORE])


def test_new_samples_reach_the_stages_that_read_them() -> None:
    draw = planned("draw_samples", "samples.parquet")
    train = planned("train_cnns", "predictions.parquet", "samples.parquet")
    assert divide([draw, train, SCORE]) == ([draw], [train, SCORE])
