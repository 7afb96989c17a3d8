"""Models of a config: what does not fit them, and which keys belong to which source."""

from typing import Any

import pytest
from configs import MINIMAL, OWN_TABLE, changed, message, one_line

from engram.run.config import complete

MISTAKES: dict[str, tuple[dict, str]] = {
    "family without windows that count": (
        MINIMAL
        | {
            "models": [
                OWN_TABLE | {"family": "Pythia", "early_exit": {"tokens": 4, "scored": 0}},
            ]
        },
        "models: own: early_exit.scored: a family's rates are of the share",
    ),
    "checkpoint without a step": (
        MINIMAL
        | {
            "models": [{"name": "m", "source": "nursery", "family": "A"}],
            "series": {"axis": "step"},
        },
        "models: m: step: `series.axis: step` compares rates with it",
    ),
    "checkpoint with the scores of the end": (
        MINIMAL
        | {
            "models": [
                {
                    **{"name": "pythia-70m-v0", "source": "hub", "family": "A"},
                    **{"revision": "step1000", "dataset_revision": "main"},
                }
            ],
            "series": {"axis": "step"},
        },
        "models: pythia-70m-v0: source hub: its published scores are those of the finished model",
    ),
    "name of a family": (
        changed("models", 0, "family", to="a/b"),
        "models.0.family: 'a/b'",
    ),
    "windows of no family": (
        changed("series", to={"where": "exposures > 0"}),
        "series.where: no model has a `family`",
    ),
    "windows of a series": (
        MINIMAL
        | {
            "models": [{"name": n, "source": "nursery", "family": "A"} for n in ("a", "b")],
            "series": {"where": "exposures >"},
        },
        "predicate `exposures >`",
    ),
    "reversed band": (
        changed("series", to={"half_low": 0.7}),
        "series.half_low: 0.7 is greater than half_high, 0.6",
    ),
    "shape of another source": (
        MINIMAL | {"models": [OWN_TABLE | {"shape": {"architecture": "llama"}}]},
        "models: own: source table does not use `shape`",
    ),
    "heads of a shape": (
        changed("models", 0, "shape", to={"architecture": "llama", "width": 100, "heads": 6}),
        "models: shape.width: 100 is not an even multiple of heads, 6",
    ),
    "taxonomy of a series": (
        changed("series", to={"taxonomies": ["Non-Memo, Gues, Others"]}),
        "taxonomy `Non-Memo, Gues, Others`: unknown class `Gues`",
    ),
    "model called tables": (
        changed("models", 0, "name", to="tables"),
        "models: results/classes/tables is not a model's folder",
    ),
    "model called report": (
        changed("models", 0, "name", to="report.html"),
        "models: results/classes/report.html is not a model's folder",
    ),
    "two models of one name": (
        changed("models", to=MINIMAL["models"] * 2),
        "models: 2 models are named nursery",
    ),
    "key of another source": (
        changed("models", 0, "stride", to=8),
        "models: nursery: source nursery does not use `stride`, it is a key of corpus; leave it "
        "out",
    ),
    "twin of the nursery": (
        changed("models", 0, "twin", to="owner/twin"),
        "models: nursery: source nursery does not use `twin`",
    ),
    "repository without a revision": (
        changed(
            "models",
            to=[{"name": "a", "source": "corpus", "model": "owner/model", "documents": "texts"}],
            of=MINIMAL,
        ),
        "models: a: model owner/model is no folder here, so it is taken for a repository, which "
        "needs `revision`",
    ),
    "classifier of code without a revision": (
        changed("code_classifier", to={"model": "owner/classifier"}),
        "code_classifier.model: owner/classifier is neither a file nor a folder here, so it is "
        "taken for a repository, which needs",
    ),
    "revision of no classifier": (
        changed("code_classifier", to={"revision": "main"}),
        "code_classifier.model: it is empty",
    ),
    "duplicates that a table lacks": (
        changed(
            "models",
            to=[OWN_TABLE],
            of=MINIMAL | {"taxonomies": ["Non-Memo, Guess, Others", "Non-Memo, Recite[5], Others"]},
        ),
        "models: own: `columns` names no sequence_duplicates, which taxonomy `Non-Memo, Recite[5], "
        "Others` reads",
    ),
    "width and heads": (
        changed("nursery_base", "heads", to=5),
        "nursery_base.width: 192 is not an even multiple of heads, 5",
    ),
    "odd head": (
        changed("nursery_base", "width", to=6 * 15),
        "nursery_base.width: 90 is not an even multiple of heads, 6",
    ),
    "a base's name that is no folder": (
        changed("nursery_base", "name", to="../second"),
        "nursery_base.name: `../second`; it names a folder",
    ),
    "a base to share with that is none": (
        changed("nursery_base", "shared", to="nowhere"),
        "nursery_base.shared: nowhere has no windows.parquet",
    ),
    "a model named like the sum over models": (
        changed("models", 0, "name", to="all"),
        "models: results/classes/all is not a model's folder",
    ),
}


