"""Settings files: written only where their content differs; an edit taken back is forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engram.run.settings_files import SettingsFiles, read_settings, read_values

LONG_AGO = 1_000_000_000
CODE = {"train": "a1", "draw": "b2"}


def files(folder: Path, *, write: bool = True, code: dict[str, str] = CODE) -> SettingsFiles:
    return SettingsFiles(folder, code, write)


def written_long_ago(folder: Path, **values: object) -> Path:
    path = Path(files(folder)("train", **values))
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_a_file_holds_the_values_and_the_code_of_its_script(tmp_path: Path) -> None:
    path = files(tmp_path)("train", epochs=3)
    assert read_values(Path(path)) == {"code": "a1", "epochs": 3}
    assert read_settings(path).epochs == 3
    assert read_values(Path(files(tmp_path)("other", script="draw"))) == {"code": "b2"}


def test_equal_values_leave_the_file_alone(tmp_path: Path) -> None:
    path = written_long_ago(tmp_path, epochs=(3, 4))
    files(tmp_path)("train", epochs=[3, 4])
    assert path.stat().st_mtime == LONG_AGO


@pytest.mark.parametrize(
    ("values", "code"), [({"epochs": 4}, CODE), ({"epochs": 3}, CODE | {"train": "new"})]
)
def test_other_values_or_other_code_write_it(
    tmp_path: Path, values: dict[str, int], code: dict[str, str]
) -> None:
    path = written_long_ago(tmp_path, epochs=3)
    files(tmp_path, code=code)("train", **values)
    assert path.stat().st_mtime > LONG_AGO
    assert read_values(path) == {"code": code["train"], **values}


def test_an_edit_taken_back_before_a_run_brings_back_the_time(tmp_path: Path) -> None:
    path = written_long_ago(tmp_path, epochs=3)
    for epochs in (4, 5, 3):
        files(tmp_path)("train", epochs=epochs)
    assert path.stat().st_mtime == LONG_AGO
    assert read_values(path) == {"code": "a1", "epochs": 3}


def test_an_edit_taken_back_after_a_run_is_a_change(tmp_path: Path) -> None:
    path = written_long_ago(tmp_path, epochs=3)
    edited = files(tmp_path)
    edited("train", epochs=4)
    edited.start()
    files(tmp_path)("train", epochs=3)
    assert path.stat().st_mtime > LONG_AGO
    assert read_values(path) == {"code": "a1", "epochs": 3}


def test_a_locked_folder_keeps_its_files_and_lists_them(tmp_path: Path) -> None:
    path = written_long_ago(tmp_path, epochs=3)
    reader = files(tmp_path, write=False)
    reader("train", epochs=4)
    assert reader.outdated == [path]
    assert read_values(path) == {"code": "a1", "epochs": 3}


def test_two_stages_of_one_name_are_a_mistake_of_the_rules(tmp_path: Path) -> None:
    both = files(tmp_path)
    both("train", epochs=3)
    with pytest.raises(ValueError, match="two stages"):
        both("train", epochs=4)


def test_the_stamp_of_a_stage_lies_beside_its_file(tmp_path: Path) -> None:
    stamp = files(tmp_path).stamped("train", epochs=3)
    assert stamp == str(tmp_path / "stamps" / "train.json")
    assert read_values(tmp_path / "train.json") == {"code": "a1", "epochs": 3}


def test_each_value_of_a_wildcard_has_its_file(tmp_path: Path) -> None:
    pattern = files(tmp_path).by("model", "train", {"a": {"seed": 1}, "b": {"seed": 2}})
    assert read_values(Path(pattern.format(model="b"))) == {"code": "a1", "seed": 2}
