"""Tuned lens: a logit lens that has learned how the states of a depth differ from the last ones.

The logit lens reads a state as if it were that of the last layer. Where layers turn or shift the
stream, it misreads states that have all that is needed. The tuned lens (Belrose et al., *Eliciting
latent predictions from transformers with the tuned lens*, arXiv 2303.08112) puts an affine map in
between, one per depth: h + A·h + b is read instead of h, with A and b trained to give the model's
own final distribution. Nothing is trained on what follows in the text.

(U) Maps start at 0, which is the logit lens. A quarter of the texts is kept for validation, and
each depth keeps the maps of the step at which its divergence there was least, step 0 included: a
tuned lens never reads validation texts worse than the logit lens."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import kl_div
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.lm.inputs import model_input
from engram.lm.residual_stream import Unembedding, decoder_layers, residual_hook

log = logging.getLogger(__name__)

LOOKS = 10
"""Times per training that the divergence on validation texts is measured."""
VALIDATION = 0.25
"""Share of the texts that only choose the step."""


@dataclass(frozen=True, eq=False)
class TunedLens:
    """Affine maps of the depths 0 to L − 1."""

    weight: torch.Tensor
    """A, float32 (L, width, width)."""
    bias: torch.Tensor
    """b, float32 (L, width)."""
    divergence: np.ndarray
    """KL(final ‖ depth) per token on the validation texts, nats, (L, 2): of the logit lens, and of
    this one."""
    steps: np.ndarray
    """The step that every depth keeps, (L,); 0 is the logit lens."""

    def __call__(self, depth: int, state: torch.Tensor) -> torch.Tensor:
        """Return the states (…, width) of a depth as those of the last one; its own at depth L."""
        if depth == len(self.weight):
            return state
        weight, bias = self.weight[depth].to(state.device), self.bias[depth].to(state.device)
        return translated(state, weight, bias)


def translated(state: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return h + A·h + b, in the precision of h."""
    shift = state.float() @ weight.T + bias
    return state + shift.to(state.dtype)


def fit_tuned_lens(
    model: PreTrainedModel,
    tokens: np.ndarray,
    *,
    steps: int = 200,
    learning_rate: float = 0.001,
    batch_tokens: int = 2048,
    seed: int = 0,
) -> TunedLens:
    """Train the maps of a tuned lens by Adam, on all tokens of texts.

    Args:
        model: the model.
        tokens: (n, T), not the texts that are to be read; n ≥ 4.
        steps: batches of training; 0 gives the logit lens.
        learning_rate: of the first step; it falls to 0 linearly.
        batch_tokens: tokens per step. A step holds the logits of two depths.
        seed: of the order, and of the validation texts.

    Raises:
        EngramError: too few texts, or a model whose layers are not in one list.
    """
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    if len(windows) < 4:
        raise EngramError(f"the tuned lens: {len(windows)} texts to train on; give 4 or more")
    layers, width = len(decoder_layers(model)), model.config.get_text_config().hidden_size
    place = np.argsort(uniform(np.arange(len(windows)), seed, "validation of the tuned lens"))
    kept = max(1, round(VALIDATION * len(windows)))
    known, unseen = windows[np.sort(place[kept:])], windows[np.sort(place[:kept])]
    rows = max(1, batch_tokens // windows.shape[1])
    unembedding = Unembedding(model)
    maps = [  # A and b of every depth
        [torch.zeros(*shape, device=model.device, requires_grad=True) for shape in shapes]
        for shapes in [((width, width), (width,))] * layers
    ]
    optimizer = torch.optim.Adam([tensor for own in maps for tensor in own], lr=learning_rate)

    def divergences(batch: torch.Tensor, learn: bool) -> np.ndarray:
        """Return KL(final ‖ depth) per token of a batch, (L,), and leave gradients if asked."""
        states, final = _states(model, batch)
        found = np.empty(layers)
        for depth, own in enumerate(maps):
            with torch.set_grad_enabled(learn):
                read = unembedding(translated(states[depth], *own)).float().log_softmax(-1)
                loss = kl_div(
                    read.flatten(0, 1), final.flatten(0, 1), reduction="batchmean", log_target=True
                )
            if learn:
                loss.backward(inputs=own)
            found[depth] = loss.detach().item()
        return found

    def on_validation() -> np.ndarray:
        parts = unseen.split(rows)
        sums = [len(part) * divergences(part, learn=False) for part in parts]
        return np.sum(sums, axis=0) / len(unseen)

    def copied(depth: int) -> list[torch.Tensor]:
        return [tensor.detach().clone() for tensor in maps[depth]]

    least = first = on_validation()
    best, step_of = [copied(depth) for depth in range(layers)], np.zeros(layers, int)
    generator, order = np.random.default_rng(seed), np.empty(0, int)
    for step in range(1, steps + 1):
        if len(order) < min(rows, len(known)):
            order = np.concatenate([order, generator.permutation(len(known))])
        chosen, order = order[:rows], order[rows:]
        optimizer.zero_grad()
        divergences(known[chosen], learn=True)
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - (step - 1) / steps)
        optimizer.step()
        if step == steps or step % max(1, steps // LOOKS) == 0:
            now = on_validation()
            for depth in np.flatnonzero(now < least).tolist():
                best[depth], step_of[depth] = copied(depth), step
            least = np.minimum(now, least)
    log.info("tuned lens: KL to the last layer %s, was %s", least.round(3), first.round(3))
    weight, bias = (torch.stack(tensors) for tensors in zip(*best, strict=True))
    return TunedLens(weight, bias, np.stack([first, least], 1), step_of)


def _states(model: PreTrainedModel, batch: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the states of every depth, (b, T, width) each, and the final log-probabilities,
    float32 (b, T, V), of the texts' own tokens.
    """
    states: list[torch.Tensor] = []
    length = batch.shape[1]

    def keep(_depth: int, hidden: torch.Tensor) -> None:
        states.append(hidden[:, -length:].clone())

    batch = batch.to(model.device)
    with torch.no_grad(), residual_hook(model, keep):
        logits = model(input_ids=model_input(model, batch), use_cache=False).logits
    return states, logits[:, -length:].float().log_softmax(-1)
