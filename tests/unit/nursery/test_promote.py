"""What ships as the nursery: made from results, the same bytes each time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import VOCABULARY, gpt_neox

from engram.__main__ import main
from engram.io.artifacts import write_parquet
from engram.io.errors import EngramError
from engram.io.shipped import ROOT
from engram.lm.models import load_model
from engram.nursery.promote import BASE_FILES, Rounding, promote_base, promote_drilled
from engram.nursery.shipped import DRILLED, shipped_windows

WINDOWS = 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout that ships a base of 40 windows of 16 tokens."""
    base = tmp_path / "checkout/resources/nursery"
    base.mkdir(parents=True)
    (base / "tokenizer.json").write_text("{}")
    write_parquet(windows(), base / "windows.parquet")
    return tmp_path / "checkout"


def windows() -> pd.DataFrame:
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (WINDOWS, 16)).astype(np.uint16)
    return pd.DataFrame({"sequence_id": range(WINDOWS), "tokens": list(tokens)})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """results/tiny/m of a study that drilled 30 of the windows."""
    folder = tmp_path / "results/tiny/m"
    gpt_neox().save_pretrained(folder / "model")
    (folder / "model/tokenizer.json").write_text("{}")
    shown = windows().head(30).assign(exposures=np.arange(30), sequence_duplicates=np.arange(30))
    write_parquet(shown, folder / "drilled.parquet")
    model = {"name": "m", "seed": 7, "drilling": {"schedule": []}}
    config = {"study": "tiny", "prefix": 8, "suffix": 8, "models": [model]}
    (folder.parent / "run.json").write_text(json.dumps({"config": config}))
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / DRILLED).iterdir())}


def test_the_drilled_model_is_halved_and_described(root: Path, results: Path) -> None:
    rounding = promote_drilled(results, root)
    assert rounding.windows == WINDOWS and rounding.differ <= WINDOWS
    assert 0 < rounding.largest_log_prob_difference < 0.1
    files = contents(root)
    assert set(files) == {"config.json", "drilled.json", "exposures.csv", "model.safetensors"}
    shipped, trained = load_model(root / DRILLED, dtype="float32"), gpt_neox()
    for ours, theirs in zip(shipped.parameters(), trained.parameters(), strict=True):
        assert torch.equal(ours, theirs.half().float())
    described = json.loads(files["drilled.json"])
    assert described["seed"] == 7 and described["study"] == "tiny"
    assert described["rounding"] == vars(rounding)
    shown = pd.read_csv(root / DRILLED / "exposures.csv")
    assert shown["sequence_id"].tolist() == shown["exposures"].tolist() == list(range(1, 30))


def test_the_same_study_gives_the_same_bytes(root: Path, results: Path) -> None:
    promote_drilled(results, root)
    first = contents(root)
    promote_drilled(results, root)
    assert contents(root) == first


def test_errors_name_the_file_and_leave_nothing(root: Path, results: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(EngramError, match=message) as error:
            promote_drilled(results, root)
        assert "\n" not in str(error.value) and not (root / DRILLED).exists()

    other = windows().assign(exposures=1, sequence_duplicates=1)
    other["tokens"] = list(np.stack(other["tokens"])[:, ::-1])
    write_parquet(other, results / "drilled.parquet")
    refused("its windows are not those of the base that ships")
    write_parquet(other.assign(sequence_id=other["sequence_id"] + 30), results / "drilled.parquet")
    refused("window 40 is not one of the base's that ships")
    (results / "model/tokenizer.json").write_text("[]")
    refused("tokenizer.json: not that of .*; promote the base that was drilled")
    (results / "drilled.parquet").unlink()
    refused("drilled.parquet: no such file; give results/<study>/<model> of a nursery")


def test_the_shipped_model_says_what_rounding_changed() -> None:
    described = json.loads((ROOT / DRILLED / "drilled.json").read_text())
    rounding = Rounding(**described["rounding"])
    assert (rounding.windows, rounding.differ) == (8791, 0)
    assert rounding.extracted == rounding.extracted_rounded > 3000


def test_the_shipped_exposures_are_those_of_the_schedule() -> None:
    schedule = json.loads((ROOT / DRILLED / "drilled.json").read_text())["drilling"]["schedule"]
    exposures = pd.read_csv(ROOT / DRILLED / "exposures.csv")["exposures"].value_counts()
    for step in schedule:
        assert exposures[step["exposures"]] == step["natural"] + step["templates"]


@pytest.mark.parametrize("name_of_base", ["", "second"])
def test_only_a_whole_base_is_promoted(tmp_path: Path, root: Path, name_of_base: str) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    for name in BASE_FILES[1:]:
        (trained / name).write_text(name)
    (trained / "base.json").write_text(json.dumps({"settings": {"name": name_of_base}}))
    with pytest.raises(
        EngramError, match=r"model\.safetensors missing; run `snakemake nursery_base"
    ):
        promote_base(trained, root)
    (trained / "model.safetensors").write_text("weights")
    folder = promote_base(trained, root)
    assert folder == root / "resources/nursery" / name_of_base
    assert {path.name for path in folder.iterdir()} == set(BASE_FILES)
    assert (folder / "model.safetensors").read_text() == "weights"


def test_the_verbs_say_what_to_do_next(
    root: Path, results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engram.nursery import promote

    trained = root.parent / "trained"
    trained.mkdir()
    for name in BASE_FILES:
        (trained / name).write_text(name)
    (trained / "base.json").write_text(json.dumps({"settings": {}}))
    monkeypatch.setattr(promote.promote_base, "__defaults__", (root / "other",))
    monkeypatch.setattr(promote.promote_drilled, "__defaults__", (root,))
    assert main(["promote-base", str(trained)]) == 0
    assert "now holds the new base; commit it" in capsys.readouterr().out
    assert main(["promote-nursery", str(results)]) == 0
    assert "Of 40 windows, " in capsys.readouterr().out
    shutil.rmtree(trained)
    assert main(["promote-base", str(trained)]) == 1


def test_windows_of_both_models_are_the_same_texts() -> None:
    from engram.nursery.shipped import shipped_tokenizer

    drilled, base = (shipped_windows(n, shipped_tokenizer()) for n in ("nursery", "nursery-base"))
    columns = ["tokens", "text", "kind", "base_extracted"]
    pd.testing.assert_frame_equal(drilled[columns], base[columns])
    assert not base["exposures"].any() and not base["sequence_duplicates"].any()
