"""Crossed pairs of a model from elsewhere: what is planned. The scripts of its rules run in
tests/unit/nursery/test_drilled_models.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkout import copy_project
from tiny_sources import byte_tokenizer, tiny_model


def of_pair(number: int, model: Path, documents: Path, **training: Any) -> list[dict[str, Any]]:
    """The two entries of a pair."""
    names = (f"pair-{number}-first", f"pair-{number}-second")
    shared = {
        "source": "corpus",
        "model": str(model),
        "documents": str(documents),
        "seed": number,
        "shards": 1,
        "drilling": {"design": "crossed", "training": training},
    }
    return [
        {"name": names[0], "counterpart": names[1], "arm": 1, **shared},
        {"name": names[1], "counterpart": names[0], "arm": 2, **shared},
    ]


def test_pairs_share_their_base_and_differ_in_the_rest(tmp_path: Path) -> None:
    model, documents = tmp_path / "llama", tmp_path / "texts"
    tiny_model("llama").save_pretrained(model)
    byte_tokenizer().save_pretrained(model)
    documents.mkdir()
    (documents / "one.txt").write_text("A text.")
    (tmp_path / "copy").mkdir()
    checkout = copy_project(tmp_path / "copy")
    # The way of training is no matter of the base.
    models = of_pair(1, model, documents) + of_pair(2, model, documents, trainable="lora:2")
    checkout.configure(study="pairs", models=models, taxonomies=[], flow=[], knockout={}, cnn={})
    planned = checkout.planned()
    once = ("fetch_base", "read_base_windows", "score_base")
    per_pair = ("design_drilled", "draw_replay", "score_pair", "localize_pair", "knock_out_pair")
    per_model = ("drill_model", "score_drilled", "extract_crossed_attention")
    for rules, count in ((once, 1), (per_pair, 2), (per_model, 4)):
        assert {rule: planned.get(rule) for rule in rules} == dict.fromkeys(rules, count)
    nursery = {"drill_nursery", "drill_crossed", "design_crossed", "score_candidates"}
    assert not nursery & set(planned)
    assert not {"fetch_model", "read_windows", "score_windows", "score_twin"} & set(planned)
