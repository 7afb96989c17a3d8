"""Sample lists of a transfer between two kinds, and the keys of the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_script import run_script

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.run.config import complete
from engram.run.study_taxonomies import transfer_lists
from engram.taxonomy.protocols import protocol_named
from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import Taxonomy
from engram.taxonomy.transfer import draw_transfer
from engram.taxonomy.transfer_settings import TransferKind

NEW = Taxonomy.parse("Non-Memo, Guess, Others")
SETTINGS = DrawSettings(
    per_class=100, minimum=20, train=0.6, validation=0.2, split_by="content_group"
)
CODE = TransferKind(name="code", train="is_code", test="not is_code")
BACK = CODE.replace(train=CODE.test, test=CODE.train)
ORIGIN = TransferKind(
    name="origin", train="exposures > 0", test="exposures == 0", classes=("Others",)
)
STUDY = {
    "study": "s",
    "models": [{"name": "a", "source": "nursery"}],
    "taxonomies": ["Non-Memo, Guess, Others", "Non-Memo, Recite[5], Others"],
}


def labels(n: int = 2400, groups: int = 1800) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "sequence_id": random.permutation(10 * n)[:n],
            "content_group": random.integers(groups, size=n),
            "memorization_score": random.choice([0.5, 1.0], size=n),
            "is_repeating": False,
            "is_incrementing": False,
            "rouge_l": random.choice([0.2, 0.6], size=n),
            "rouge_3": 0.0,
            "is_code": random.random(n) < 0.12,
            "exposures": random.choice([0, 8], size=n),
        }
    )


def test_each_kind_trains_and_both_are_tested() -> None:
    frame = labels()
    forth, back = (draw_transfer(frame, NEW, SETTINGS, kinds, 1) for kinds in (CODE, BACK))
    joined = forth.merge(frame, on="sequence_id")
    assert joined.loc[joined["split"] != "test", "is_code"].all()
    assert (joined["at_home"] == joined["is_code"]).all()
    assert (joined["elsewhere"] == ~joined["is_code"]).all()
    assert joined["class"].tolist() == NEW.assign(joined).tolist()
    tests = [set(part.loc[part["split"] == "test", "sequence_id"]) for part in (forth, back)]
    assert tests[0] == tests[1]
    # The rarer kind decides how many of each class there are of both.
    sizes = [part[part["at_home"]]["class"].value_counts() for part in (forth, back)]
    assert sizes[0].nunique() == 1 and sizes[0].to_dict() == sizes[1].to_dict()
    assert 20 <= sizes[0].iloc[0] < 100


@pytest.mark.parametrize("kinds", [CODE, BACK, ORIGIN], ids=lambda kinds: kinds.train)
def test_no_tested_text_was_trained_on(kinds: TransferKind) -> None:
    frame = labels()
    drawn = draw_transfer(frame, NEW, SETTINGS, kinds, 1).merge(frame, on="sequence_id")
    trained = drawn.loc[drawn["split"] != "test", "content_group"]
    tested = drawn.loc[drawn["split"] == "test", "content_group"]
    assert not set(trained) & set(tested)
    assert drawn["sequence_id"].is_unique


def test_an_origin_divides_one_class_alone() -> None:
    frame = labels()
    drawn = draw_transfer(frame, NEW, SETTINGS, ORIGIN, 1).merge(frame, on="sequence_id")
    recalled = drawn["class"] == "Others"
    assert (drawn.loc[recalled, "at_home"] == (drawn.loc[recalled, "exposures"] > 0)).all()
    others = drawn[~recalled]
    assert set(others["exposures"]) == {0, 8}
    tests = others[others["split"] == "test"]
    assert tests["at_home"].all() and tests["elsewhere"].all()


def test_what_cannot_be_drawn_is_one_line() -> None:
    frame = labels()
    overlapping = CODE.replace(test="exposures == 0")
    with pytest.raises(EngramError, match=r"kinds: code: \d+ windows are both `is_code` and `exp"):
        draw_transfer(frame, NEW, SETTINGS, overlapping, 1)
    rare = CODE.replace(train="exposures > 8", test="exposures == 0")
    with pytest.raises(EngramError, match="code: `exposures > 8`: taxonomy `Non-Memo, Guess, Oth"):
        draw_transfer(frame, NEW, SETTINGS, rare, 1)
    unknown = CODE.replace(train="drilled > 8")
    with pytest.raises(EngramError, match="kinds: code: predicate `drilled > 8`: no column"):
        draw_transfer(frame, NEW, SETTINGS, unknown, 1)


def test_the_script_draws_what_the_function_does(tmp_path: Path) -> None:
    frame = labels()
    write_parquet(frame, tmp_path / "labels.parquet")
    section = {"per_class": 100, "train": 0.6, "validation": 0.2}
    settings = {
        "taxonomy": {"name": NEW.name, "categories": []},
        "kinds": CODE.model_dump(mode="json"),
        "samples": section,
        "seed": 1,
    }
    files = {"labels": str(tmp_path / "labels.parquet"), "clusters": []}
    output = {"samples": tmp_path / "samples.parquet"}
    names = {"model": "a", "protocol": "transfer-code"}
    run_script("draw_transfer", files, output, settings, **names)
    drawn = read_parquet(output["samples"])
    expected = draw_transfer(frame, NEW, SETTINGS.replace(minimum=10), CODE, 1)
    pd.testing.assert_frame_equal(drawn, expected, check_dtype=False)
    metadata = read_metadata(output["samples"])
    assert metadata["protocol"] == "transfer-code" and metadata["kinds"]["train"] == "is_code"
    settings["kinds"] = CODE.replace(train="drilled").model_dump(mode="json")
    with pytest.raises(EngramError, match="the labels of a have no column drilled; name one of"):
        run_script("draw_transfer", files, output, settings, **names)


def test_its_protocol_is_that_of_engram_by_another_name() -> None:
    protocol = protocol_named("transfer-code-reversed")
    assert protocol.name == "transfer-code-reversed" and protocol.selection == "best_epoch"


def transfer(*kinds: TransferKind, **section: Any) -> dict[str, Any]:
    entries = [entry.model_dump(mode="json") for entry in kinds]
    return STUDY | {"transfer": {"enabled": True, "kinds": entries, **section}}


def test_every_pair_has_a_list_per_direction_and_taxonomy() -> None:
    lists = transfer_lists(complete(transfer(CODE)))
    assert list(lists) == ["transfer-code", "transfer-code-reversed"]
    assert len(lists["transfer-code"]) == 2
    back = lists["transfer-code-reversed"]["non-memo_guess_others"]
    assert (back["train"], back["test"]) == ("not is_code", "is_code")
    guess = TransferKind(name="g", train="is_code", test="not is_code", classes=("Guess",))
    named = transfer_lists(complete(transfer(guess)))
    assert list(named["transfer-g"]) == ["non-memo_guess_others"]
    assert transfer_lists(complete(STUDY | {"transfer": {"kinds": []}})) == {}


def test_mistakes_are_named() -> None:
    def refused(config: dict[str, Any], message: str) -> None:
        with pytest.raises(EngramError, match=message):
            complete(config)

    refused(transfer(), "transfer.enabled: there is nothing to test on; name `kinds`")
    refused(transfer(CODE, CODE), "transfer.kinds: code is the name of several")
    refused(transfer(CODE, CODE.replace(name="code-reversed")), "code-reversed is the name of sev")
    refused(transfer(CODE.replace(test="is_code")), "train and test are both `is_code`")
    refused(transfer(CODE.replace(train="is_code and")), "code: train: predicate `is_code and`")
    refused(transfer(CODE.replace(classes=("Reconstruct",))), "no taxonomy has the class Reconst")
    refused(transfer(CODE, taxonomies=["Non-Memo, Others"]), "transfer.taxonomies: `Non-Memo, Oth")
    refused(transfer(CODE) | {"protocols": ["paper"]}, "transfer.enabled: epochs are chosen on va")
    off = transfer(CODE.replace(classes=("Reconstruct",)), enabled=False)
    assert complete(off)["transfer"]["enabled"] is False
