"""Forwards that begin late: at a depth, and at the position that predicts the first suffix token.

Where states are changed from that position on only, the positions before it compute what they
compute in the intact model. A causal model needs of them no more than the keys and values of every
layer, as in decoding with a cache. So the intact model runs once per window, and each changed run
computes the layers above the change for the positions that predict the suffix.

Keys and values are those that the architecture itself hands to its cache, and its own code reads
them from there: positions, sliding windows, sinks, biases and grouped queries stay the model's own.
Where a model's cache is not of this kind, or a run from it differs from the whole forward by more
than rounding, changed runs compute all positions.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from engram.lm.generation import ROUNDING
from engram.lm.inputs import model_input, opening
from engram.lm.models import keep_logits, suffix_logits
from engram.lm.residual_stream import decoder_layers, passing_on, residual_hook, skipping_any

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Intact:
    """What late forwards need of the intact model's run over some windows."""

    states: dict[int, torch.Tensor]
    """By depth, (n, R, width): the R positions that late forwards compute, the suffix's S last."""
    prefix: list[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values of all positions before them, (n, G, B + T - 1 - R, d) each, by layer; empty
    where there are none."""

    @staticmethod
    def joined(parts: Sequence[Intact]) -> Intact:
        """Return the runs over several windows as one."""
        if len(parts) == 1:
            return parts[0]
        layers = zip(*(part.prefix for part in parts), strict=True)
        return Intact(
            {depth: torch.cat([part.states[depth] for part in parts]) for depth in parts[0].states},
            [(torch.cat([k for k, _ in of]), torch.cat([v for _, v in of])) for of in layers],
        )


class LateForwards:
    """Runs a model on windows from given depths on."""

    def __init__(
        self, model: PreTrainedModel, prefix: int, depths: Collection[int], window: torch.Tensor
    ) -> None:
        """Find out whether forwards may begin behind the prefix, by a run of one window.

        Args:
            model: the model.
            prefix: tokens of the prompt.
            depths: 1 … L, where forwards will begin.
            window: tokens (1, T).

        Raises:
            EngramError: as `engram.lm.residual_stream.decoder_layers`.
        """
        self._model, self._prefix, self._depths = model, prefix, frozenset(depths)
        self._skipping = skipping_any(model)
        self.first = len(opening(model)) + prefix - 1 if caches_every_position(model) else 0
        """The first position that is computed; 0 where all are."""
        if self.first and not self._agree(window):
            log.warning(
                "%s: forwards from its cache differ from whole ones; all positions are computed",
                type(model).__name__,
            )
            self.first = 0

    def _agree(self, window: torch.Tensor) -> bool:
        """Return whether a late forward of the intact model gives the logits of a whole one."""
        whole, _ = suffix_logits(self._model, window, self._prefix)  # (1, S, V)
        intact, depth = self.intact(window), min(self._depths)
        row = torch.zeros(1, dtype=torch.long, device=window.device)
        late = self.logits(window, depth, intact.states[depth], intact, row)
        unit = torch.finfo(whole.dtype).eps * whole.abs().max()
        # Logits that are no numbers are left to the runs that count.
        return not ((late - whole).abs() > ROUNDING.get(whole.dtype, 64) * unit).any()

    def intact(self, windows: torch.Tensor) -> Intact:
        """Run the intact model on windows (n, T)."""
        read = model_input(self._model, windows)  # (n, B + T)
        states: dict[int, torch.Tensor] = {}

        def keep(depth: int, hidden: torch.Tensor) -> None:
            if depth in self._depths:
                states[depth] = hidden[:, self.first : -1]

        cache: Any = DynamicCache()  # without a config it keeps all positions of sliding windows
        options: dict[str, Any] = {"past_key_values": cache} if self.first else {}
        with residual_hook(self._model, keep):
            self._model.base_model(
                input_ids=read,
                attention_mask=torch.ones_like(read),
                use_cache=bool(self.first),
                **options,
            )
        return Intact(
            states,
            [
                (layer.keys[:, :, : self.first], layer.values[:, :, : self.first])
                for layer in cache.layers
            ],
        )

    def logits(
        self,
        windows: torch.Tensor,
        depth: int,
        states: torch.Tensor,
        intact: Intact,
        row: torch.Tensor,
    ) -> torch.Tensor:
        """Return the logits that predict the suffix where states of a depth are given, (b, S, V) in
        the model's precision.

        Args:
            windows: tokens (b, T).
            depth: 1 … L.
            states: (b, R, width), as those of `Intact`.
            intact: runs over these windows.
            row: (b,), of each window among them.
        """
        read = model_input(self._model, windows)[:, self.first : -1]  # (b, R)
        suffix = windows.shape[1] - self._prefix
        options: dict[str, Any] = {"use_cache": False}
        if self.first:
            layers: list[Any] = [_StoredLayer(*layer, row) for layer in intact.prefix]
            options = {"use_cache": True, "past_key_values": Cache(layers)}
        with passing_on(depth, states, self._skipping):
            output = self._model(
                input_ids=read,
                attention_mask=read.new_ones(len(read), self.first + read.shape[1]),
                **keep_logits(self._model, suffix),
                **options,
            )
        return output.logits[:, -suffix:]


def caches_every_position(model: PreTrainedModel) -> bool:
    """Return whether the cache of every layer of a model is the keys and values of all positions;
    not so where a layer has a recurrent state, or reads the keys of another.
    """
    if model._is_stateful or "past_key_values" not in inspect.signature(model.forward).parameters:
        return False
    kinds = [type(layer) for layer in DynamicCache(config=model.config).layers]
    return len(kinds) == len(decoder_layers(model)) and all(
        kind in (DynamicLayer, DynamicSlidingWindowLayer) for kind in kinds
    )


class _StoredLayer(DynamicLayer):
    """A layer's keys and values of the positions before the forward's first; never changed, so that
    forwards share it.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, row: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = self._stored = keys, values  # (n, G, P, d) each
        self._row = row  # (b,)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of all positions, (b, G, P + R, d) each."""
        keys, values = self._stored
        return (
            torch.cat([keys[self._row], key_states], -2),
            torch.cat([values[self._row], value_states], -2),
        )
