"""Which layers a kernel pools: those whose eager attention is what it computes, and no others."""

import sys
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, LAYERS, SPECIAL, gpt_neox, lengthened, random_tokens
from torch import nn
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm import attention_hook
from engram.lm.attention import pooled_attention, pooling_heads
from engram.lm.fused_pooling import FusedPooling, Pooled, fused_pooling, is_plain
from engram.lm.row_blocks import WHOLE

WINDOW = 16


def pool_in_torch(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    cap: float | None = None,
) -> Pooled:
    """What the kernel computes."""
    sharing = query.shape[1] // key.shape[1]
    keys, values = key.repeat_interleave(sharing, 1), value.repeat_interleave(sharing, 1)
    scores = query @ keys.transpose(2, 3) * scale
    if cap is not None:
        scores = cap * torch.tanh(scores / cap)
    weights = torch.softmax(scores + mask, 3)
    return (weights @ values).transpose(1, 2), weights.mean(1), weights.amax(1)


@torch.no_grad()
def maps(model: PreTrainedModel, window: int, fused: FusedPooling | None) -> list[torch.Tensor]:
    tokens = torch.from_numpy(random_tokens(2, window))
    with pooling_heads(model, fused=fused) as found:
        states = model.base_model(tokens, use_cache=False)
    return [*found.mean, *found.max, states[0]]


@pytest.mark.parametrize("window", [WINDOW, WHOLE + 8])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "gemma2_capped_alternating"])
def test_plain_layers_are_pooled_by_the_kernel(architecture: str, window: int) -> None:
    model = lengthened({**ARCHITECTURES, **SPECIAL}[architecture](), WHOLE + 8)
    fused = FusedPooling(pool_in_torch)
    for found, expected in zip(maps(model, window, fused), maps(model, window, None), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert fused.layers == dict.fromkeys(range(LAYERS), True)


def test_layers_with_sinks_are_left_to_torch() -> None:
    model, fused = SPECIAL["gpt_oss_sinks"](), FusedPooling(pool_in_torch)
    expected = maps(model, WINDOW, None)
    for found, same in zip(maps(model, WINDOW, fused), expected, strict=True):
        assert torch.equal(found, same)
    assert fused.layers == dict.fromkeys(range(LAYERS), False)


def scaled(scores: float, outputs: float) -> Any:
    """Eager attention of GPT-NeoX, except in the second layer."""
    eager = attention_hook.eager_attention(gpt_neox().gpt_neox.layers[0].attention)

    def changed(module: nn.Module, *arguments: Any, **options: Any) -> Any:
        wrong = module.layer_idx == 1
        options["scaling"] *= scores if wrong else 1.0
        output, weights = eager(module, *arguments, **options)
        return output * (outputs if wrong else 1.0), weights

    return changed


@pytest.mark.parametrize(
    ("scores", "outputs"), [(1.02, 1.0), (1.0, 1.02)], ids=["weights", "outputs"]
)
def test_a_layer_that_computes_something_else_is_left_to_torch(
    monkeypatch: pytest.MonkeyPatch, scores: float, outputs: float
) -> None:
    """Arguments and options look as those of a plain layer."""
    model, fused, changed = gpt_neox(), FusedPooling(pool_in_torch), scaled(scores, outputs)
    monkeypatch.setattr(attention_hook, "eager_attention", lambda _module: changed)
    expected = maps(model, WINDOW, None)
    for found, same in zip(maps(model, WINDOW, fused), expected, strict=True):
        torch.testing.assert_close(found, same, rtol=1e-4, atol=1e-5)
    assert fused.layers == {0: True, 1: False, 2: True}


def test_weights_that_are_no_numbers_are_left_to_torch() -> None:
    def broken(*arguments: Any, **options: Any) -> Pooled:
        output, mean, highest = pool_in_torch(*arguments, **options)
        return output, mean * torch.nan, highest

    fused = FusedPooling(broken)
    maps(gpt_neox(), WINDOW, fused)
    assert fused.layers == dict.fromkeys(range(LAYERS), False)


def test_every_window_but_the_first_is_pooled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are compared on the first sequence alone, in float32."""
    called = []

    def watched(*arguments: Any, **options: Any) -> Pooled:
        called.append((len(arguments[0]), arguments[0].dtype))
        return pool_in_torch(*arguments, **options)

    model, fused = gpt_neox().to(torch.bfloat16), FusedPooling(watched)
    maps(model, WINDOW, fused)
    maps(model, WINDOW, fused)
    batch = (2, torch.bfloat16)
    assert called == LAYERS * [(1, torch.float32), batch] + LAYERS * [batch]


def test_what_the_arguments_show_is_not_tried() -> None:
    query, keys, mask = torch.zeros(1, 4, 8, 4), torch.zeros(1, 2, 8, 4), torch.zeros(1, 1, 8, 8)
    plain, module = (query, keys, keys, mask), nn.Module()
    assert is_plain(module, plain, {"scaling": 1.0, "s_aux": None})
    assert not is_plain(module, plain, {"s_aux": torch.zeros(4)})
    assert not is_plain(module, plain, {"position_bias": mask})
    assert not is_plain(module, (query, keys, keys, mask.expand(1, 4, 8, 8)), {})
    assert not is_plain(module, (query, keys[..., :2], keys, mask), {})
    module.sinks = nn.Parameter(torch.zeros(4))
    assert not is_plain(module, plain, {})


def test_torch_is_the_default_and_needs_nothing() -> None:
    assert fused_pooling("torch", torch.device("cpu")) is None


def test_a_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(EngramError, match="kernel: triton needs a GPU"):
        pooled_attention(gpt_neox(), random_tokens(1, WINDOW), kernel="triton")


def test_missing_triton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "engram.lm.pooling_kernel", raising=False)
    with pytest.raises(EngramError, match=r"needs the package triton \(.*install it"):
        fused_pooling("triton", torch.device("cuda"))
