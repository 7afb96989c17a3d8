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

As an edit leaves the layers below it and the prefix alone, both are computed once per sample for
all edits of all depths (`engram.lm.late_forwards`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES
from engram.lm.inputs import opening
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.late_forwards import Intact, LateForwards
from engram.lm.models import suffix_logits, token_scores
from engram.lm.residual_stream import decoder_layers

Run = Callable[[slice], list[np.ndarray]]
"""From a slice of samples, or of pairs of sample and edit, to their measures, float32 (b, 3)."""
REMEMBERED = 8
"""Samples whose intact runs are kept for the next batches: those of one sample may be several."""


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

    All edits that change nothing share one run of the intact model.

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
    changing = [position for position, edit in enumerate(edits) if edit.changes]
    changing.sort(key=lambda position: edits[position].depth)
    unchanging = [position for position, edit in enumerate(edits) if not edit.changes]

    def measured(run: Run, label: str, chosen: list[Edit]) -> np.ndarray:
        pairs = max(1, len(chosen)) * len(windows)
        decided = (str(prefix), *(value for edit in chosen for value in edit.decided))
        batches = kept_batches(
            run, windows.numpy(), rows, label, model.device, kept and kept.also(*decided), pairs
        )
        values = np.concatenate([part for _, (part,) in batches])
        return values.reshape(len(windows), -1, len(MEASURES))

    if unchanging:
        run = _intact_runs(model, windows, prefix)
        measures[:, unchanging] = measured(run, "intact runs", [])
    if changing:
        chosen = [edits[position] for position in changing]
        run = _edited_runs(model, windows, prefix, chosen)
        measures[:, changing] = measured(run, "edited runs", chosen)
    return measures


def _intact_runs(model: PreTrainedModel, windows: torch.Tensor, prefix: int) -> Run:
    """Return what measures a slice of the samples without an edit."""

    @torch.inference_mode()
    def run(part: slice) -> list[np.ndarray]:
        batch = windows[part].to(model.device)  # (b, T)
        return [_measures(model, suffix_logits(model, batch, prefix)[0], batch[:, prefix:])]

    return run


def _edited_runs(
    model: PreTrainedModel, windows: torch.Tensor, prefix: int, edits: list[Edit]
) -> Run:
    """Return what measures a slice of the pairs (sample, edit), edit by edit within a sample; the
    edits are sorted by depth.
    """
    depths = np.array([edit.depth for edit in edits])
    suffix = windows.shape[1] - prefix
    with torch.inference_mode():
        forwards = LateForwards(model, prefix, set(depths.tolist()), windows[:1].to(model.device))

    # A run of one sample at a time has the same bits in whichever batch it is needed.
    @lru_cache(REMEMBERED)
    def intact_run(sample: int) -> Intact:
        return forwards.intact(windows[sample : sample + 1].to(model.device))

    @torch.inference_mode()
    def run(part: slice) -> list[np.ndarray]:
        sample, edit = np.divmod(np.arange(part.start, part.stop), len(edits))
        samples, row = np.unique(sample, return_inverse=True)
        intact = Intact.joined([intact_run(int(number)) for number in samples])
        measures = np.empty((len(sample), len(MEASURES)), np.float32)
        for depth in np.unique(depths[edit]).tolist():
            pairs = depths[edit] == depth
            rows = torch.from_numpy(row[pairs]).to(model.device)  # (b,)
            batch = windows[torch.from_numpy(sample[pairs])].to(model.device)  # (b, T)
            states = intact.states[depth][rows]  # (b, R, width)
            change = EditRows(edits, edit[pairs], model.device)
            states[:, -suffix:] = change(states[:, -suffix:])
            logits = forwards.logits(batch, depth, states, intact, rows)  # (b, S, V)
            measures[pairs] = _measures(model, logits, batch[:, prefix:])
        return [measures]

    return run


def _measures(model: PreTrainedModel, logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """Return what is reproduced of suffixes (b, S) where the logits (b, S, V) predict them, float32
    (b, 3).
    """
    matches, log_probabilities = token_scores(model, logits, targets)  # (b, S) each
    measures = (matches.all(1).float(), matches.float().mean(1), log_probabilities.mean(1))
    return torch.stack(measures, 1).cpu().numpy()
