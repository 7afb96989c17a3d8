"""Keys and values of a text that is being written, in room that was set aside for all of it.

Transformers' cache appends by copying: to write S tokens behind a prefix, it copies the keys and
values of everything before, S times. Here each token's are written into place. What attention reads
has the same values and shape.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class ReservedLayer(DynamicLayer):
    """One layer of a cache with room for more tokens.

    Args:
        layer: what the cache holds by now.
        more: tokens that will follow.
    """

    def __init__(self, layer: DynamicLayer, more: int) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._room: list[torch.Tensor] = []
        self._seen = layer.get_seq_length()
        kept: tuple[Any, Any] = layer.keys, layer.values
        for states in kept:
            batch, heads, seen, width = states.shape
            room = states.new_empty((batch, heads, seen + more, width))
            room[:, :, :seen] = states
            self._room.append(room)
        self.keys, self.values = self._filled()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states of new tokens, (b, G, new, d) each, and return those of all tokens."""
        begin, self._seen = self._seen, self._seen + key_states.shape[-2]
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, begin : self._seen] = states
        self.keys, self.values = self._filled()
        return self.keys, self.values

    def _filled(self) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (room[:, :, : self._seen] for room in self._room)
        return keys, values


def reserve(cache: Any, more: int) -> None:
    """Set room aside in a cache for tokens that follow; layers that append in another way, those of
    sliding windows for instance, stay as they are.

    Args:
        cache: what a forward returned.
        more: tokens that will follow.
    """
    layers = cache.layers if isinstance(cache, Cache) and hasattr(cache, "layers") else []
    for number, layer in enumerate(layers):
        if type(layer) is DynamicLayer and layer.get_seq_length():
            layers[number] = ReservedLayer(layer, more)