@pytest.mark.parametrize(("config", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_clear_line(config: dict, expected: str) -> None:
    assert expected in one_line(config)


OWNERS = {
    ("nursery", "twin"): "hub, table, corpus, packages",
    ("nursery", "model"): "hub, table, corpus, packages",
    ("hub", "stride"): "corpus",
    ("table", "documents"): "corpus",
    ("corpus", "columns"): "table",
    ("corpus", "releases"): "packages",
    ("hub", "base"): "nursery",
    ("hub", "drilling"): "nursery, table, corpus, packages",
}
RELEASES = [{"name": "django", "version": "6.1.3", "released": "2026-11-03"}]
VALID = {
    "nursery": MINIMAL["models"][0],
    "hub": {
        "name": "pythia-70m-v0",
        "source": "hub",
        "revision": "v1",
        "dataset_revision": "v1",
    },
    "table": OWN_TABLE,
    "corpus": {"name": "a", "source": "corpus", "model": "a/b", "revision": "v", "documents": "d"},
    "packages": {
        "name": "a",
        "source": "packages",
        "model": "a/b",
        "revision": "v",
        "released": "2024-11-01",
        "releases": RELEASES,
    },
}
GIVEN: dict[str, Any] = {
    "releases": RELEASES,
    "stride": 8,
    "columns": {"tokens": "t"},
    "drilling": {"replay_share": 0},
}


@pytest.mark.parametrize(("source", "key"), OWNERS)
def test_a_key_that_the_source_does_not_use_is_named(source: str, key: str) -> None:
    entry = VALID[source] | {key: GIVEN.get(key, "x")}
    assert message(MINIMAL | {"models": [entry]}) == (
        f"models: {entry['name']}: source {source} does not use `{key}`, it is a key of "
        f"{OWNERS[source, key]}; leave it out"
    )


@pytest.mark.parametrize("source", VALID)
def test_defaults_of_other_sources_are_let_through(source: str) -> None:
    completed = complete(MINIMAL | {"models": [VALID[source]]})
    assert complete(completed) == completed


def test_what_a_model_reads_first_is_chosen_by_three_words() -> None:
    config = MINIMAL | {"models": [OWN_TABLE]}
    assert complete(config)["models"][0]["bos"] == "auto"
    for value in (True, False, "auto"):
        given = MINIMAL | {"models": [OWN_TABLE | {"bos": value}]}
        assert complete(given)["models"][0]["bos"] is value or value == "auto"
    for value, shown in (("true", "'true'"), (None, "null"), (2, "2")):
        said = message(MINIMAL | {"models": [OWN_TABLE | {"bos": value}]})
        assert f"bos: {shown} is not 'auto', true or false" in said
    said = message(changed("models", 0, "bos", to=True, of=MINIMAL))
    assert "source nursery does not use `bos`" in said
