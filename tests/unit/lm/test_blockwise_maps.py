"""Blockwise maps: an extraction pools what it would have stored token by token."""

from functools import cache

import numpy as np
import pytest
from tiny_models import ARCHITECTURES, FURTHER, SPECIAL, lengthened, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.spans import Spans
from engram.lm import attention
from engram.lm.attention import Extraction, extract
from engram.lm.inputs import begin_with
from engram.lm.oracle import compare, expect
from engram.lm.row_blocks import WHOLE

EVERY = {**ARCHITECTURES, **SPECIAL, **FURTHER}
POOLED = (
    *("gpt_neox", "llama_grouped", "gemma2_capped_alternating", "gpt_bigcode"),
    *("gptj_no_interface", "bloom_no_interface", "gpt_oss_sinks"),
)


@cache
def model_of(architecture: str) -> PreTrainedModel:
    return lengthened(EVERY[architecture](), 256)


def check_pooled(blocks: Extraction, tokenwise: Extraction, spans: Spans) -> None:
    """Blockwise maps are those of single tokens, pooled afterwards; all else is the same."""
    assert blocks.mean.shape[-1] == spans.packed
    mean, largest = spans.pool(tokenwise.mean, "mean"), spans.pool(tokenwise.max, "max")
    np.testing.assert_allclose(blocks.mean, mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(blocks.max, largest, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(blocks.extracted, tokenwise.extracted)
    np.testing.assert_allclose(blocks.suffix_log_prob, tokenwise.suffix_log_prob, rtol=1e-5)


@pytest.mark.parametrize(("prefix", "suffix"), [(16, 8), (13, 10)])
@pytest.mark.parametrize("block", [2, 4, 7])
@pytest.mark.parametrize("architecture", POOLED)
def test_blocks_are_the_pooled_maps_of_tokens(
    architecture: str, block: int, prefix: int, suffix: int
) -> None:
    model, tokens = model_of(architecture), random_tokens(3, prefix + suffix)
    (tokenwise,) = extract(model, tokens, prefix)
    (blocks,) = extract(model, tokens, prefix, block=block)
    check_pooled(blocks, tokenwise, Spans(0, prefix, suffix, block))


@pytest.mark.parametrize("block", [4, 7, 40])
def test_long_windows_are_reduced_block_of_queries_by_block(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens = model_of("gemma2_capped_alternating"), random_tokens(2, WHOLE + 11)
    (tokenwise,) = extract(model, tokens, WHOLE)
    seen, add = [], attention.PooledMaps.add_block

    def watch(maps: attention.PooledMaps, queries, weights, window: int) -> None:
        seen.append(weights.shape[2])
        add(maps, queries, weights, window)

    monkeypatch.setattr(attention.PooledMaps, "add_block", watch)
    monkeypatch.setattr(attention, "rows_of_block", lambda _window: 24)
    (blocks,) = extract(model, tokens, WHOLE, block=block)
    assert max(seen) <= max(24, block)
    check_pooled(blocks, tokenwise, Spans(0, WHOLE, 11, block))


def test_special_tokens_in_front_keep_their_rows_and_the_oracle_agrees() -> None:
    model, tokens = lengthened(EVERY["llama_grouped"](), 256), random_tokens(1, 17)
    begin_with(model, (1, 2))
    spans = Spans(2, 9, 8, 4)
    (tokenwise,), (blocks,) = extract(model, tokens, 9), extract(model, tokens, 9, block=4)
    check_pooled(blocks, tokenwise, spans)
    np.testing.assert_allclose(blocks.mean[..., :3], tokenwise.mean[..., :3], rtol=1e-6)
    (expected,) = expect(model, tokens, 9, block=4)
    compare(model, expected, blocks, 0)
    blocks.mean[0, 1] = blocks.mean[0, 1, ::-1]
    with pytest.raises(EngramError, match="mean attention of layer 2"):
        compare(model, expected, blocks, 0)
