"""A model of the nursery at a step of its training: windows and weights on the way to the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_script import run_script
from tiny_nursery import TEXT
from tiny_sources import byte_tokenizer

from engram.io.artifacts import read_parquet, write_parquet
from engram.nursery.settings import DrillingSettings

PREFIX, SUFFIX, BATCH = 8, 4, 4
LENGTH, WINDOWS = PREFIX + SUFFIX, 12
DRILLING = DrillingSettings(
    schedule=[{"exposures": 2, "natural": 4}, {"exposures": 8, "natural": 4}],
    replay_share=0.2,
    replay_templates=0.0,
    training={"batch_size": BATCH, "warmup_steps": 2, "checkpoint_steps": 3, "workers": 1},
).model_dump(mode="json")
SHAPE = {"architecture": "llama", "layers": 1, "width": 16, "heads": 2}
STEPS = 50 // BATCH  # 40 showings and 10 replayed rows


def drill(folder: Path, files: dict[str, Path], name: str, **chosen: int) -> tuple[bytes, Path]:
    """Run the script of the rule; return weights and the table of windows."""
    output = {
        key: folder / name / file
        for key, file in (
            ("model", "model.safetensors"),
            ("curve", "curve.csv"),
            ("drilled", "drilled.parquet"),
        )
    }
    settings = {"prefix": PREFIX, "suffix": SUFFIX, "drilling": DRILLING, "shape": SHAPE, "seed": 1}
    run_script("drill_nursery", files, output, settings | {"windows": 10} | chosen)
    return output["model"].read_bytes(), output["drilled"]


def test_a_checkpoint_is_on_the_way_to_the_end(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(tmp_path / "base")
    ids = np.array(tokenizer(TEXT)["input_ids"], np.int32)
    tokens = ids[: 40 * LENGTH].reshape(-1, LENGTH)
    table = pd.DataFrame({"sequence_id": np.arange(40), "tokens": list(tokens), "kind": "natural"})
    table["base_extracted"] = False
    files = {"base": tmp_path / "base/model.safetensors"}
    for name, part in (("windows", table[:WINDOWS]), ("replay", table[WINDOWS:])):
        files[name] = tmp_path / f"{name}.parquet"
        write_parquet(part, files[name], {})
    drilled = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for step in (3, 7):
            drilled.append(read_parquet(drill(tmp_path, files, f"at-{step}", step=step)[1]))
        assert len([*(tmp_path / "results/.parts").iterdir()]) == 1  # of all checkpoints
        last, _ = drill(tmp_path, files, "last", step=STEPS)
        (tmp_path / "elsewhere").mkdir()
        patch.chdir(tmp_path / "elsewhere")
        whole, path = drill(tmp_path, files, "whole")
    assert last == whole
    end = read_parquet(path)
    assert "scheduled" not in end and sorted(set(end["exposures"])) == [0, 2, 8]
    for step, own in zip((3, 7), drilled, strict=True):
        assert own["sequence_id"].tolist() == end["sequence_id"].tolist()
        assert own["scheduled"].tolist() == end["exposures"].tolist()
        assert (own["exposures"] <= own["scheduled"]).all()
        assert 0 < own["exposures"].sum() <= step * BATCH
        assert (own["sequence_duplicates"] >= own["exposures"]).all()
    assert (drilled[0]["exposures"] <= drilled[1]["exposures"]).all()
    assert drilled[0]["exposures"].sum() < drilled[1]["exposures"].sum()
