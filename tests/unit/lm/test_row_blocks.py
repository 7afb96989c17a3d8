"""Attention in blocks of queries: the maps of whole windows, without the weights of all heads."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from largest_tensor import Largest
from tiny_models import EVERY, HEADS, WITH_INTERFACE, lengthened, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm import attention
from engram.lm.attention import extract, pooled_attention, pooling_heads
from engram.lm.attention_hook import has_interface
from engram.lm.oracle import attention_modules, compare, expect
from engram.lm.row_blocks import ROWS, WHOLE, can_be_cut, rows_of_block

LONGEST = 512


@cache
def model_of(architecture: str) -> PreTrainedModel:
    return lengthened(EVERY[architecture](), LONGEST)


@torch.no_grad()
def maps(model: PreTrainedModel, window: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and largest attention, in blocks of so many queries, and the states that come out."""
    tokens = torch.from_numpy(random_tokens(1 if window == LONGEST else 2, window))
    with pooling_heads(model, rows=rows) as found:
        states = model.base_model(tokens, use_cache=False)
    return torch.stack([torch.stack(found.mean), torch.stack(found.max)]), states[0]


@pytest.mark.parametrize("window", [64, 65, LONGEST])
@pytest.mark.parametrize("architecture", WITH_INTERFACE)
def test_maps_and_states_are_those_of_whole_windows(architecture: str, window: int) -> None:
    model = model_of(architecture)
    assert has_interface(model)
    expected = maps(model, window, rows=window)
    rows = 200 if window == LONGEST else 24
    for found, whole in zip(maps(model, window, rows), expected, strict=True):
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def test_long_windows_are_cut_and_short_ones_are_not() -> None:
    assert rows_of_block(WHOLE) == WHOLE
    assert rows_of_block(WHOLE + 1) == ROWS


@contextmanager
def in_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(attention, "rows_of_block", lambda _window: rows)
        yield


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma2_capped_alternating", "gpt_bigcode"])
def test_no_tensor_holds_the_weights_of_all_heads(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens, all_heads = model_of(architecture), random_tokens(1, LONGEST), HEADS * LONGEST**2
    with Largest() as blocks:
        list(extract(model, tokens, LONGEST // 2))
    with in_blocks(LONGEST, monkeypatch), Largest() as whole:
        list(extract(model, tokens, LONGEST // 2))
    assert blocks.elements < all_heads / 2
    assert whole.elements >= all_heads


def test_extraction_of_long_windows_agrees_with_transformers() -> None:
    model, tokens = model_of("gemma2_capped_alternating"), random_tokens(1, WHOLE + 8)
    (found,) = extract(model, tokens, WHOLE)
    assert len(attention_modules(model)) == found.mean.shape[1]
    (expected,) = expect(model, tokens, WHOLE)
    compare(model, expected, found, 0)


def test_the_oracle_sees_a_wrong_block(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = model_of("gpt_neox"), random_tokens(1, WHOLE + 8)
    blocks = attention.row_blocks

    def shifted(arguments: tuple[Any, ...], cuts: Any) -> Iterator[Any]:
        query, key, value, mask = arguments
        yield from blocks((query.flip(2), key, value, mask), cuts)

    monkeypatch.setattr(attention, "row_blocks", shifted)
    (found,) = extract(model, tokens, WHOLE)
    (expected,) = expect(model, tokens, WHOLE)
    with pytest.raises(EngramError, match="attention of layer"):
        compare(model, expected, found, 0)


def test_bidirectional_attention_is_refused_in_blocks() -> None:
    model = lengthened(EVERY["llama_grouped"](), LONGEST)
    model.config.is_causal = False
    with pytest.raises(EngramError, match="attends to later tokens"):
        pooled_attention(model, random_tokens(1, WHOLE + 1))


def test_a_mask_that_shows_later_blocks_is_refused() -> None:
    """Keys behind a block are left out, so its weights alone would not show it."""
    window = 2 * ROWS
    mask = torch.full((1, 1, window, window), torch.finfo(torch.float32).min).triu(1)
    mask[..., 0, -1] = 0
    query = torch.zeros(1, 1, window, 2)
    first, second = attention.row_blocks((query, query, query, mask), [(0, ROWS), (ROWS, window)])
    assert first.later
    assert not second.later


def test_arguments_with_a_bias_or_without_a_mask_are_not_cut() -> None:
    query, mask = torch.zeros(1, 2, 8, 4), torch.zeros(1, 1, 8, 8)
    assert can_be_cut((query, query, query, mask), {"scaling": 1.0, "position_ids": mask[0, 0]})
    assert not can_be_cut((query, query, query, None), {})
    assert not can_be_cut((query, query, query, mask.bool()), {})
    assert not can_be_cut((query, query, query, mask[..., :1, :]), {})
    assert not can_be_cut((query, query, query, mask), {"position_bias": mask})
