"""Forwards that begin at a depth and behind the prefix: the logits of whole ones, on fewer
positions.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, FURTHER, LAYERS, SPECIAL, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.lm import late_forwards
from engram.lm.inputs import begin_with, opening
from engram.lm.late_forwards import Intact, LateForwards, caches_every_position
from engram.lm.models import suffix_logits
from engram.lm.residual_stream import decoder_layers, passing_on, residual_hook, skipping_any

WINDOW, PREFIX, ROWS = 14, 8, 3
EVERY = {**ARCHITECTURES, **SPECIAL, **FURTHER}
WHOLE = ("mamba", "lfm2")
"""Architectures with layers that keep a state of their own."""


def windows() -> torch.Tensor:
    return torch.from_numpy(random_tokens(ROWS, WINDOW))


def forwards_of(model: PreTrainedModel) -> LateForwards:
    with torch.inference_mode():
        return LateForwards(model, PREFIX, range(1, LAYERS + 1), windows()[:1])


def shifts(model: PreTrainedModel) -> torch.Tensor:
    """What is added to the states at the positions that predict the suffix."""
    generator = torch.Generator().manual_seed(1)
    width = model.config.get_text_config().hidden_size
    return 3 * torch.randn(ROWS, WINDOW - PREFIX, width, generator=generator)


@torch.inference_mode()
def whole(model: PreTrainedModel, depth: int) -> torch.Tensor:
    """Logits under the shift of a depth, by forwards over all layers and positions."""
    first, shift = len(opening(model)) + PREFIX - 1, shifts(model)

    def hook(reached: int, hidden: torch.Tensor) -> torch.Tensor | None:
        if reached != depth:
            return None
        moved = hidden[:, first:-1] + shift
        return torch.cat([hidden[:, :first], moved, hidden[:, -1:]], 1)

    with residual_hook(model, hook):
        return suffix_logits(model, windows(), PREFIX)[0]


@torch.inference_mode()
def late(forwards: LateForwards, model: PreTrainedModel, depth: int) -> torch.Tensor:
    """The same by late forwards; two samples share an intact run, the rows are out of order."""
    tokens, order = windows(), torch.tensor([2, 0, 1])
    intact = Intact.joined([forwards.intact(tokens[:2]), forwards.intact(tokens[2:])])
    states = intact.states[depth][order]
    states[:, PREFIX - WINDOW :] += shifts(model)[order]
    return forwards.logits(tokens[order], depth, states, intact, order)[order.argsort()]


@pytest.mark.parametrize("begin", [(), (5,), (5, 7)], ids=["plain", "opening", "two"])
@pytest.mark.parametrize("architecture", EVERY)
def test_logits_are_those_of_whole_forwards(architecture: str, begin: tuple[int, ...]) -> None:
    model = EVERY[architecture]()
    begin_with(model, begin)
    forwards = forwards_of(model)
    assert forwards.first == (0 if architecture in WHOLE else len(begin) + PREFIX - 1)
    for depth in range(1, LAYERS + 1):
        expected = whole(model, depth)
        largest = expected.abs().max()
        torch.testing.assert_close(
            late(forwards, model, depth) / largest, expected / largest, rtol=0, atol=1e-5
        )


def test_only_layers_above_and_positions_of_the_suffix_are_computed() -> None:
    model, computed = gpt_neox(), []
    forwards = forwards_of(model)
    for number, layer in enumerate(decoder_layers(model), start=1):
        layer.mlp.register_forward_hook(
            lambda _module, _inputs, output, number=number: computed.append(
                (number, *output.shape[:2])
            )
        )
    with torch.inference_mode():
        intact = forwards.intact(windows()[:1])
        assert computed == [(number, 1, WINDOW) for number in range(1, LAYERS + 1)]
        computed.clear()
        row = torch.zeros(ROWS, dtype=torch.long)
        forwards.logits(windows(), 2, intact.states[2][row], intact, row)
    assert computed == [(3, ROWS, WINDOW - PREFIX)]


@pytest.mark.parametrize("architecture", WHOLE)
def test_states_that_are_no_keys_are_not_stored(architecture: str) -> None:
    assert not caches_every_position(EVERY[architecture]())
    assert caches_every_position(gpt_neox())


def test_a_cache_that_gives_other_logits_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    update = late_forwards._StoredLayer.update

    def shifted(self: Any, *arguments: Any, **options: Any) -> Any:
        keys, values = update(self, *arguments, **options)
        return keys.roll(1, -2), values

    monkeypatch.setattr(late_forwards._StoredLayer, "update", shifted)
    model = gpt_neox()
    with caplog.at_level(logging.WARNING):
        forwards = forwards_of(model)
    assert forwards.first == 0 and "all positions are computed" in caplog.text
    torch.testing.assert_close(late(forwards, model, 1), whole(model, 1), rtol=1e-4, atol=1e-4)


def test_forwards_of_one_model_begin_at_different_depths() -> None:
    """As those of workers do, which share the switch of all layers."""
    model = gpt_neox()
    switch, states = skipping_any(model), torch.randn(1, WINDOW, 32)

    @torch.inference_mode()
    def logits() -> torch.Tensor:
        return model(windows()[:1], use_cache=False).logits

    def from_depth(depth: int) -> torch.Tensor:
        with passing_on(depth, states, skipping_any(model)):
            return logits()

    with passing_on(LAYERS, states, switch), passing_on(1, states, switch):
        lower = logits()
    assert torch.equal(lower, from_depth(1))
    assert not torch.equal(lower, from_depth(LAYERS))
