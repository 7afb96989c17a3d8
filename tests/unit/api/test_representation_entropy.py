"""Entropy by the front door: the numbers of the room, in tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm, tokenizer
from tiny_models import LAYERS, gpt_neox

from engram.api.language_model import LanguageModel
from engram.api.representation_entropy import entropy
from engram.io.errors import EngramError
from engram.mechanisms.entropy import representation_entropy


def texts() -> pd.DataFrame:
    return pd.DataFrame({"tokens": some_tokens(6).tolist(), "class": list("abaabb")})


def test_tables_hold_the_numbers_of_the_room() -> None:
    result = entropy(tiny_lm(), texts(), PREFIX, SUFFIX, patch=4)
    expected = representation_entropy(tiny_lm().model, some_tokens(6), PREFIX, 4).values()
    table = result.table
    assert list(table) == ["row", "class", "depth", "entropy", "suffix_entropy"]
    assert table["depth"].tolist() == [*range(LAYERS + 1)] * 6
    np.testing.assert_allclose(table["entropy"], expected["entropy"].ravel(), atol=1e-5)
    by_class = result.by_class(resamples=100)
    means = table.groupby(["class", "depth"])[["entropy", "suffix_entropy"]].mean()
    np.testing.assert_allclose(by_class["entropy"], means["entropy"])
    np.testing.assert_allclose(by_class["suffix_entropy"], means["suffix_entropy"])
    assert by_class["entropy"].between(by_class["entropy_low"], by_class["entropy_high"]).all()
    assert by_class["n"].tolist() == [3] * 2 * (LAYERS + 1)
    assert repr(result) == "Entropy: 6 texts, depths 0 to 3, patches of 4 tokens"


def test_differences_are_paired() -> None:
    lm, model = tiny_lm(), gpt_neox()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    other = LanguageModel("other", model, tokenizer())
    first, second = (entropy(each, texts(), PREFIX, SUFFIX, patch=4) for each in (lm, other))
    table = first.difference_by_class(second, resamples=100)
    difference = first.table["entropy"] - second.table["entropy"]
    of_class = difference.groupby([first.table["class"], first.table["depth"]]).mean()
    np.testing.assert_allclose(table["entropy_difference"], of_class)
    assert np.abs(table["entropy_difference"]).max() > 1e-3
    none = first.difference_by_class(first, resamples=20)
    assert (none[["entropy_difference_low", "suffix_entropy_difference_high"]] == 0).all(axis=None)
    with pytest.raises(EngramError, match="a paired difference needs the same texts, 6 × 4 × "):
        first.difference_by_class(entropy(lm, texts()[:5], PREFIX, SUFFIX, patch=4))
