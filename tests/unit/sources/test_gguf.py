"""GGUF files: read as transformers reads them, dequantized once, and refused in one line."""

import json
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType
from tiny_gguf import LAYERS, SPECIAL, TOKENS, write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

import engram
from engram.io.errors import EngramError
from engram.lm import gguf as reading
from engram.lm.gguf import description
from engram.lm.inputs import opening
from engram.lm.models import fingerprint, load_model, load_tokenizer
from engram.sources import gguf
from engram.sources.gguf import dequantized
from engram.sources.snapshots import fetch_model, read_origin
from engram.sources.state import model_state

TEXT = "Engram reads one file."


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf")


def some_tokens() -> torch.Tensor:
    return torch.randint(len(TOKENS), (3, 16), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model(some_tokens()).logits


@pytest.mark.parametrize("kind", ["Q8_0", "Q5_0", "F16"])
def test_logits_are_those_of_transformers_own_load_bit_for_bit(kind: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", kind=GGMLQuantizationType[kind])
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", dtype=torch.float32
    ).eval()
    assert torch.equal(logits(load_model(path, dtype="float32", device="cpu")), logits(theirs))
    fetch_model(path, None, tmp_path / "model", parts=tmp_path / ".parts")
    assert torch.equal(logits(load_model(tmp_path / "model", device="cpu")), logits(theirs))
    own = AutoTokenizer.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    for ours in (load_tokenizer(path), load_tokenizer(tmp_path / "model")):
        assert ours(TEXT)["input_ids"] == own(TEXT)["input_ids"]
        assert ours.decode(ours(TEXT)["input_ids"], skip_special_tokens=True) == TEXT


def test_the_file_is_dequantized_once(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = dequantized(file, tmp_path)
    assert said["elements"]["Q8_0"] > said["elements"]["F32"] > 0
    assert (said["architecture"], said["license"], said["dtype"]) == (
        "llama",
        "apache-2.0",
        "float32",
    )
    monkeypatch.setattr(gguf, "load_model", None)
    assert dequantized(file, tmp_path) == (folder, said)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    copy = tmp_path / "other name.gguf"
    copy.write_bytes(file.read_bytes())
    assert dequantized(copy, tmp_path)[0] == folder


def test_the_folder_records_the_file_and_outlives_finished_work(file: Path, tmp_path: Path) -> None:
    fetch_model(file, None, tmp_path / "model", parts=tmp_path / ".parts")
    origin = read_origin(tmp_path / "model")
    assert origin["model"] == str(file)
    assert origin["gguf"] == description(file) | {"dtype": "float32"}
    assert origin["gguf"]["sha256"] == reading.file_digest(file)
    assert not (tmp_path / "model" / "model.safetensors").is_symlink()
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["num_hidden_layers"] == LAYERS


def test_the_fingerprint_and_the_state_follow_the_content(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(file.read_bytes())
    assert fingerprint(copy) == fingerprint(file)
    assert fingerprint(copy, dtype="float16") != fingerprint(file)
    state = model_state(str(copy))
    write_gguf(copy, seed=1)
    assert fingerprint(copy) != fingerprint(file)
    assert model_state(str(copy)) != state


@pytest.mark.parametrize("bos", [True, False])
def test_the_beginning_of_a_sequence_is_the_file_s(bos: bool, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", bos=bos)
    fetch_model(path, None, tmp_path / "model", parts=tmp_path / ".parts")
    assert opening(load_model(tmp_path / "model", device="cpu")) == ((0,) if bos else ())
    lm = engram.load(path, device="cpu")
    assert lm.opening == ((0,) if bos else ())
    assert lm.layers == LAYERS
    assert ("begins with <s>" in repr(lm)) is bos
    assert SPECIAL[0] == "<s>"


def test_a_file_serves_the_front_door(file: Path) -> None:
    lm = engram.load(str(file), device="cpu")
    table = engram.label(lm, ["A text of some bytes, long enough."], prefix=8, suffix=8)
    maps = engram.attention(lm, table["continuation"], prefix=8, suffix=8)
    assert maps.verification["extracted"].all()
    assert maps.mean.shape == (1, LAYERS, 17, 17)
    assert "1 special + 8 + 8" in repr(maps)


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.02, 0.3, 0.9, 0.9999])
def test_a_cut_file_is_refused_in_one_line(share: float, file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[: int(share * len(content))])
    for use in (
        lambda: load_model(path, device="cpu"),
        lambda: fetch_model(path, None, tmp_path / "model", parts=tmp_path / ".parts"),
        lambda: engram.load(path),
    ):
        with pytest.raises(EngramError, match=r"cut\.gguf: .*copy or download it again") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(EngramError, match=r"foreign\.gguf: not a GGUF file, it begins with b'PK"):
        load_model(foreign)
    with pytest.raises(EngramError, match=r"nowhere\.gguf: no such file"):
        fingerprint(tmp_path / "nowhere.gguf")
    unknown = write_gguf(tmp_path / "unknown.gguf", architecture="nobodys")
    with pytest.raises(EngramError, match=r"unknown\.gguf: .*nobodys") as caught:
        load_model(unknown)
    assert "\n" not in str(caught.value)


def test_the_missing_extra_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "find_spec", lambda name: None if name == "gguf" else True)
    with pytest.raises(EngramError, match=r"takes the package gguf; .*'engram\[gguf\]'"):
        load_model(file)
