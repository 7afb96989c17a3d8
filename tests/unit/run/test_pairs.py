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
