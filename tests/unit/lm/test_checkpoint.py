"""Checkpoints as people have them: loaded rightly, or refused in one line before any work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tiny_models import gpt_neox, random_tokens
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.lm.attention import pooled_attention
from engram.lm.checkpoint import check_folder, read_config
from engram.lm.models import load_model, load_tokenizer

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 5\n"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    gpt_neox().save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(97)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w0").save_pretrained(folder)
    return folder


@pytest.fixture
def folder(healthy: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(healthy, tmp_path / "tiny"))


def change(folder: Path, **values: Any) -> None:
    """Set keys of config.json; None removes a key."""
    path = folder / "config.json"
    changed = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: one for key, one in changed.items() if one is not None}))


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "gptq": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantized (gptq)"),
    "awq": ({"quantization_config": {"quant_method": "awq"}}, "quantized (awq)"),
    "nameless": ({"quantization_config": {"bits": 4}}, "quantized (an unknown method)"),
    "unknown kind": ({"model_type": "no_such_thing"}, "config.json cannot be used"),
    "no kind": ({"model_type": None, "architectures": None}, "config.json cannot be used"),
    "own code": (
        {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}},
        "brings its own code",
    ),
    "encoder": ({"model_type": "vit"}, "not a causal language model"),
    "no layers": ({"num_hidden_layers": 0}, "num_hidden_layers 0"),
    "words for numbers": ({"hidden_size": "many"}, "config.json"),
    "heads that do not divide": ({"num_attention_heads": 5}, "config.json"),
    "odd rope": ({"rope_parameters": {"rope_type": "bent", "rope_theta": 1e4}}, "config.json"),
    "mamba": ({"model_type": "mamba"}, "no softmax attention"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_the_configuration_says_is_refused_before_work(name: str, folder: Path) -> None:
    values, message = CONFIGS[name]
    change(folder, **values)
    with pytest.raises(EngramError) as caught:
        check_folder(folder)
    assert message in str(caught.value) and str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def linear_layers(folder: Path) -> None:
    config = hf.AutoConfig.for_model("qwen3_next", num_hidden_layers=4)
    config.save_pretrained(folder)


def other_vocabulary(folder: Path) -> None:
    change(folder, vocab_size=96)


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pointer for weights": (
        lambda folder: (folder / "model.safetensors").write_text(POINTER),
        "model.safetensors: a Git LFS pointer",
    ),
    "pointer for the configuration": (
        lambda folder: (folder / "config.json").write_text(POINTER),
        "config.json: a Git LFS pointer",
    ),
    "pointer for the tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text(POINTER),
        "tokenizer.json: a Git LFS pointer",
    ),
    "tokenizer of an unknown kind": (
        lambda folder: (folder / "tokenizer.json").write_text('{"model": {"type": "Odd"}}'),
        "tokenizer.json: cannot be loaded",
    ),
    "no tokenizer": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        "the folder has no tokenizer.json",
    ),
    "empty configuration": (
        lambda folder: (folder / "config.json").write_text(""),
        "config.json: cannot be read",
    ),
    "configuration that is a list": (
        lambda folder: (folder / "config.json").write_text("[]"),
        "config.json: not an object",
    ),
    "cut weights": (
        lambda folder: (folder / "model.safetensors").write_bytes(
            (folder / "model.safetensors").read_bytes()[:5000]
        ),
        "cannot be loaded",
    ),
    "another vocabulary": (other_vocabulary, "vocab_size 96"),
    "linear attention": (linear_layers, "linear_attention, which compute no softmax attention"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_used_are_named(name: str, folder: Path) -> None:
    damage, message = FILES[name]
    damage(folder)
    with pytest.raises(EngramError) as caught:
        load_model(folder)
        load_tokenizer(folder)
    assert message in str(caught.value) and str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_healthy_folder_passes(healthy: Path) -> None:
    check_folder(healthy)
    load_tokenizer(healthy)


def test_a_configuration_that_names_flash_attention_is_loaded(folder: Path) -> None:
    change(folder, _attn_implementation="flash_attention_2")
    change(folder, attn_implementation="flash_attention_2")
    assert read_config(folder)._attn_implementation in (None, "eager", "sdpa")
    tokens = random_tokens(2, 8)
    found, _ = pooled_attention(load_model(folder, device="cpu"), tokens)
    torch.testing.assert_close(found, pooled_attention(gpt_neox(), tokens)[0])


@pytest.mark.parametrize("alibi", [False, True])
def test_falcon_is_causal_and_pooled_as_eager_computes_it(alibi: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = hf.FalconConfig(
        vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=alibi
    )
    hf.FalconForCausalLM(config).save_pretrained(tmp_path)
    tokens = random_tokens(3, 8)
    mean, highest = pooled_attention(load_model(tmp_path, device="cpu"), tokens)
    eager = hf.FalconForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    with torch.no_grad():
        maps = eager(
            torch.from_numpy(tokens), output_attentions=True
        ).attentions  # L × (n, H, T, T)
    rows, columns = torch.tril_indices(8, 8)
    every = torch.stack(maps, 1)[..., rows, columns]  # (n, L, H, P)
    torch.testing.assert_close(mean, every.mean(2))
    torch.testing.assert_close(highest, every.amax(2))
