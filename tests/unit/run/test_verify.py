"""Records of results, and what `python -m engram verify` makes of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from engram.__main__ import main
from engram.run.records import input_checksums, record_outputs
from engram.run.verify import followers, origin, read_records, report, verify

STUDY = "results/tiny"
LABELS, SAMPLES, TABLE, FIGURE = (
    f"{STUDY}/{name}"
    for name in ("m/labels.parquet", "m/samples.parquet", "tables/a.csv", "figures/a.svg")
)


def run(rule: str, inputs: list[str], output: str, content: str) -> None:
    """A job that writes its output."""
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    job = SimpleNamespace(rule=rule, output=[output], wildcards={"model": "m"})
    record_outputs(job, {"code": "abc", "seed": 1}, input_checksums(inputs))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labels, sample list, table and figure, one made of the other; the current folder is the
    checkout.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source.parquet").write_text("rows")
    run("label_candidates", ["source.parquet"], LABELS, "labels")
    run("draw_samples", [LABELS], SAMPLES, "samples")
    run("score_cnns", [SAMPLES], TABLE, "a,b")
    run("plot", [TABLE], FIGURE, "<svg/>")
    return Path(STUDY)


def test_an_untouched_study_is_as_it_was_written(study: Path) -> None:
    records = read_records(study)
    findings = verify(study, records)
    assert (findings.checked, findings.edited, findings.outdated, findings.unrecorded) == (
        4,
        [],
        {},
        [],
    )
    assert "All are as they were written" in report(findings, records)


@pytest.mark.parametrize("edited", [LABELS, TABLE, FIGURE])
def test_an_edit_by_hand_is_named_with_what_follows(study: Path, edited: str) -> None:
    path = Path(edited)
    path.write_text(path.read_text()[::-1])  # the same size
    records = read_records(study)
    findings = verify(study, records)
    assert findings.edited == [edited]
    after = [LABELS, SAMPLES, TABLE, FIGURE]
    assert followers(records, edited) == sorted(after[after.index(edited) + 1 :])
    assert f"CHANGED   {edited}" in report(findings, records)


def test_a_result_of_an_earlier_input_is_named(study: Path) -> None:
    run("draw_samples", [LABELS], SAMPLES, "other samples")
    assert verify(study, read_records(study)).outdated == {TABLE: SAMPLES, FIGURE: TABLE}


def test_a_result_of_earlier_settings_is_named(study: Path) -> None:
    settings = study / "settings" / "score_cnns.json"
    settings.parent.mkdir()
    settings.write_text('{"seed": 1}')
    run("score_cnns", [SAMPLES, str(settings)], TABLE, "a,b")
    assert verify(study, read_records(study)).outdated == {}
    settings.write_text('{"seed": 2}')
    assert verify(study, read_records(study)).outdated == {TABLE: str(settings), FIGURE: TABLE}


def test_a_table_that_no_job_wrote_is_named(study: Path) -> None:
    (study / "tables/mine.csv").write_text("1")
    assert verify(study, read_records(study)).unrecorded == [f"{STUDY}/tables/mine.csv"]


def test_a_result_that_was_removed_is_no_finding(study: Path) -> None:
    Path(FIGURE).unlink()
    assert verify(study, read_records(study)).checked == 3


def test_what_was_made_from_a_removed_temporary_file_is_up_to_date(study: Path) -> None:
    Path(SAMPLES).unlink()
    assert verify(study, read_records(study)).outdated == {}
    run("draw_samples", [LABELS], SAMPLES, "other samples")
    Path(SAMPLES).unlink()
    assert verify(study, read_records(study)).outdated == {TABLE: SAMPLES, FIGURE: TABLE}


def test_the_origin_of_a_figure_goes_back_to_the_source(study: Path) -> None:
    said = origin(read_records(study), FIGURE)
    for part in (
        "rule      plot (model=m)",
        'settings  {"code": "abc", "seed": 1}',
        f"input     {TABLE}",
        "source    source.parquet",
        "torch",
    ):
        assert part in said


def test_the_command_ends_with_what_it_found(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", STUDY]) == 0
    Path(TABLE).write_text("a,c")
    capsys.readouterr()
    assert main(["verify", STUDY]) == 1
    said = capsys.readouterr().out
    assert f"{TABLE} is not what score_cnns wrote; 1 results follow from it: {FIGURE}" in said
    for wrong in (["results/none"], [STUDY, "tables/none.csv"]):
        assert main(["verify", *wrong]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1


def test_what_is_no_result_of_a_study_has_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("smoke_head", [], "results/.smoke/head.json", "{}")
    assert not list(tmp_path.rglob(".records"))


@pytest.mark.parametrize("absolute", [False, True])
def test_a_users_file_outside_the_results_is_compared_where_it_lies(
    study: Path, absolute: bool, tmp_path: Path
) -> None:
    given = Path("model/config.json")
    given.parent.mkdir()
    given.write_text("{}")
    name = str(tmp_path / given if absolute else given)
    run("fetch_model", [name], f"{STUDY}/m/config.json", "{}")
    assert verify(study, read_records(study)).outdated == {}
    given.write_text('{"layers": 2}')
    assert verify(study, read_records(study)).outdated == {f"{STUDY}/m/config.json": name}
    given.unlink()
    assert verify(study, read_records(study)).outdated == {}
