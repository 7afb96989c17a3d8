"""studies/hubble.yaml on a folder of the published layout: what would run, and that a plan needs no
model.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from checkout import copy_project


def test_a_published_pair_is_planned_from_its_passages_alone(tmp_path: Path) -> None:
    checkout = copy_project(tmp_path)
    (checkout.folder / "passages").mkdir()
    path = checkout.folder / "passages/passages_wikipedia_nodup.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(json.dumps({"text": "a passage", "meta": json.dumps({"duplicates": 4})}))
    study = ("--configfile", "studies/hubble.yaml")
    assert checkout.planned(*study, "--", "plan") == {"plan": 1, "plan_study": 1}
    jobs = checkout.planned(*study)
    models, taxonomies = 4, 2
    counted = {
        "fetch_model": 2 * models,  # each with its counterpart
        "read_windows": models,
        "score_windows": models,
        "score_counterpart": models,
        "label_candidates": models,
        "draw_samples": models * taxonomies,
        "compare_with_truth": 1,
        "balance_samples": 1,
    }
    assert {name: jobs.get(name) for name in counted} == counted
    assert not [name for name in jobs if "crossed" in name or "pair" in name or "drill" in name]
