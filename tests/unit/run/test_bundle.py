"""What a bundle leaves out, and what therefore cannot run where it was unpacked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engram.io.errors import EngramError
from engram.run.bundle import CLUSTER, refuse_cluster_rules

RULES = Path(__file__).parents[3] / "rules"


def test_every_rule_that_reads_what_is_left_out_is_of_the_cluster() -> None:
    written = "\n".join(path.read_text() for path in sorted(RULES.glob("*.smk")))
    parts = re.split(r"^(?:use rule \w+ as|rule) (\w+)", written, flags=re.MULTILINE)
    bodies = dict(zip(parts[1::2], parts[2::2], strict=True))
    reading = {
        name
        for name, body in bodies.items()
        if re.search(r"^        gpu=1,|^        (shards|weights)=", body, flags=re.MULTILINE)
    }
    assert reading - {"smoke_gpu", "nursery_base"} <= CLUSTER
    assert bodies.keys() >= CLUSTER


def test_only_where_a_bundle_was_unpacked_a_stage_is_refused(tmp_path: Path) -> None:
    refuse_cluster_rules(["train_cnns", "score_cnns"], tmp_path)
    (tmp_path / "bundle.json").touch()
    refuse_cluster_rules(["score_cnns"], tmp_path)
    with pytest.raises(
        EngramError,
        match=r"nothing was run: knock_out, train_cnns would read the model or the attention store",
    ):
        refuse_cluster_rules(["train_cnns", "score_cnns", "knock_out"], tmp_path)
