"""Room for keys and values: the states of transformers' own cache, without its copies."""

import pytest
import torch
from tiny_models import ARCHITECTURES, SPECIAL, gpt_neox, random_tokens
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer

from engram.lm import generation
from engram.lm.generation import greedy_continuations
from engram.lm.reserved_cache import ReservedLayer, reserve

PREFIX, SUFFIX = 6, 5
EVERY = {**ARCHITECTURES, **SPECIAL}


@torch.no_grad()
def logits_of_steps(model: PreTrainedModel, room: int | None) -> list[torch.Tensor]:
    """Logits while a text is read token by token behind a prefix."""
    tokens, cache, logits = torch.from_numpy(random_tokens(3, PREFIX + SUFFIX)), None, []
    for begin, end in [(0, PREFIX), *((at, at + 1) for at in range(PREFIX, PREFIX + SUFFIX))]:
        output = model(tokens[:, begin:end], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        if room is not None and begin == 0:
            reserve(cache, room)
        logits.append(output.logits[:, -1])
    return logits


@pytest.mark.parametrize("architecture", EVERY)
def test_logits_are_those_of_the_cache_that_copies(architecture: str) -> None:
    steps = [logits_of_steps(EVERY[architecture](), room) for room in (None, SUFFIX)]
    torch.testing.assert_close(*steps, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "kinds"),
    [
        ("gpt_neox", [True] * 3),
        ("opt", [True] * 3),
        ("bloom_no_interface", [True] * 3),
        ("gemma2_capped_alternating", [False, True, False]),
    ],
)
def test_room_is_set_aside_in_layers_that_see_everything(
    architecture: str, kinds: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(cache: DynamicCache, more: int) -> None:
        reserve(cache, more)
        seen.append(cache)

    monkeypatch.setattr(generation, "reserve", watched)
    greedy_continuations(EVERY[architecture](), random_tokens(2, PREFIX), SUFFIX)
    (cache,) = seen
    assert [isinstance(layer, ReservedLayer) for layer in cache.layers] == kinds
    assert cache.get_seq_length() == PREFIX + SUFFIX - 1


def test_states_stay_where_they_are() -> None:
    cache, states = DynamicCache(), torch.arange(12.0).reshape(1, 2, 3, 2)
    cache.update(states, -states, 0)
    reserve(cache, 4)
    first, _ = cache.update(states[:, :, :1] + 20, states[:, :, :1], 0)
    last, values = cache.update(states[:, :, :1] + 40, states[:, :, :1], 0)
    assert first.data_ptr() == last.data_ptr()
    expected = torch.cat([states, states[:, :, :1] + 20, states[:, :, :1] + 40], 2)
    assert torch.equal(last, expected)
    assert torch.equal(values[:, :, :3], -states)


def test_other_caches_are_left_alone() -> None:
    reserve(None, 3)
    reserve(((torch.zeros(1), torch.zeros(1)),), 3)
    cache = DynamicCache()
    cache.layers.append(DynamicLayer())
    reserve(cache, 3)
    assert type(cache.layers[0]) is DynamicLayer
    assert greedy_continuations(gpt_neox(), random_tokens(1, PREFIX), 1).shape == (1, 1)
