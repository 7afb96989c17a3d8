"""The way into a model's attention that pooling and knock-outs share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
from tiny_models import LAYERS, gpt_neox, random_tokens
from torch import nn

from engram.io.errors import EngramError
from engram.lm.attention_hook import Attend, attention_hook

WINDOW = 16


def eager_only(
    _layer: int,
    module: nn.Module,
    eager: Attend,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> torch.Tensor:
    return eager(module, *arguments, **options)[0]


def test_a_hook_that_computes_eager_attention_changes_nothing() -> None:
    model, tokens = gpt_neox(), torch.from_numpy(random_tokens(2, WINDOW))
    model.set_attn_implementation("eager")
    with torch.no_grad():
        plain = model(tokens).logits
        with attention_hook(model, eager_only):
            hooked = model(tokens).logits
    assert torch.equal(hooked, plain)


def test_layers_are_numbered_from_the_first() -> None:
    seen = []

    def note(layer: int, *rest: Any) -> torch.Tensor:
        seen.append(layer)
        return eager_only(layer, *rest)

    model = gpt_neox()
    with torch.no_grad(), attention_hook(model, note):
        model(torch.from_numpy(random_tokens(1, WINDOW)))
    assert seen == list(range(LAYERS))


def test_a_forward_that_skips_layers_is_an_error() -> None:
    model = gpt_neox()
    with (
        pytest.raises(EngramError, match=f"0 of its {LAYERS} layers"),
        attention_hook(model, eager_only),
    ):
        pass


def test_threads_have_hooks_of_their_own() -> None:
    together = Barrier(2)

    def zeros_of(thread: int) -> list[int]:
        model, seen = gpt_neox(), []

        def note(layer: int, *rest: Any) -> torch.Tensor:
            together.wait(10)
            seen.append(thread)
            return eager_only(layer, *rest)

        with torch.no_grad(), attention_hook(model, note):
            model(torch.from_numpy(random_tokens(1, WINDOW)))
        return seen

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(zeros_of, range(2))) == [[0] * LAYERS, [1] * LAYERS]
