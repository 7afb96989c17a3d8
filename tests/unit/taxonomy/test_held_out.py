"""Kinds of text held out: trained on one, tested on the other, and nothing on both sides."""

import numpy as np
import pandas as pd
import pytest

from engram.io.errors import EngramError
from engram.run.config import complete
from engram.taxonomy.held_out import draw_held_out
from engram.taxonomy.protocols import PROTOCOLS, protocol_named
from engram.taxonomy.sampling import draw_samples
from engram.taxonomy.settings import DrawSettings, HeldOutSettings, MatchSettings
from engram.taxonomy.taxonomy import Taxonomy

NEW = Taxonomy.parse("Non-Memo, Guess, Others")
SETTINGS = DrawSettings(
    per_class=100, minimum=20, train=0.6, validation=0.2, split_by="content_group"
)
TO_PROSE = HeldOutSettings(name="to-prose", column="is_code", train=(True,), test=(False,))
STUDY = {
    "study": "s",
    "models": [{"name": "a", "source": "nursery"}],
    "taxonomies": ["Non-Memo, Guess, Others"],
}


def labels(n: int = 2000, groups: int = 1500) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "sequence_id": random.permutation(10 * n)[:n],
            "content_group": random.integers(groups, size=n),
            "cluster": random.integers(groups // 2, size=n),
            "memorization_score": random.choice([0.5, 1.0], size=n),
            "is_repeating": False,
            "is_incrementing": False,
            "rouge_l": random.choice([0.2, 0.6], size=n),
            "rouge_3": 0.0,
            "is_code": random.random(n) < 0.5,
            "kind": random.choice(["natural", "list", "count"], size=n),
        }
    )


def test_it_trains_on_one_kind_and_tests_on_the_other() -> None:
    frame = labels()
    drawn = draw_held_out(frame, NEW, SETTINGS, TO_PROSE, 1).merge(frame, on="sequence_id")
    for split, code in (("train", True), ("validation", True), ("test", False)):
        assert (drawn.loc[drawn["split"] == split, "is_code"] == code).all()
    sizes = drawn.assign(test=drawn["split"] == "test").groupby(["class", "test"]).size()
    assert sizes.xs(True, level="test").to_dict() == dict.fromkeys(NEW.class_names, 20)
    assert sizes.xs(False, level="test").to_dict() == dict.fromkeys(NEW.class_names, 80)
    assert drawn["class"].tolist() == NEW.assign(drawn).tolist()
    assert list(dict.fromkeys(drawn["class"])) == NEW.class_names


@pytest.mark.parametrize(("unit", "split_by"), [("content_group",) * 2, ("cluster", "document")])
def test_nothing_is_on_both_sides(unit: str, split_by: str) -> None:
    frame = labels()
    settings = SETTINGS.replace(per_class=400, split_by=split_by)
    drawn = draw_held_out(frame, NEW, settings, TO_PROSE, 1).merge(frame, on="sequence_id")
    splits = drawn.groupby(unit)["split"].nunique()
    assert splits.max() == 1 and len(splits) < len(drawn)


def test_several_kinds_train() -> None:
    kinds = HeldOutSettings(name="a", column="kind", train=("list", "count"), test=("natural",))
    frame = labels()
    drawn = draw_held_out(frame, NEW, SETTINGS, kinds, 1).merge(frame, on="sequence_id")
    assert set(drawn.loc[drawn["split"] == "train", "kind"]) == {"list", "count"}
    assert set(drawn.loc[drawn["split"] == "test", "kind"]) == {"natural"}


def test_both_sides_are_matched() -> None:
    frame = labels(6000, 6000)
    memorized = frame["memorization_score"] == 1
    frame["suffix_log_prob"] = np.random.default_rng(1).normal(size=6000) + memorized
    settings = SETTINGS.replace(match=MatchSettings(columns=("suffix_log_prob",)))
    drawn = draw_held_out(frame, NEW, settings, TO_PROSE, 1).merge(frame, on="sequence_id")
    drawn["test"] = drawn["split"] == "test"
    means = drawn.groupby(["test", "class"])["suffix_log_prob"].mean().unstack()
    assert (means["Non-Memo"] - means["Others"]).abs().max() < 0.35


def test_too_few_of_a_kind_are_refused() -> None:
    frame = labels()
    rare = HeldOutSettings(name="rare", column="kind", train=("natural",), test=("absent",))
    with pytest.raises(EngramError, match=r"samples\.held_out: rare: taxonomy `Non-Memo, Guess"):
        draw_held_out(frame, NEW, SETTINGS, rare, 1)
    with pytest.raises(EngramError, match="the labels have no column `is_code`"):
        draw_held_out(frame.drop(columns="is_code"), NEW, SETTINGS, TO_PROSE, 1)


def test_clusters_stay_in_one_split_without_held_out_kinds() -> None:
    frame = labels()
    for split_by in ("document", "cluster"):
        drawn = draw_samples(frame, NEW, SETTINGS.replace(split_by=split_by), 1)
        of_cluster = drawn.merge(frame, on="sequence_id").groupby("cluster")["split"].nunique()
        assert of_cluster.max() == 1


def test_its_protocol_is_that_of_engram_by_another_name() -> None:
    protocol = protocol_named("held-out-to-prose")
    assert protocol.name == "held-out-to-prose"
    assert protocol.selection == "best_epoch" and protocol.drop_unverified
    assert protocol_named("paper") is PROTOCOLS["paper"]


def test_the_paper_splits_in_its_own_way() -> None:
    sizes = {"per_class": 50, "minimum": 10, "train": 0.6, "validation": 0.2}
    chosen = {
        name: PROTOCOLS[name].sample_settings(**sizes, split_by="cluster") for name in PROTOCOLS
    }
    assert {name: sample.split_by for name, sample in chosen.items()} == {
        "engram": "cluster",
        "paper": "sequence",
        "reference": "sequence",
    }


def test_mistakes_are_named() -> None:
    def held_out(*entries: dict) -> dict:
        return STUDY | {"samples": {"held_out": list(entries)}}

    entry = {"name": "to-prose", "column": "is_code", "train": [True], "test": [False]}
    assert complete(held_out(entry))["samples"]["held_out"] == [entry]
    with pytest.raises(EngramError, match="to-prose: True is in both train and test"):
        complete(held_out(entry | {"test": [True]}))
    with pytest.raises(EngramError, match="to-prose is the name of several"):
        complete(held_out(entry, entry))
    with pytest.raises(EngramError, match=r"samples\.held_out"):
        complete(held_out(entry | {"train": [1]}))
