"""Attention maps: those of the rooms, unpacked when they are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm
from tiny_models import HEADS, LAYERS, VOCABULARY

from engram.api.attention import AttentionMaps, attention
from engram.io.errors import EngramError
from engram.lm.attention import extract, pooled_attention

TOKENS = some_tokens(6)
WINDOW = PREFIX + SUFFIX


@pytest.fixture(scope="module")
def maps() -> AttentionMaps:
    return attention(tiny_lm(), TOKENS, PREFIX, SUFFIX)


def test_maps_are_those_of_pooled_attention(maps: AttentionMaps) -> None:
    mean, largest = pooled_attention(tiny_lm().model, TOKENS)
    np.testing.assert_array_equal(maps.packed_mean, mean.numpy())
    np.testing.assert_array_equal(maps.packed_max, largest.half().numpy())
    assert (len(maps), maps.layers, maps.window) == (6, LAYERS, WINDOW)


def test_blocks_pool_the_maps_of_tokens(maps: AttentionMaps) -> None:
    blocks = attention(tiny_lm(), TOKENS, PREFIX, SUFFIX, block=3)
    spans = blocks.spans
    np.testing.assert_allclose(blocks.packed_mean, spans.pool(maps.packed_mean, "mean"), atol=1e-6)
    np.testing.assert_allclose(blocks.packed_max, spans.pool(maps.packed_max, "max"), atol=1e-3)
    assert blocks[:2].mean.shape == (2, LAYERS, spans.rows, spans.rows)
    assert blocks.window == WINDOW and blocks.heads(0).shape[-1] == WINDOW
    rows = f"{spans.before_suffix} + {spans.rows - spans.before_suffix} blocks of 3"
    assert rows in repr(blocks)
    assert isinstance(blocks.plot(0), Figure)
    for wrong in (0, True, 2.0):
        with pytest.raises(EngramError, match="give the tokens of a row"):
            attention(tiny_lm(), TOKENS, PREFIX, SUFFIX, block=wrong)


def test_square_maps_are_causal_and_their_rows_sum_to_one(maps: AttentionMaps) -> None:
    assert maps.mean.shape == maps.max.shape == (6, LAYERS, WINDOW, WINDOW)
    assert not np.triu(maps.mean, 1).any() and not np.triu(maps.max, 1).any()
    np.testing.assert_allclose(maps.mean.sum(-1), 1, atol=1e-5)
    assert (maps.max >= maps.mean - 1e-3).all()


def test_heads_pool_to_the_maps(maps: AttentionMaps) -> None:
    for row in (0, -1):
        heads = maps.heads(row)
        assert heads.shape == (LAYERS, HEADS, WINDOW, WINDOW)
        np.testing.assert_allclose(heads.mean(1), maps.mean[row], atol=1e-6)
        np.testing.assert_allclose(heads.max(1), maps.max[row], atol=1e-3)


def test_verification_is_that_of_the_extraction(maps: AttentionMaps) -> None:
    (part,) = extract(tiny_lm().model, TOKENS, PREFIX)
    for name in ("extracted", "matched_fraction", "suffix_log_prob"):
        np.testing.assert_array_equal(maps.verification[name], getattr(part, name))


def test_batches_change_nothing_but_rounding(maps: AttentionMaps) -> None:
    one = attention(tiny_lm(), TOKENS, PREFIX, SUFFIX, batch_tokens=1)
    np.testing.assert_allclose(one.packed_mean, maps.packed_mean, atol=1e-6)


def test_texts_and_tokens_give_the_same_maps(maps: AttentionMaps) -> None:
    texts = pd.Series(tiny_lm().decode(TOKENS), index=list("abcdef"))
    other = attention(tiny_lm(), texts, PREFIX, SUFFIX)
    np.testing.assert_array_equal(other.packed_mean, maps.packed_mean)
    assert list(other.index) == list("abcdef")
    assert other.texts() == texts.tolist()


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        (2, [2]),
        (-1, [5]),
        (slice(1, 3), [1, 2]),
        ([4, 0], [4, 0]),
        (np.arange(6) % 2 == 0, [0, 2, 4]),
        (pd.Series(np.arange(6) > 3), [4, 5]),
    ],
)
def test_some_texts_are_chosen(maps: AttentionMaps, rows: object, chosen: list[int]) -> None:
    some = maps[rows]
    np.testing.assert_array_equal(some.packed_mean, maps.packed_mean[chosen])
    np.testing.assert_array_equal(some.tokens, TOKENS[chosen])
    assert list(some.index) == list(some.verification.index) == chosen


def test_iteration_ends(maps: AttentionMaps) -> None:
    with pytest.raises(EngramError, match="row 6: there are 6 texts, count from 0"):
        maps[6]
    assert [int(one.index[0]) for one in maps] == list(range(6))


def test_maps_say_what_they_are(maps: AttentionMaps) -> None:
    assert repr(maps) == (
        "AttentionMaps: model tiny, texts 6, extracted 0, layers 3, tokens 8 + 8, "
        "memory 0.0 MB, packed"
    )
    assert "<strong>AttentionMaps</strong>" in maps._repr_html_()
    assert maps.nbytes == maps.packed_mean.nbytes + maps.packed_max.nbytes


def test_pictures_are_drawn_in_a_notebook(maps: AttentionMaps) -> None:
    for figure in (maps.plot(), maps.plot(1), maps.plot([0, 5], ["a", "b"]), maps.plot_heads(0)):
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_half_characters_in_names_are_drawn_as_escapes(maps: AttentionMaps) -> None:
    named = replace(maps, index=pd.Index(["half \ud800"] * 6, dtype=object), model="model \ud800")
    for figure in (named.plot(0), named.plot(0, ["\udfff"]), named.plot_heads(0)):
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert "model \\ud800" in named._repr_html_()


def test_maps_without_a_model_have_no_heads(maps: AttentionMaps) -> None:
    alone = replace(maps, lm=None)
    assert isinstance(alone.plot(), Figure)
    for call in (lambda: alone.heads(0), lambda: alone.plot_heads(0), alone.texts):
        with pytest.raises(EngramError, match="the model tiny is not at hand"):
            call()


def test_errors_are_one_line(maps: AttentionMaps) -> None:
    for call, message in (
        (lambda: attention(tiny_lm(), TOKENS), r"row 0 has 16 tokens, prefix \+ suffix need 64"),
        (lambda: attention(tiny_lm(), [[VOCABULARY] * 16], 8, 8), "outside the vocabulary"),
        (lambda: attention("tiny", TOKENS, 8, 8), "lm: a str; give what engram.load returns"),
        (lambda: maps.heads(6), "row 6: there are 6 texts"),
        (lambda: maps.plot([7]), "row 7: there are 6 texts"),
        (lambda: maps.plot([0], ["a", "b"]), "titles: 2 for 1 texts"),
    ):
        with pytest.raises(EngramError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
