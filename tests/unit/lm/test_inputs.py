"""What a model reads in front of windows: everything equals the same on windows that have the
tokens in front of them by hand, and models without such tokens read what they always read.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_language_model import word_tokenizer
from tiny_models import (
    CONTEXT,
    LAYERS,
    SPECIAL,
    VOCABULARY,
    gpt_neox,
    llama_grouped,
    random_tokens,
)
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.packing import packed_length
from engram.lm.attention import all_heads, extract, pooled_attention
from engram.lm.conditions import Condition
from engram.lm.generation import greedy_continuations, memorization_scores
from engram.lm.hidden_states import pooled_states
from engram.lm.inputs import (
    RECORD,
    begin_with,
    chosen_opening,
    has_opening,
    model_input,
    opening,
    prepended,
    read_opening,
    write_opening,
)
from engram.lm.interventions import average, knock_out
from engram.lm.models import check_tokens, fingerprint, load_model
from engram.lm.oracle import compare, expect
from engram.lm.random_weights import write_random_twin
from engram.sources.scoring import twin_extracts

WINDOW, PREFIX = 16, 8
FIRST = [(5,), (5, 9)]
"""Openings of one and of several tokens."""
MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt_neox": gpt_neox,
    "llama_grouped": llama_grouped,
    "sliding_window": SPECIAL["mistral_sliding_window"],
    "no_interface": SPECIAL["bloom_no_interface"],
}


def behind(first: tuple[int, ...], tokens: np.ndarray) -> np.ndarray:
    """Windows with the tokens in front of them by hand."""
    return np.array([[*first, *row] for row in tokens.tolist()])


def begun(model: PreTrainedModel, first: tuple[int, ...]) -> PreTrainedModel:
    begin_with(model, first)
    return model


def test_a_model_reads_windows_as_they_are_unless_told() -> None:
    model, windows = gpt_neox(), torch.from_numpy(random_tokens(2, 5))
    assert model_input(model, windows) is windows
    assert not has_opening(model)
    begin_with(model, ())
    assert model_input(model, windows) is windows
    assert has_opening(model)


def test_a_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(EngramError, match=f"token {VOCABULARY}, which is outside its vocabulary"):
        begin_with(gpt_neox(), (VOCABULARY,))


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("name", MODELS)
def test_attention_and_scores(name: str, first: tuple[int, ...]) -> None:
    tokens = random_tokens(4, WINDOW)
    (ours,) = extract(begun(MODELS[name](), first), tokens, PREFIX)
    (theirs,) = extract(MODELS[name](), behind(first, tokens), len(first) + PREFIX)
    assert ours.mean.shape == (4, LAYERS, packed_length(len(first) + WINDOW))
    for field in ("mean", "max", "extracted", "matched_fraction", "suffix_log_prob"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))
    (without,) = extract(MODELS[name](), tokens, PREFIX)
    assert (without.suffix_log_prob != ours.suffix_log_prob).any()


@pytest.mark.parametrize("first", FIRST)
def test_single_heads_and_pooled_maps(first: tuple[int, ...]) -> None:
    tokens = random_tokens(2, WINDOW)
    model, plain, whole = begun(gpt_neox(), first), gpt_neox(), behind(first, tokens)
    for ours, theirs in zip(all_heads(model, tokens), all_heads(plain, whole), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(
        pooled_attention(model, tokens), pooled_attention(plain, whole), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("name", MODELS)
def test_continuations_are_those_of_generate(name: str, first: tuple[int, ...]) -> None:
    prefixes = random_tokens(5, PREFIX)
    ours = greedy_continuations(begun(MODELS[name](), first), prefixes, WINDOW - PREFIX)
    plain, whole = MODELS[name](), torch.from_numpy(behind(first, prefixes))
    written = plain.generate(
        whole,
        attention_mask=torch.ones_like(whole),
        do_sample=False,
        max_new_tokens=WINDOW - PREFIX,
        eos_token_id=None,
        pad_token_id=0,
    )
    np.testing.assert_array_equal(ours, written[:, whole.shape[1] :])


@pytest.mark.parametrize("first", FIRST)
def test_memorization_scores(first: tuple[int, ...]) -> None:
    tokens = random_tokens(6, WINDOW)
    model = begun(gpt_neox(), first)
    tokens[:3, PREFIX:] = greedy_continuations(model, tokens[:3, :PREFIX], WINDOW - PREFIX)
    ours = memorization_scores(model, tokens, PREFIX)
    theirs = memorization_scores(gpt_neox(), behind(first, tokens), len(first) + PREFIX)
    assert ours["extracted"].tolist() == [True] * 3 + [False] * 3
    same = ["memorization_score", "matched_fraction", "longest_match", "generation_perplexity"]
    np.testing.assert_allclose(ours[same], theirs[same], rtol=1e-6)


def test_perplexities_leave_the_window_s_first_token_out_as_ever() -> None:
    tokens, model = random_tokens(3, WINDOW), begun(gpt_neox(), (5,))
    scores = memorization_scores(model, tokens, PREFIX)
    with torch.no_grad():
        logits = gpt_neox()(torch.from_numpy(behind((5,), tokens))).logits[:, 1:-1]  # (n, T - 1, V)
    said = logits.log_softmax(-1).gather(-1, torch.from_numpy(tokens)[:, 1:, None])[..., 0]
    expected = (-said.double().mean(1)).exp()
    np.testing.assert_allclose(scores["sequence_perplexity"], expected, rtol=1e-5)


@pytest.mark.parametrize("first", FIRST)
def test_hidden_states_are_averaged_over_the_window_alone(first: tuple[int, ...]) -> None:
    tokens = torch.from_numpy(random_tokens(3, WINDOW))
    ours = pooled_states(begun(llama_grouped(), first), tokens)
    with torch.no_grad():
        output = llama_grouped().base_model(
            torch.from_numpy(behind(first, tokens.numpy())), output_hidden_states=True
        )
    theirs = torch.stack([states[:, len(first) :].mean(1) for states in output.hidden_states], 1)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("name", ["gpt_neox", "llama_grouped", "sliding_window"])
def test_knock_outs(name: str, first: tuple[int, ...]) -> None:
    tokens, rows = random_tokens(3, WINDOW), len(first) + WINDOW
    cells = np.random.default_rng(0).random((LAYERS, packed_length(rows))) < 0.3
    above = cells & (np.arange(LAYERS) >= 1)[:, None]
    conditions = [
        Condition(),
        *(
            Condition(operation, cells=mask)
            for operation in ("remove", "mean")
            for mask in (cells, above)
        ),
    ]
    model, plain, whole = begun(MODELS[name](), first), MODELS[name](), behind(first, tokens)
    ours = knock_out(model, tokens, PREFIX, conditions, average(model, tokens, 999))
    means = average(plain, whole, 999)
    assert means.weights.shape[-1] == rows
    theirs = knock_out(plain, whole, len(first) + PREFIX, conditions, means)
    for (one, found), (other, expected) in zip(ours, theirs, strict=True):
        assert one == other
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("first", FIRST)
def test_the_check_against_transformers(first: tuple[int, ...]) -> None:
    tokens = random_tokens(3, WINDOW)
    model = begun(gpt_neox(), first)
    (found,) = extract(model, tokens, PREFIX)
    expected = expect(model, tokens, PREFIX)
    assert len(expected) == 3
    for row in range(3):
        compare(model, expected[row], found, row)
    begin_with(model, (7,) * len(first))
    other = expect(model, tokens, PREFIX)
    with pytest.raises(EngramError, match="differs by"):
        compare(model, other[0], found, 0)


def test_twins_with_another_tokenizer() -> None:
    first, tokens = (5,), random_tokens(4, WINDOW)
    twin = begun(gpt_neox(), first)
    tokens[:2, PREFIX:] = greedy_continuations(twin, tokens[:2, :PREFIX], WINDOW - PREFIX)
    own, other = word_tokenizer(), word_tokenizer(additional_special_tokens=["<more>"])
    assert own.get_vocab() != other.get_vocab()
    found = twin_extracts(twin, tokens, PREFIX, own, other)
    np.testing.assert_array_equal(found, [True, True, False, False])
    assert not twin_extracts(gpt_neox(), tokens, PREFIX, own, other).all()


@pytest.mark.parametrize("first", [(), (3,), (3, 4), (0,)])  # w0 also stands for unknown words
def test_what_a_tokenizer_puts_in_front(first: tuple[int, ...]) -> None:
    tokenizer = word_tokenizer(first, bos_token="w7")
    assert prepended(tokenizer) == first
    assert chosen_opening(tokenizer, "auto") == first
    assert chosen_opening(tokenizer, True) == (first or (7,))
    assert chosen_opening(tokenizer, False) == ()


def test_a_tokenizer_without_such_a_token_is_refused_where_one_is_asked_for() -> None:
    with pytest.raises(EngramError, match=r"bos: true, but the tokenizer .* names no beginning"):
        chosen_opening(word_tokenizer(), True)
    with pytest.raises(EngramError, match="bos: 'yes'; choose auto, true or false"):
        chosen_opening(word_tokenizer(), "yes")  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gpt_neox().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_records_what_its_model_begins_with(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(folder)
    assert read_opening(folder) is None
    assert not has_opening(load_model(folder, device="cpu"))
    write_opening(folder, (), "auto")
    assert fingerprint(folder) == before  # keys of finished work stay what they are
    assert read_opening(folder) == ()
    write_opening(folder, (5, 9), True)
    assert fingerprint(folder) != before
    assert opening(load_model(folder, device="cpu")) == (5, 9)
    write_random_twin(folder, "float32", 1, tmp_path / "twin")
    assert opening(load_model(tmp_path / "twin", device="cpu")) == (5, 9)


@pytest.mark.parametrize("text", ["", "{}", '{"tokens": ["a"]}'])
def test_a_damaged_record_is_refused(folder: Path, text: str) -> None:
    (folder / RECORD).write_text(text)
    with pytest.raises(EngramError, match=r"opening\.json: cannot be read"):
        load_model(folder, device="cpu")
    (folder / RECORD).write_text(json.dumps({"tokens": [VOCABULARY]}))
    with pytest.raises(EngramError, match="outside its vocabulary"):
        load_model(folder, device="cpu")


def test_windows_that_begin_with_it_already_are_refused() -> None:
    model, tokens = begun(gpt_neox(), (5,)), random_tokens(5, WINDOW)
    tokens[:, 0] = 6
    check_tokens(model, tokens, "texts")
    tokens[:2, 0] = 5  # a few may: a text may begin a document
    check_tokens(model, tokens, "texts")
    tokens[:3, 0] = 5
    with pytest.raises(EngramError, match="texts: 3 of 5 windows begin with token 5, which is put"):
        check_tokens(model, tokens, "texts")
    check_tokens(gpt_neox(), tokens, "texts")


def test_the_context_holds_both() -> None:
    tokens = random_tokens(2, CONTEXT)
    tokens[:, 0] = 6
    check_tokens(begun(gpt_neox(), ()), tokens, "texts")
    with pytest.raises(EngramError, match=f"{CONTEXT} tokens behind 1 special are longer"):
        check_tokens(begun(gpt_neox(), (5,)), tokens, "texts")
