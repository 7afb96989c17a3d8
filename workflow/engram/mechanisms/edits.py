"""Edits of the residual stream along one direction, while a model writes a suffix.

An edit changes the state h at one depth, at every position whose next token belongs to the suffix
(the last token of the prefix, and all suffix tokens but the last). It leaves the prefix as it is,
as in decoding with a cache. All edits have one form, h + c(h)·v̂, with

    c(h) = gain·σ(w·h + b) + slope·(h·v̂) + offset

*Steering* has a gain alone: it pushes h along v̂ as far as the probe (w, b) is sure. *Patching* has
the slope −1 and an offset: it sets the component of h along v̂ to the offset.

An edit looks at one position alone, so greedy decoding under it gives the suffix exactly if and
only if each suffix token is the most likely one after the true tokens before it, under the same
edit: one forward shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES
from engram.lm.inputs import opening
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.models import suffix_logits, token_scores
from engram.lm.residual_stream import (
    LowerLayers,
    decoder_layers,
    residual_hook,
    run_lower_layers,
    starting_from,
)


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of the residual stream at one depth; without gain, slope and offset it is none."""

    depth: int
    """1 … L: the output of this layer is changed."""
    vector: np.ndarray
    """v̂, a unit vector, float32 (width,)."""
    weight: np.ndarray
    """w of the probe, float32 (width,)."""
    bias: float = 0.0
    """b of the probe."""
    gain: float = 0.0
    """Step along v̂ where the probe is sure; steering by α is −α."""
    slope: float = 0.0
    """Factor of the component along v̂; −1 removes it."""
    offset: float = 0.0
    """Constant step along v̂."""

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return bool(self.gain or self.slope or self.offset)

    @property
    def decided(self) -> tuple[str, np.ndarray, np.ndarray]:
        """All that decides what it does, for a digest."""
        numbers = (self.depth, self.bias, self.gain, self.slope, self.offset)
        return str(tuple(map(float, numbers))), self.vector, self.weight


class EditRows:
    """The edits of a batch whose rows are under different ones of one depth."""

    def __init__(self, edits: Sequence[Edit], row: np.ndarray, device: torch.device) -> None:
        """Put them on the device.

        Args:
            edits: E of one depth.
            row: the edit of every row, (b,).
            device: of the hidden states.
        """

        def stacked(name: str) -> torch.Tensor:
            values = np.stack([np.asarray(getattr(edit, name), np.float32) for edit in edits])
            return torch.from_numpy(values[row]).to(device)

        self._vector, self._weight = stacked("vector"), stacked("weight")  # (b, width)
        self._scalars = [stacked(name)[:, None] for name in ("bias", "gain", "slope", "offset")]
        changes = np.array([edit.changes for edit in edits])[row]
        self._changes = torch.from_numpy(changes).to(device)[:, None, None]  # (b, 1, 1)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the edited states, (b, S, width) in their own precision; a row whose edit changes
        nothing keeps every bit.
        """
        bias, gain, slope, offset = self._scalars  # (b, 1) each
        states = hidden.float()
        certainty = torch.sigmoid(_along(states, self._weight) + bias)  # (b, S)
        step = gain * certainty + slope * _along(states, self._vector) + offset
        moved = states + step[..., None] * self._vector[:, None]
        return torch.where(self._changes, moved.to(hidden.dtype), hidden)


def _along(states: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Return inner products, (b, S, width) and (b, width) -> (b, S)."""
    return torch.einsum("bsw,bw->bs", states, direction)


def measure_edits(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    edits: Sequence[Edit],
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> np.ndarray:
    """Return what the model reproduces of each sequence under each edit, float32 (n, E, 3), in the
    order of `engram.lm.conditions.MEASURES`.

    Layers below an edit are the intact model, and are computed once per sequence and depth. All
    edits that change nothing share one run of the intact model.

    Args:
        model: the model.
        tokens: (n, T); the first `prefix` are the prompt, the others what is to be reproduced.
        prefix: tokens of the prompt.
        edits: E, of any depths.
        batch_tokens: tokens per forward; halved, and halved again, when a GPU runs out of memory.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: a depth that the model does not have, a vector of another width, a logit that
            is not finite, or as `engram.lm.residual_stream.decoder_layers`.
    """
    layers = len(decoder_layers(model))
    width = model.config.get_text_config().hidden_size
    for edit in edits:
        if not 1 <= edit.depth <= layers:
            raise EngramError(f"depth: {edit.depth}; the model has 1 to {layers}")
        for name in ("vector", "weight"):
            if (shape := getattr(edit, name).shape) != (width,):
                raise EngramError(f"{name}: shape {shape}; the model's states have ({width},)")
    measures = np.empty((len(tokens), len(edits), len(MEASURES)), np.float32)
    if not len(tokens):
        return measures
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    rows = max(1, batch_tokens // (len(opening(model)) + windows.shape[1]))
    levels: dict[int, list[int]] = {}
    for position, edit in enumerate(edits):
        levels.setdefault(edit.depth if edit.changes else 0, []).append(position)
    for depth, chosen in sorted(levels.items()):
        below = run_lower_layers(model, windows, depth, rows, attention=None) if depth else None
        # Without a change, one run serves all.
        level = [edits[position] for position in (chosen if depth else chosen[:1])]
        run = _level(model, windows, prefix, level, depth, below)
        batches = kept_batches(
            run,
            windows.numpy(),
            rows,
            f"edits at depth {depth}",
            model.device,
            kept and kept.also(str(prefix), *(value for edit in level for value in edit.decided)),
            len(level) * len(windows),
        )
        parts = [values for _, (values,) in batches]
        values = np.concatenate(parts).reshape(len(level), len(windows), len(MEASURES))
        measures[:, chosen] = values.swapaxes(0, 1)
    return measures


def _level(
    model: PreTrainedModel,
    windows: torch.Tensor,
    prefix: int,
    edits: list[Edit],
    depth: int,
    below: LowerLayers | None,
) -> Callable[[slice], list[np.ndarray]]:
    """Return what measures a slice of the pairs (edit, sample) of one depth, sample by sample
    within an edit; at depth 0 nothing is edited.
    """
    first = len(opening(model)) + prefix - 1  # the position that predicts the first suffix token

    def run(part: slice) -> list[np.ndarray]:
        edit, sample = np.divmod(np.arange(part.start, part.stop), len(windows))
        samples = torch.from_numpy(sample)
        batch = windows[samples].to(model.device)  # (b, T)
        change = EditRows(edits, edit, model.device)

        def hook(reached: int, hidden: torch.Tensor) -> torch.Tensor | None:
            if not depth or reached != depth:
                return None
            edited = change(hidden[:, first:-1])
            return torch.cat([hidden[:, :first], edited, hidden[:, -1:]], 1)

        with (
            torch.inference_mode(),
            residual_hook(model, hook),
            starting_from(below, samples),
        ):
            logits, _ = suffix_logits(model, batch, prefix)
            matches, log_probabilities = token_scores(model, logits, batch[:, prefix:])
        measures = (matches.all(1).float(), matches.float().mean(1), log_probabilities.mean(1))
        return [torch.stack(measures, 1).cpu().numpy()]

    return run
