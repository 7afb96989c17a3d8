"""What the text alone gives, and what attention adds to it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_samples import TOKENS, tiny_dataset

from engram.cnn.dataset import Dataset
from engram.cnn.key import CnnKey
from engram.cnn.text_rivals import FUSED, KIND, SCALARS, TEXT, fit_text_rivals, text_features
from engram.cnn.training import TrainedCnn

CLASSES = 3


def dataset(in_text: bool) -> Dataset:
    """Return samples whose suffix repeats one token, two or none by their class, or at random."""
    data = tiny_dataset(300, CLASSES)
    random = np.random.default_rng(3)
    group = data.label if in_text else random.integers(0, CLASSES, len(data))
    tokens = random.integers(100, 10_000, (len(data), TOKENS))
    for row, name in enumerate(group):
        tokens[row, TOKENS // 2 :] = np.resize(np.arange((1, 2, 8)[name]), TOKENS // 2)
    kinds = pd.Series(np.where(group == 0, "natural", "counting"))
    return replace(data, tokens=tokens, features=text_features(tokens, TOKENS // 2, kinds))


def cnn(data: Dataset, knows: bool, seed: int) -> TrainedCnn:
    """Return the predictions of a CNN that is right about the classes, or says nothing."""
    noise = np.random.default_rng(seed).normal(0, 1, (len(data), CLASSES))
    logits = noise + (4 * np.eye(CLASSES)[data.label] if knows else 0)
    rows = np.arange(len(data))
    return TrainedCnn({"w": None}, [], rows, rows, logits.astype(np.float32))  # type: ignore


def accuracies(data: Dataset, knows: bool) -> dict[str, float]:
    trained = {
        CnnKey("attention", "real", "k3", 0): cnn(data, knows, 1),
        CnnKey("attention", "shuffled", "k3", 0): cnn(data, True, 2),
        CnnKey("token_identity", "real", "k3", 0): cnn(data, False, 3),
    }
    rivals = fit_text_rivals(data, "best_epoch", trained)
    result = {}
    for key, rival in rivals.items():
        test = data.split[rival.row] == "test"
        hit = rival.logits[test].argmax(1) == data.label[rival.row[test]]
        result[key.input] = float(hit.mean())
    return result


def test_what_the_text_says_is_found_without_attention() -> None:
    found = accuracies(dataset(in_text=True), knows=False)
    assert found[SCALARS] > 0.95 and found[TEXT] > 0.95
    assert 0.6 < found[KIND] < 0.7  # one bit sets one of three classes apart


@pytest.mark.parametrize("knows", [True, False])
def test_attention_adds_to_the_text_what_it_knows_and_nothing_else(knows: bool) -> None:
    found = accuracies(dataset(in_text=False), knows)
    assert found[TEXT] < 0.5
    assert (found[FUSED] > 0.85) if knows else (found[FUSED] < 0.5)


def test_text_and_attention_are_fitted_on_samples_that_no_cnn_learned_from() -> None:
    data = dataset(in_text=True)
    trained = {CnnKey("attention", "real", "k3", 0): cnn(data, True, 1)}
    rivals = fit_text_rivals(data, "best_epoch", trained)
    for name in (TEXT, FUSED):
        (rival,) = (rival for key, rival in rivals.items() if key.input == name)
        assert set(data.split[rival.row]) == {"validation", "test"}
    # Labels of the training split decide nothing.
    train = data.split == "train"
    other = replace(data, label=np.where(train, (data.label + 1) % CLASSES, data.label))
    again = fit_text_rivals(other, "best_epoch", trained)
    key = CnnKey(FUSED, "real", "k3", 0)
    np.testing.assert_array_equal(rivals[key].logits, again[key].logits)


def test_without_a_validation_split_nothing_is_joined() -> None:
    data = dataset(in_text=True)
    trained = {CnnKey("attention", "real", "k3", 0): cnn(data, True, 1)}
    rivals = fit_text_rivals(data, "all_epochs", trained)
    assert {key.input for key in rivals} == {KIND, SCALARS}
    assert not fit_text_rivals(replace(data, features={}), "best_epoch", trained)


def test_one_kind_of_text_is_no_bit() -> None:
    tokens = np.arange(32).reshape(4, 8)
    assert set(text_features(tokens, 4, pd.Series(["natural"] * 4))) == {SCALARS}
    assert set(text_features(tokens, 4, None)) == {SCALARS}
