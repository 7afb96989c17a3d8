"""Generation: equal to `model.generate`, never short, and scores that agree with a plain count."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, SPECIAL, VOCABULARY, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm import generation
from engram.lm.attention import extract
from engram.lm.generation import (
    greedy_continuations,
    longest_runs,
    memorization_scores,
    teacher_forced_scores,
)
from engram.lm.kept_batches import Kept

PREFIX, SUFFIX = 6, 10
EVERY = {**ARCHITECTURES, **SPECIAL}


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return gpt_neox()


@pytest.fixture(scope="module")
def tokens(model: PreTrainedModel) -> np.ndarray:
    """Windows whose suffix is the model's own (rows 0-2), that with one token changed (3-6), or
    random.
    """
    rows = random_tokens(10, PREFIX + SUFFIX)
    rows[:7, PREFIX:] = greedy_continuations(model, rows[:7, :PREFIX], SUFFIX)
    for row, position in zip(range(3, 7), (0, 1, 5, SUFFIX - 1), strict=True):
        rows[row, PREFIX + position] = (rows[row, PREFIX + position] + 1) % VOCABULARY
    return rows


def favour_end_of_text(model: PreTrainedModel) -> PreTrainedModel:
    """Gives the end-of-text token 0 the largest logit everywhere."""
    head = torch.nn.Linear(model.lm_head.in_features, VOCABULARY)
    with torch.no_grad():
        head.weight.copy_(model.lm_head.weight)
        head.bias.zero_()[0] = 1e3
    model.lm_head = head
    return model


@pytest.mark.parametrize("architecture", EVERY)
def test_continuations_equal_generate(architecture: str) -> None:
    model, prefixes = EVERY[architecture](), random_tokens(5, PREFIX)
    prompt = torch.from_numpy(prefixes)
    expected = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=SUFFIX,
        eos_token_id=None,
        pad_token_id=0,
    )
    np.testing.assert_array_equal(
        greedy_continuations(model, prefixes, SUFFIX, batch_tokens=2 * (PREFIX + SUFFIX)),
        expected[:, PREFIX:],
    )


@pytest.mark.parametrize("architecture", EVERY)
def test_attention_is_of_the_text_that_the_model_writes(architecture: str) -> None:
    model, rows = EVERY[architecture](), random_tokens(5, PREFIX + SUFFIX)
    rows[:4, PREFIX:] = greedy_continuations(model, rows[:4, :PREFIX], SUFFIX)
    (batch,) = extract(model, rows, PREFIX)
    assert batch.extracted.tolist() == [True] * 4 + [False]


def test_token_zero_in_the_prompt_is_attended_to() -> None:
    model, prefixes = gpt_neox(), random_tokens(8, PREFIX)
    prefixes[:, :3] = 0
    written, wanted = greedy_continuations(model, prefixes, 1), []
    for prefix in torch.from_numpy(prefixes):
        wanted.append(model(prefix[None]).logits[0, -1].argmax().item())
    np.testing.assert_array_equal(written[:, 0], wanted)


def test_end_of_text_is_a_token_like_any_other() -> None:
    written = greedy_continuations(favour_end_of_text(gpt_neox()), random_tokens(3, PREFIX), SUFFIX)
    np.testing.assert_array_equal(written, np.zeros((3, SUFFIX)))


def test_end_of_text_can_be_forbidden_as_the_paper_does() -> None:
    model, prefixes = favour_end_of_text(gpt_neox()), random_tokens(3, PREFIX)
    length = PREFIX + SUFFIX
    prompt = torch.from_numpy(prefixes)
    paper = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        min_length=length,
        max_length=length,
        pad_token_id=0,
    )
    written = greedy_continuations(model, prefixes, SUFFIX, forbid_end_of_text=True)
    np.testing.assert_array_equal(written, paper[:, PREFIX:])
    assert (written != 0).all()


def test_forbidding_needs_an_end_of_text_token() -> None:
    model = gpt_neox()
    model.generation_config.eos_token_id = None
    with pytest.raises(EngramError, match="names no end-of-text token"):
        greedy_continuations(model, random_tokens(1, PREFIX), SUFFIX, forbid_end_of_text=True)


@pytest.mark.parametrize("architecture", EVERY)
def test_a_masked_token_is_masked_as_the_paper_does(architecture: str) -> None:
    model, prefixes = EVERY[architecture](), random_tokens(6, PREFIX)
    prefixes[prefixes == 0] = 1
    prefixes[1:4, 2] = prefixes[2:4, 0] = 0  # row 0 has nothing to mask
    prompt = torch.from_numpy(prefixes)
    paper = model.generate(
        prompt,
        attention_mask=(prompt != 0).long(),
        do_sample=False,
        max_new_tokens=SUFFIX,
        eos_token_id=None,
        pad_token_id=0,
    )
    written = greedy_continuations(model, prefixes, SUFFIX, masked_token=0)
    np.testing.assert_array_equal(written, paper[:, PREFIX:])


def test_a_masked_token_counts_for_no_position() -> None:
    """A prompt with masked tokens, the last one too, is continued as the prompt without them."""
    model, whole = gpt_neox(), random_tokens(4, PREFIX + 3)
    whole[whole == 0] = 1
    whole[:, [0, 4]] = 0
    without = np.delete(whole, [0, 4], axis=1)
    wanted = greedy_continuations(model, without, SUFFIX)
    np.testing.assert_array_equal(
        greedy_continuations(model, whole, SUFFIX, masked_token=0), wanted
    )
    assert (greedy_continuations(model, whole, SUFFIX) != wanted).any()


def test_score_is_the_matching_fraction_of_free_decoding(
    model: PreTrainedModel, tokens: np.ndarray
) -> None:
    scores = memorization_scores(model, tokens, PREFIX, batch_tokens=3 * (PREFIX + SUFFIX))
    written = greedy_continuations(model, tokens[:, :PREFIX], SUFFIX)
    np.testing.assert_array_equal(
        scores["memorization_score"], (written == tokens[:, PREFIX:]).mean(1)
    )
    assert scores["memorization_score"][3] == scores["memorization_score"][6] == 1 - 1 / SUFFIX


@pytest.mark.parametrize("seed", range(5))
def test_score_is_one_exactly_where_all_teacher_forced_predictions_match(
    model: PreTrainedModel, seed: int
) -> None:
    windows = random_tokens(12, PREFIX + SUFFIX, seed)
    written = greedy_continuations(model, windows[:, :PREFIX], SUFFIX)
    keep = np.random.default_rng(seed).random(windows[:, PREFIX:].shape) < 0.95
    windows[:, PREFIX:] = np.where(keep, written, windows[:, PREFIX:])
    scores = memorization_scores(model, windows, PREFIX)
    reproduced = (written == windows[:, PREFIX:]).all(1)
    np.testing.assert_array_equal(scores["extracted"], reproduced)
    np.testing.assert_array_equal(scores["memorization_score"] == 1, reproduced)
    np.testing.assert_array_equal(scores["matched_fraction"] == 1, reproduced)
    assert 0 < reproduced.sum() < len(reproduced)


def test_only_rows_that_fail_the_cheap_check_are_decoded(
    model: PreTrainedModel, tokens: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode = generation._decode
    monkeypatch.setattr(
        generation,
        "_decode",
        lambda model, prefix, *rest: (
            decoded.extend(prefix.tolist()) or decode(model, prefix, *rest)
        ),
    )
    memorization_scores(model, tokens, PREFIX)
    np.testing.assert_array_equal(decoded, tokens[3:, :PREFIX])


def test_log_probabilities_and_perplexities_equal_a_plain_loop(
    model: PreTrainedModel, tokens: np.ndarray
) -> None:
    scores = memorization_scores(model, tokens, PREFIX)
    with torch.no_grad():
        log_probabilities = model(torch.from_numpy(tokens)).logits.double().log_softmax(-1).numpy()
    for row, window in enumerate(tokens):
        each = [
            log_probabilities[row, position - 1, window[position]]
            for position in range(1, len(window))
        ]
        prompt, suffix = each[: PREFIX - 1], each[PREFIX - 1 :]
        expected = {
            "suffix_log_prob": np.mean(suffix),
            "prompt_perplexity": np.exp(-np.mean(prompt)),
            "generation_perplexity": np.exp(-np.mean(suffix)),
            "sequence_perplexity": np.exp(-np.mean(each)),
        }
        for column, value in expected.items():
            np.testing.assert_allclose(scores[column][row], value, rtol=1e-4)


def test_all_rows_extracted_needs_no_decoding(model: PreTrainedModel, tokens: np.ndarray) -> None:
    assert memorization_scores(model, tokens[:3], PREFIX)["memorization_score"].eq(1).all()


@pytest.mark.parametrize("row", ["", "0", "1", "0110", "1101111", "1110110", "0000", "11111"])
def test_the_longest_run_is_that_of_the_text(row: str) -> None:
    matches = np.array([[digit == "1" for digit in row]], dtype=bool).reshape(1, len(row))
    assert longest_runs(matches).tolist() == [max(map(len, row.split("0")))]


def test_a_broken_suffix_has_two_runs(model: PreTrainedModel, tokens: np.ndarray) -> None:
    scores = memorization_scores(model, tokens, PREFIX)
    assert scores["longest_match"][:3].tolist() == [SUFFIX] * 3
    # One token changed at the front, where the rest follows from another prefix: at most what
    # stands after it.
    assert scores["longest_match"][3] < SUFFIX
    assert scores["longest_match"][6] == SUFFIX - 1


@pytest.mark.parametrize("per_token", [False, True])
def test_kept_scores_are_not_computed_again(
    model: PreTrainedModel,
    tokens: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    per_token: bool,
) -> None:
    expected = teacher_forced_scores(model, tokens, PREFIX, per_token=per_token)
    batch_tokens, kept = 3 * tokens.shape[1], Kept(tmp_path, "weights")
    teacher_forced_scores(model, tokens, PREFIX, batch_tokens, per_token, kept)
    monkeypatch.setattr(generation, "_teacher_forced", None)
    scores = teacher_forced_scores(model, tokens, PREFIX, batch_tokens, per_token, kept)
    assert list(scores) == list(expected)
    for name in expected:
        np.testing.assert_allclose(
            np.stack(scores[name]), np.stack(expected[name]), rtol=1e-5, err_msg=name
        )
