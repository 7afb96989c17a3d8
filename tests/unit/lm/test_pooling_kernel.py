"""The kernel that pools attention over heads: equal to eager attention pooled afterwards.

Triton's interpreter runs it on the processor; with TRITON_INTERPRET=0 a GPU does.
"""

import os
from functools import cache

import numpy as np
import pytest
import torch
from largest_tensor import Largest
from tiny_models import EVERY, HEADS, LAYERS, WITH_INTERFACE, lengthened, random_tokens
from transformers import PreTrainedModel

from engram.io.spans import Spans
from engram.lm.attention import extract, pooled_attention, pooling_heads
from engram.lm.fused_pooling import FusedPooling, fused_pooling
from engram.lm.oracle import compare, expect
from engram.lm.row_blocks import WHOLE

DEVICE = torch.device("cpu" if os.environ["TRITON_INTERPRET"] == "1" else "cuda")
pytest.importorskip("triton", reason="the kernel is written with triton, which is not installed")

LONGEST = 512
SINKS = "gpt_oss_sinks"
PLAIN = [name for name in WITH_INTERFACE if name != SINKS]


@cache
def model_of(architecture: str) -> PreTrainedModel:
    return lengthened(EVERY[architecture](), LONGEST).to(DEVICE)


@torch.no_grad()
def maps(
    model: PreTrainedModel,
    window: int,
    fused: FusedPooling | None,
    hidden: int = 0,
    spans: Spans | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and largest attention of two sequences, of one where the interpreter would be slow,
    and the states that come out; the first tokens of the first sequence may be hidden."""
    tokens = torch.from_numpy(random_tokens(1 if window in (65, LONGEST) else 2, window)).to(DEVICE)
    mask = torch.ones_like(tokens)
    mask[0, :hidden] = 0
    with pooling_heads(model, rows=window, spans=spans, fused=fused) as found:
        states = model.base_model(tokens, attention_mask=mask, use_cache=False)
    return torch.stack(found.mean), torch.stack(found.max), states[0]


def assert_kernel_equals_torch(architecture: str, window: int, **options: object) -> None:
    model = model_of(architecture)
    fused = fused_pooling("triton", DEVICE)
    found, expected = maps(model, window, fused, **options), maps(model, window, None, **options)
    for ours, theirs in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-4, atol=1e-4)
    assert fused.layers == dict.fromkeys(range(LAYERS), True)


@pytest.mark.parametrize("window", [64, 65])
@pytest.mark.parametrize("architecture", PLAIN)
def test_maps_and_states_are_those_of_eager_attention(architecture: str, window: int) -> None:
    assert_kernel_equals_torch(architecture, window)


@pytest.mark.parametrize("architecture", ["llama_grouped", "gemma2_capped_alternating"])
def test_long_windows_are_those_of_eager_attention(architecture: str) -> None:
    """Many tiles, most of them hidden where a window slides."""
    assert_kernel_equals_torch(architecture, LONGEST)


@pytest.mark.parametrize("architecture", ["llama_grouped", "mistral_sliding_window"])
def test_sequences_may_have_hidden_tokens(architecture: str) -> None:
    """Those in front of the first one see nothing, so that their weights are uniform: on keys of
    hidden tiles too."""
    assert_kernel_equals_torch(architecture, 97, hidden=40)


def test_blocks_of_tokens_are_pooled_alike() -> None:
    assert_kernel_equals_torch("gpt_neox", 70, spans=Spans(0, 33, 37, 8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_agrees_as_far_as_it_rounds(dtype: torch.dtype) -> None:
    model = lengthened(EVERY["llama_grouped"](), LONGEST).to(DEVICE, dtype)
    found = maps(model, 65, fused_pooling("triton", DEVICE))
    expected = maps(model, 65, None)
    assert [tensor.dtype for tensor in found] == [torch.float32, dtype, dtype]
    for ours, theirs in zip(found[:2], expected[:2], strict=True):
        off = (ours[0].float() - theirs[0].float()).abs()  # the first layer: states are equal
        assert off.max() < 8 * torch.finfo(dtype).eps


def test_sinks_are_left_to_torch() -> None:
    model, tokens = model_of(SINKS), random_tokens(2, 65)
    for ours, theirs in zip(
        pooled_attention(model, tokens, kernel="triton"),
        pooled_attention(model, tokens),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma2_capped_alternating", "gpt_bigcode"])
def test_no_tensor_holds_the_weights_of_all_heads(architecture: str) -> None:
    model, tokens = model_of(architecture), random_tokens(1, LONGEST // 2)
    with Largest() as fused:
        list(extract(model, tokens, LONGEST // 4, kernel="triton"))
    assert fused.elements < HEADS * (LONGEST // 2) ** 2 / 2


def test_extraction_agrees_with_transformers() -> None:
    model, tokens = model_of("gemma2_capped_alternating"), random_tokens(2, WHOLE + 8)
    (found,) = extract(model, tokens, WHOLE, kernel="triton")
    assert found.heads == HEADS
    for row, expected in enumerate(expect(model, tokens, WHOLE)):
        compare(model, expected, found, row)


def test_workers_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = model_of("gpt_neox"), random_tokens(6, 20)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        batches = extract(model, tokens, 10, batch_tokens=40, kernel="triton")
        found.append(np.concatenate([batch.mean for batch in batches]))
    np.testing.assert_array_equal(*found)
