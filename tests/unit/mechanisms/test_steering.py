"""Steering of classes: recall that lies along one direction is switched off and guesses are kept;
where there is no such direction, nothing is claimed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from slow_steering import slow_steering, steering_of
from tiny_models import LAYERS, gpt_neox, random_tokens
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from engram.io.errors import EngramError
from engram.knockout.experiment import Samples
from engram.lm.generation import greedy_continuations
from engram.mechanisms.edits import measure_edits
from engram.mechanisms.recall_direction import decoding_states
from engram.mechanisms.steering import steer
from engram.mechanisms.steering_results import OTHER_TEXT, SplitTexts, Steered
from engram.mechanisms.steering_settings import SteeringSettings

WINDOW, PREFIX = 14, 8
CLASSES = ["Non-Memo", "Guess", "Recall"]
STATISTICS = {"resamples": 100, "confidence": 0.95, "seed": 3}
SETTINGS = SteeringSettings(recalled="Recall", alphas=(-0.5, 0.5), shuffles=2, places=3)


def samples(seed: int, per_class: int = 6) -> Samples:
    """Random texts, those of the last two classes as the model writes them."""
    label = np.repeat(np.arange(3), per_class)
    tokens = random_tokens(len(label), WINDOW, seed)
    written = greedy_continuations(gpt_neox(), tokens[:, :PREFIX], WINDOW - PREFIX)
    tokens[label > 0, PREFIX:] = written[label > 0]
    return Samples(np.arange(len(label)), np.arange(len(label)), label, tokens)


def texts(**changes: object) -> SplitTexts:
    other = random_tokens(4, WINDOW, 9)
    return SplitTexts(samples(0), samples(1), samples(2), CLASSES, other, **changes)


@cache
def steered() -> Steered:
    return steer(gpt_neox(), texts(), PREFIX, SETTINGS, 40 * WINDOW, seed=4)


def test_every_number_is_that_of_the_slow_implementation() -> None:
    result, model = steered(), gpt_neox()
    assert result.alphas == (-0.5, 0.0, 0.5)
    assert result.kinds == ("probe", *["random"] * 20, *["shuffled"] * 2)
    assert result.measures.shape == (18, 23, 3, 3) and result.other.shape == (4, 23, 3, 3)
    for number in (0, 7, 22):
        direction = result.directions[number]
        for a, alpha in enumerate(result.alphas):
            edit = steering_of(
                direction.depth,
                PREFIX,
                direction.weight,
                direction.bias,
                direction.vector,
                alpha * direction.unit,
            )
            for fast, tokens in (
                (result.measures, result.texts.test.tokens[::5]),
                (result.other, result.texts.other[:1]),
            ):
                np.testing.assert_allclose(
                    fast[:: 5 if len(fast) > 4 else 4, number, a],
                    slow_steering(model, tokens, PREFIX, edit),
                    atol=1e-5,
                )


def test_tables_are_means_of_the_measures() -> None:
    result = steered()
    doses = result.by_class(**STATISTICS)
    assert len(doses) == 4 * 3 * 3
    assert set(doses["class"]) == {*CLASSES, OTHER_TEXT}
    guess = doses[(doses["class"] == "Guess") & (doses["direction"] == "random")]
    expected = result.measures[6:12, 1:21].mean((0, 1))  # (A, 3)
    np.testing.assert_allclose(guess["suffix_log_prob"], expected[:, 2], rtol=1e-5)
    np.testing.assert_allclose(guess["extracted"], expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(guess["perplexity"], np.exp(-expected[:, 2]), rtol=1e-5)
    assert guess["perplexity"].between(guess["perplexity_low"], guess["perplexity_high"]).all()
    assert set(doses.loc[doses["alpha"] == 0].groupby("class")["suffix_log_prob"].nunique()) == {1}
    table = result.selectivity(**STATISTICS)
    assert len(table) == 2 * 3
    row = table[(table["alpha"] == 0.5) & (table["measure"] == "suffix_log_prob")].iloc[0]
    effects = (result.measures - result.measures[:, :, 1:2]).astype(float)[:, :, 2, 2]  # (n, D)
    of_class = effects[12:].mean(0), effects[6:12].mean(0)
    difference = of_class[0] - of_class[1]
    assert row["recalled"] == pytest.approx(of_class[0][0])
    assert row["kept"] == pytest.approx(of_class[1][0])
    assert row["difference"] == pytest.approx(difference[0])
    assert row["random"] == pytest.approx(difference[1:21].mean())
    assert row["random_high"] == pytest.approx(difference[1:21].max())
    as_large = (np.abs(difference[1:21]) >= abs(difference[0])).sum()
    assert row["p_random"] == pytest.approx((1 + as_large) / 21)
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert table.loc[table["chosen"], "alpha"].unique().tolist() == [result.alpha]


def test_the_depth_is_where_the_patch_is_most_selective() -> None:
    result = steered()
    choice, table = result.choice, result.choice.table(**STATISTICS)
    assert choice.recalled_fall.shape == choice.kept_fall.shape == (6, LAYERS)
    assert table["selectivity"].argmax() == choice.depth - 1
    assert table["chosen"].tolist() == [depth == choice.depth for depth in range(1, LAYERS + 1)]
    np.testing.assert_allclose(table["recalled_fall"], choice.recalled_fall.mean(0))
    # Patching the chosen depth by hand gives its falls.
    direction = result.directions[0]
    train = result.texts.train
    states = decoding_states(gpt_neox(), train.tokens[train.label == 1], PREFIX, 3)
    component = (states[:, choice.depth - 1].astype(float) @ direction.vector).mean()
    validation = result.texts.validation
    rows = validation.tokens[validation.label == 2]
    measures = measure_edits(
        gpt_neox(), rows, PREFIX, [direction.steer(0), direction.patch(component)]
    )[..., 2]
    np.testing.assert_allclose(
        measures[:, 0] - measures[:, 1], choice.recalled_fall[:, choice.depth - 1], atol=1e-5
    )
    fixed = steer(gpt_neox(), texts(), PREFIX, SETTINGS.replace(depth=1, draws=20), seed=4)
    assert fixed.choice.depth == fixed.directions[-1].depth == 1


MARK, WORDS, ROOM = 3, 16, 20
"""The first token of every planted recalled text; tokens and positions of the planted model."""
CARRIED = WORDS + ROOM
"""The dimension of the stream that carries the mark."""


def planted_model() -> PreTrainedModel:
    """A GPT-2 made by hand that writes the successor of the current token in a cycle, or its
    predecessor where the text begins with the mark. The first layer's head carries the mark to all
    positions along one dimension of the stream; without it, recalled texts go on as guessed ones.
    """
    words = WORDS
    config = GPT2Config(
        vocab_size=words,
        n_positions=ROOM,
        n_embd=48,
        n_layer=2,
        n_head=1,
        n_inner=2 * words,
        activation_function="relu",
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ln" not in name:
                parameter.zero_()
        model.transformer.wte.weight[:, :words] = torch.eye(words) * 4
        model.transformer.wpe.weight[:, words : words + ROOM] = torch.eye(ROOM)
        first = model.transformer.h[0].attn
        _, key, value = first.c_attn.weight.chunk(3, 1)
        # Every position looks at position 0, and takes whether the mark is there.
        key[words, 0] = 30
        first.c_attn.bias[0] = 30
        value[MARK, 1] = 1
        first.c_proj.weight[1, CARRIED] = 0.6
        mlp = model.transformer.h[1].mlp
        for word in range(words):
            # Unit `word` fires without the mark, unit `words + word` with it.
            mlp.c_fc.weight[word, word] = 1
            mlp.c_fc.weight[CARRIED, word] = -2
            mlp.c_fc.weight[word, words + word] = 1
            mlp.c_fc.weight[CARRIED, words + word] = 2
            mlp.c_fc.bias[word] = -1
            mlp.c_fc.bias[words + word] = -11
            mlp.c_proj.weight[word, (word + 1) % words] = 20
            mlp.c_proj.weight[words + word, (word - 1) % words] = 20
        model.lm_head.weight[:, :words] = torch.eye(words) * 8
    return model


def planted_samples(seed: int, marked: bool = True) -> Samples:
    """Texts that the planted model writes: 12 guessed and 12 recalled ones."""
    random, rows = np.random.default_rng(seed), []
    for row in range(24):
        step = 1 if row < 12 else -1
        tokens = random.integers(4, 16, PREFIX).tolist()
        tokens[0] = MARK if step == -1 and marked else int(random.integers(4, 16))
        while len(tokens) < WINDOW:
            tokens.append((tokens[-1] + step) % 16)
        rows.append(tokens)
    return Samples(np.arange(24), np.arange(24), np.repeat([0, 1], 12), np.array(rows))


def planted_texts() -> SplitTexts:
    other = planted_samples(7).tokens[:12]
    parts = (planted_samples(seed) for seed in (1, 2, 3))
    return SplitTexts(*parts, ["Guess", "Recall"], other)


def test_recall_along_one_direction_is_switched_off_and_guesses_are_kept() -> None:
    model = planted_model()
    settings = SteeringSettings(
        recalled="Recall", alphas=(-0.5, 0.25, 0.5, 0.75), places=6, shuffles=2
    )
    result = steer(model, planted_texts(), PREFIX, settings, seed=1)
    doses = result.by_class(**STATISTICS).set_index(["class", "direction", "alpha"])["extracted"]
    assert doses["Recall", "probe", 0.0] == doses["Guess", "probe", 0.0] == 1
    assert result.choice.depth == 1 and result.alpha == 0.5
    assert result.directions[0].vector[CARRIED] > 0.9
    assert doses["Recall", "probe", 0.5] <= 0.1
    assert doses["Guess", "probe", 0.5] >= 0.9
    assert doses["Recall", "random", 0.5] >= 0.9
    table = result.selectivity(**STATISTICS)
    row = table[table["chosen"] & (table["measure"] == "extracted")].iloc[0]
    assert row["selective"] and row["difference_high"] < -0.8
    assert row["p_random"] == pytest.approx(1 / 21)


def test_classes_at_random_are_not_selective() -> None:
    parts = []
    for seed in (1, 2, 3):
        part = planted_samples(seed)
        label = np.random.default_rng(seed).permutation(part.label)
        parts.append(Samples(part.sequence_id, part.content_group, label, part.tokens))
    mixed = SplitTexts(*parts, ["Guess", "Recall"], np.empty((0, WINDOW), np.int64))
    settings = SteeringSettings(recalled="Recall", alphas=(0.25, 0.5), places=6, shuffles=1)
    table = steer(planted_model(), mixed, PREFIX, settings, seed=1).selectivity(**STATISTICS)
    assert not table["selective"].any()


def test_what_is_not_there_is_refused() -> None:
    for settings, message in (
        (SteeringSettings(recalled="Recite"), "steering: no class 'Recite' among Non-Memo, Guess"),
        (SteeringSettings(recalled="Recall", depth=9), r"steering\.depth: 9; the model has 1 to 3"),
    ):
        with pytest.raises(EngramError, match=message):
            steer(gpt_neox(), texts(), PREFIX, settings)
    with pytest.raises(
        EngramError, match=r"mechanisms\.steering\.kept: `Others` is also `recalled`"
    ):
        SteeringSettings.parse({"kept": "Others"}, "mechanisms.steering")


def test_the_plan_counts_no_fewer_forwards_than_are_made() -> None:
    model, positions = gpt_neox(), []
    model.base_model.register_forward_hook(
        lambda _module, _inputs, output: positions.append(output.last_hidden_state[..., 0].numel())
    )
    settings = SETTINGS.replace(samples_per_class=6, other_texts=4)
    steer(model, texts(), PREFIX, settings)
    share = (WINDOW - PREFIX) / WINDOW
    made, planned = sum(positions) / WINDOW, settings.forwards(len(CLASSES), LAYERS, share)
    assert made <= planned < 2 * made
