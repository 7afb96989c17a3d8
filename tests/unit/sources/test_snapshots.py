"""Model folders: what is copied, what is linked, and what is never taken."""

import logging
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from tiny_sources import tiny_model
from tokenizers import Tokenizer, processors

from engram.io.errors import EngramError
from engram.lm.inputs import opening, read_opening
from engram.lm.models import fingerprint, load_model, load_tokenizer
from engram.sources.fit import model_limits
from engram.sources.snapshots import fetch_model, read_origin

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_folder_loads_as_the_model_that_was_named(model_folder: Path, tmp_path: Path) -> None:
    fetch_model(model_folder, None, tmp_path / "model")
    assert read_origin(tmp_path / "model") == {
        "model": str(model_folder),
        "revision": None,
        "commit": "local",
        "files": {"read": 5, "left_out": {}},
    }
    assert (
        load_tokenizer(tmp_path / "model").get_vocab() == load_tokenizer(model_folder).get_vocab()
    )
    torch.testing.assert_close(
        dict(load_model(tmp_path / "model").state_dict()),
        dict(tiny_model().state_dict()),
        rtol=0,
        atol=0,
    )
    assert fingerprint(tmp_path / "model") == fingerprint(model_folder)


def test_weights_are_linked_not_copied(model_folder: Path, tmp_path: Path) -> None:
    fetch_model(model_folder, None, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").is_symlink()


def test_code_and_pickled_weights_are_not_taken(model_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(model_folder, tmp_path / "source"))
    for name in ("modeling_tiny.py", "pytorch_model.bin", "consolidated.safetensors"):
        (source / name).touch()
    fetch_model(source, None, tmp_path / "model")
    assert not {"modeling_tiny.py", "pytorch_model.bin", "consolidated.safetensors"} & {
        path.name for path in (tmp_path / "model").iterdir()
    }


def test_weights_in_several_files_are_all_there(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "source")
    (tmp_path / "source" / "model.safetensors").unlink()
    tiny_model().save_pretrained(tmp_path / "source", max_shard_size="20KB")
    assert len(list((tmp_path / "source").glob("model-*.safetensors"))) > 1
    fetch_model(tmp_path / "source", None, tmp_path / "model")
    torch.testing.assert_close(
        dict(load_model(tmp_path / "model").state_dict()),
        dict(tiny_model().state_dict()),
        rtol=0,
        atol=0,
    )


def test_another_model_replaces_the_folder(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model-00001-of-00002.safetensors").touch()
    fetch_model(model_folder, None, tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").glob("*.safetensors")] == [
        "model.safetensors"
    ]


def test_the_cache_serves_a_repository_and_tells_the_commit(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "hub" / "models--owner--tiny"
    shutil.copytree(model_folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    fetch_model("owner/tiny", "main", tmp_path / "model")
    assert read_origin(tmp_path / "model") == {
        "model": "owner/tiny",
        "revision": "main",
        "commit": COMMIT,
        "files": {"read": 5, "left_out": {}},
    }
    assert fingerprint(tmp_path / "model") == fingerprint(model_folder)


def test_an_adapter_beside_a_model_is_counted(
    model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Path(shutil.copytree(model_folder, tmp_path / "source"))
    for name in ("adapter_config.json", "adapter_model.safetensors", "README.md"):
        (source / name).touch()
    with caplog.at_level(logging.INFO):
        fetch_model(source, None, tmp_path / "model")
    left_out = {
        "files of an adapter, which is not applied": 2,
        "files of another name or ending": 1,
    }
    assert read_origin(tmp_path / "model")["files"] == {"read": 5, "left_out": left_out}
    assert "2 files of an adapter, which is not applied" in caplog.text


def test_a_refused_model_leaves_no_folder(model_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(model_folder, tmp_path / "source"))
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(EngramError, match="no safetensors weights at this revision"):
        fetch_model(source, None, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_folder_records_what_sequences_begin_with(model_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(model_folder, tmp_path / "source"))
    fetch_model(source, None, tmp_path / "model")
    assert read_opening(tmp_path / "model") == ()
    whole = Tokenizer.from_file(str(source / "tokenizer.json"))
    token = whole.id_to_token(3)
    whole.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", special_tokens=[(token, 3)]
    )
    whole.save(str(source / "tokenizer.json"))
    fetch_model(source, None, tmp_path / "model")
    assert read_opening(tmp_path / "model") == opening(load_model(tmp_path / "model")) == (3,)
    assert model_limits(tmp_path / "model", 31).opening == (3,)
    with pytest.raises(EngramError, match="windows of 32 tokens behind 1 special are longer"):
        model_limits(tmp_path / "model", 32)
    fetch_model(source, None, tmp_path / "model", bos=False)
    assert read_opening(tmp_path / "model") == ()
    assert model_limits(tmp_path / "model", 32).opening == ()
