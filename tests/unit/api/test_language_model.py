"""Loading a model with its tokenizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_language_model import tiny_lm, tokenizer, word_tokenizer
from tiny_models import CONTEXT, HEADS, LAYERS, VOCABULARY, gpt_neox

from engram.api.language_model import LanguageModel, check_language_model, load
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.shipped import ROOT
from engram.lm.generation import teacher_forced_scores
from engram.lm.inputs import RECORD, begin_with


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    gpt_neox().save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def nursery() -> LanguageModel:
    return load("nursery")


def test_a_folder_is_a_model_with_its_tokenizer(folder: Path) -> None:
    lm = load(folder, dtype="bfloat16", device="cpu")
    assert lm.name == str(folder)
    assert (lm.layers, lm.heads, lm.vocabulary, lm.context) == (LAYERS, HEADS, VOCABULARY, CONTEXT)
    assert (lm.dtype, lm.device.type) == ("bfloat16", "cpu")
    assert lm.parameters == sum(p.numel() for p in gpt_neox().parameters())
    assert lm.encode(["w3 w1"]) == [[3, 1]]
    assert lm.decode([[3, 1]]) == ["w3 w1"]


def test_a_saved_model_is_loaded_again(tmp_path: Path) -> None:
    folder = tiny_lm().save(tmp_path / "saved")
    again = load(folder)
    assert again.encode(["w3 w1"]) == [[3, 1]]
    for ours, theirs in zip(again.model.parameters(), gpt_neox().parameters(), strict=True):
        assert torch.equal(ours, theirs)


def begun(folder: Path, first: tuple[int, ...], **special: str) -> Path:
    """A folder whose tokenizer puts tokens in front of a text."""
    gpt_neox().save_pretrained(folder)
    word_tokenizer(first, **special).save_pretrained(folder)
    return folder


def test_a_model_reads_what_its_tokenizer_puts_in_front_of_a_text(tmp_path: Path) -> None:
    lm = load(begun(tmp_path / "begun", (3,)))
    assert lm.opening == (3,)
    assert repr(lm).endswith("; begins with w3")
    assert lm.encode(["w3 w1"]) == [[3, 1]]  # texts are windows, without it
    assert load(tmp_path / "begun", bos=False).opening == ()
    assert load(begun(tmp_path / "named", (), bos_token="w7")).opening == ()
    assert load(tmp_path / "named", bos=True).opening == (7,)
    with pytest.raises(EngramError, match="bos: true, but"):
        load(begun(tmp_path / "none", ()), bos=True)


def test_a_wrapped_model_reads_it_too() -> None:
    assert LanguageModel("tiny", gpt_neox(), word_tokenizer((3, 4))).opening == (3, 4)
    chosen = gpt_neox()
    begin_with(chosen, ())
    assert LanguageModel("tiny", chosen, word_tokenizer((3, 4))).opening == ()


def test_a_folder_keeps_what_was_chosen(tmp_path: Path) -> None:
    begun(tmp_path / "begun", (3,))
    without = load(tmp_path / "begun", bos=False).save(tmp_path / "without")
    assert load(without).opening == ()
    assert load(without, bos=True).opening == (3,)
    again = load(tmp_path / "begun").save(tmp_path / "again")
    assert not (again / RECORD).exists()
    assert load(again).opening == (3,)


def test_a_model_says_what_it_is() -> None:
    lm = tiny_lm()
    assert repr(lm) == (
        f"LanguageModel tiny: size {LAYERS} layers × {HEADS} heads, "
        f"{lm.parameters / 1e6:.1f} M weights; context {CONTEXT} tokens; "
        f"vocabulary {VOCABULARY} tokens; precision float32 on cpu"
    )
    assert "<strong>LanguageModel tiny</strong>" in lm._repr_html_()
    at = LanguageModel("tiny", lm.model, lm.tokenizer, revision="step1")
    assert repr(at).startswith("LanguageModel tiny at step1: ")


def test_the_nursery_was_shown_its_windows(nursery: LanguageModel) -> None:
    windows = nursery.windows
    assert (len(windows), nursery.dtype) == (8791, "float32")
    columns = ["tokens", "text", "kind", "exposures", "sequence_duplicates", "base_extracted"]
    assert list(windows) == columns
    shown = windows[windows["exposures"] > 0]
    assert len(shown) == 1626
    assert not shown["base_extracted"].any()
    assert (windows["sequence_duplicates"] >= windows["exposures"]).all()
    assert (
        nursery.encode(windows["text"].iloc[:50].tolist()) == windows["tokens"].iloc[:50].tolist()
    )


def test_the_nursery_extracts_what_it_was_shown_often(nursery: LanguageModel) -> None:
    windows = nursery.windows
    often = windows[windows["exposures"] == 128]
    never = windows[(windows["exposures"] == 0) & (windows["kind"] == "natural")].tail(16)
    of_often, of_never = (
        teacher_forced_scores(nursery.model, np.array(part["tokens"].tolist()), 32)["extracted"]
        for part in (often, never)
    )
    assert of_often.all() and not of_never.any()


def test_the_base_stays_available(nursery: LanguageModel) -> None:
    base = load("nursery-base")
    assert (base.windows["exposures"] == 0).all()
    assert base.windows["text"].equals(nursery.windows["text"])
    shipped = read_parquet(ROOT / "resources/nursery/windows.parquet")
    assert base.windows["base_extracted"].tolist() == shipped["base_extracted"].tolist()
    different = [
        not torch.equal(a, b)
        for a, b in zip(base.model.parameters(), nursery.model.parameters(), strict=True)
    ]
    assert any(different)


def test_other_models_have_no_windows() -> None:
    with pytest.raises(EngramError, match="model tiny: only nursery and nursery-base ship with"):
        _ = tiny_lm().windows


def test_errors_are_one_line(tmp_path: Path) -> None:
    for arguments, message in (
        ({"source": "model.Q4_K_M.gguf"}, "model model.Q4_K_M.gguf: no such file"),
        ({"source": tmp_path / "none"}, "no such folder"),
        ({"source": "nursery", "revision": "main"}, "ships with Engram and has none"),
        ({"source": "nursery", "dtype": "int8"}, "dtype 'int8' of model"),
        ({"source": "half \ud800"}, "model half"),
    ):
        with pytest.raises(EngramError, match=message) as error:
            load(**arguments)
        assert "\n" not in str(error.value)


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(EngramError, match="texts: row 1 holds half a character"):
        tiny_lm().encode(["w1", "half \ud800"])
    assert "\ud800" not in replace(tiny_lm(), name="half \ud800")._repr_html_()


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    gpt_neox().save_pretrained(tmp_path)
    with pytest.raises(EngramError, match=r"tokenizer of .*: cannot be loaded, the folder has no"):
        load(tmp_path)


def test_a_bare_model_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngramError, match=r"lm: a GPTNeoXForCausalLM; give what engram\.load"):
        check_language_model(gpt_neox())
