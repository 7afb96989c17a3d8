"""Where results come from, as the captions of the report say it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from engram.run.config import complete
from engram.run.provenance import origins

CAPTIONS = sorted(
    path
    for path in (Path(__file__).parents[3] / "workflow/report").glob("*.rst")
    if path.name != "workflow.rst"
)
STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))
HUB = "pythia-2.8b-deduped-v0"
STUDY = {"study": "s", "taxonomies": ["Non-Memo, Guess, Others"]}
MODELS = [
    {"name": "a", "source": "nursery", "seed": 3},
    {
        "name": HUB,
        "source": "hub",
        "model": "org/b",
        "revision": "1" * 40,
        "dataset": "org/data",
        "dataset_revision": "2" * 40,
    },
]
RUN = {
    "packages": {"torch": "9.8.7"},
    "commit": "c" * 40 + "+changes",
    "models": {HUB: {"model_revision": "f00d", "commit": "3" * 40}},
}


def test_every_caption_ends_with_the_origin() -> None:
    ends = (
        "*Made by* ``{{ snakemake.rule }}``, code ``{{ snakemake.config.code[snakemake.rule] }}``. "
        '{{ snakemake.config.origin[snakemake.wildcards.model | default("")] }}'
    )
    last = {path.stem: path.read_text().rstrip().splitlines()[-1] for path in CAPTIONS}
    assert last and [name for name, line in last.items() if line != ends] == []


def test_the_origin_of_a_model_s_figure_names_that_model_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    lines = origins(complete(STUDY | {"models": MODELS, "seed": 5}), tmp_path / "run.json")
    assert lines.keys() == {"", "a", HUB}
    for text in (
        "seed 5",
        "torch 9.8.7",
        f"``{'c' * 12}+changes``",
        "3" * 40,
        "f00d",
        "``org/data``",
        "2" * 40,
    ):
        assert text in lines[HUB]
        assert text in lines[""]
    assert "org/b" not in lines["a"]
    assert "candidates of ``resources/nursery``, drilled with seed 3" in lines["a"]


def test_before_a_run_the_versions_are_those_of_this_environment(tmp_path: Path) -> None:
    assert "pandas " in origins(complete(STUDY | {"models": MODELS}), tmp_path / "run.json")["a"]


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"models": {}}', "\x00"])
def test_a_damaged_run_stops_no_plan(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "run.json").write_text(damaged)
    assert "pandas " in origins(complete(STUDY | {"models": MODELS}), tmp_path / "run.json")["a"]


def test_another_config_has_another_digest(tmp_path: Path) -> None:
    one, other = (
        origins(
            complete(STUDY | {"models": MODELS, "statistics": {"resamples": n}}), tmp_path / "none"
        )[""]
        for n in (100, 200)
    )
    assert one != other


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_origin_of_every_study_names_what_it_has(path: Path) -> None:
    config = complete(yaml.safe_load(path.read_text()))
    text = origins(config, Path("no run.json"))[""]
    assert "````" not in text and "None" not in text
    for model in config["models"]:
        for release in model.get("releases", ()):
            assert f"``{release['name']}=={release['version']}``" in text
