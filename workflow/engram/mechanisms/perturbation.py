"""Gaussian noise on the residual stream: what is left of the suffix, and how fast the layers remove
the noise.

(P) Relative noise at the first layer; recovery is the cosine to the clean run, layer by layer.
(U) The noise has a norm of its own, `α·‖h‖` for every token, since the scale of the paper is not
known; several seeds, any depth, suffix log-probabilities.

Greedy decoding under noise gives the suffix exactly if and only if each suffix token is the most
likely one after the true tokens before it, under the same noise: a position keeps its noise, so one
forward shows it (see `engram.lm.interventions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.conditions import MEASURES
from engram.lm.inputs import opening
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.models import suffix_logits, token_scores
from engram.lm.residual_stream import (
    LowerLayers,
    ResidualHook,
    decoder_layers,
    residual_hook,
    run_lower_layers,
    starting_from,
)

SCALES = ("norm", "std")


@dataclass(frozen=True)
class PerturbationSettings:
    """What noise is added, and where."""

    alphas: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    """Strengths of the noise α, 0 or more; 0 is the clean run."""
    seeds: tuple[int, ...] = tuple(range(10))
    """Seeds of the noise, 0 or more."""
    depth: int = 0
    """Where it is added: 0 is what enters the first layer, l what layer l puts out."""
    scale: str = "norm"
    """`norm`: h + α·‖h‖·ε/‖ε‖, noise of exactly α times the token's norm. `std`: h + α·σ(h)·ε, with
    the standard deviation σ over the token's dimensions. ε is standard normal."""

    def check(self, layers: int) -> None:
        """Refuse settings that a model of so many layers cannot follow.

        Raises:
            EngramError: a value is out of range; names it.
        """
        if not self.alphas or not all(np.isfinite(a) and a >= 0 for a in self.alphas):
            raise EngramError(f"alphas: {self.alphas}; give numbers of 0 or more")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise EngramError(f"seeds: {self.seeds}; give different whole numbers of 0 or more")
        if not 0 <= self.depth <= layers:
            raise EngramError(
                f"depth: {self.depth}; the model has 0 (what enters the first layer) to {layers}"
            )
        if self.scale not in SCALES:
            raise EngramError(f"scale: {self.scale!r}; choose {' or '.join(SCALES)}")


@dataclass(frozen=True)
class Perturbed:
    """What noise leaves, of n sequences under A strengths and R seeds."""

    measures: np.ndarray
    """float32 (n, A, R, 3), in the order of `engram.lm.conditions.MEASURES`."""
    recovery: np.ndarray
    """Cosine between noisy and clean hidden states, mean over the window's tokens, float32
    (n, A, R, D): D depths from `settings.depth` on, the first of them right after the noise."""


def draw_noise(tokens: np.ndarray, seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Return the standard normal noise of a sequence, float32 of a shape (B + T, width).

    It depends on the seed and the sequence's tokens alone, not on its company in a batch; all
    strengths and depths share it.
    """
    digest = blake2b(np.ascontiguousarray(tokens, "<i8").tobytes(), digest_size=8).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest)])
    return generator.standard_normal(shape, np.float32)


def add_noise(
    hidden: torch.Tensor, noise: torch.Tensor, alpha: torch.Tensor, scale: str
) -> torch.Tensor:
    """Return hidden states with noise, in their own precision.

    Args:
        hidden: (b, T, width).
        noise: standard normal, float32 (b, T, width).
        alpha: strength of each row, float32 (b,); where it is 0 the row is the former one, bit for
            bit.
        scale: see `PerturbationSettings.scale`.
    """
    strength = alpha[:, None, None]
    states = hidden.float()
    if scale == "norm":
        unit = noise / noise.norm(dim=-1, keepdim=True)
        added = states.norm(dim=-1, keepdim=True) * unit
    else:
        added = states.std(dim=-1, keepdim=True, correction=0) * noise
    return torch.where(strength == 0, hidden, (states + strength * added).to(hidden.dtype))


def perturb(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    settings: PerturbationSettings | None = None,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> Perturbed:
    """Add noise to the residual stream, and measure what the model still reproduces.

    Noise falls on every token that the model reads, its opening included; recovery is the mean over
    the window's own tokens.

    Args:
        model: the model.
        tokens: (n, T); the first `prefix` are the prompt, the others what is to be reproduced.
        prefix: tokens of the prompt.
        settings: the noise.
        batch_tokens: tokens per forward; halved, and halved again, when a GPU runs out of memory.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: settings that the model cannot follow, a logit that is not finite, or a model
            whose layers are not in one list.
    """
    settings = settings or PerturbationSettings()
    layers = len(decoder_layers(model))
    settings.check(layers)
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    n, alphas = len(windows), np.asarray(settings.alphas, np.float32)
    shape = (n, len(settings.seeds), len(alphas))
    rows = max(1, batch_tokens // (len(opening(model)) + windows.shape[1]))
    below = (
        run_lower_layers(model, windows, settings.depth, rows, attention=None)
        if settings.depth and n
        else None
    )
    noisy = np.argwhere(np.broadcast_to(alphas > 0, shape))  # (pairs, 3), sample by sample
    # Without noise at all, a sample has one clean run.
    if not len(noisy):
        noisy = np.argwhere(np.ones((n, 1, 1), bool))
    runs = _Runs(model, windows, prefix, settings, noisy, below)
    measures = np.empty((*shape, len(MEASURES)), np.float32)
    recovery = np.ones((*shape, layers + 1 - settings.depth), np.float32)
    for part, (samples, values, cosines) in kept_batches(
        runs.measure, windows.numpy(), rows, "perturbation", model.device, kept, len(noisy)
    ):
        clean = len(samples)
        silent = np.flatnonzero(alphas == 0)
        for position in silent:
            measures[samples, :, position] = values[:clean, None]
        sample, seed, strength = noisy[part].T
        moved = alphas[strength] > 0
        place = sample[moved], seed[moved], strength[moved]
        measures[place], recovery[place] = values[clean:][moved], cosines[moved]
    return Perturbed(measures.swapaxes(1, 2), recovery.swapaxes(1, 2))


@dataclass(frozen=True)
class _Runs:
    """Noisy runs of samples, each in a batch with the clean run of its sample."""

    model: PreTrainedModel
    windows: torch.Tensor
    """Token ids, (n, T)."""
    prefix: int
    settings: PerturbationSettings
    noisy: np.ndarray
    """Sample, seed and strength of every noisy run, as positions, (pairs, 3)."""
    below: LowerLayers | None
    """What the layers below the noise put out; None where there are none."""

    def measure(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the samples of some noisy runs, (s,); measures of the clean runs of these samples
        and then of the noisy runs, (s + pairs, 3); recovery of the noisy runs, (pairs, depths).
        """
        pairs = self.noisy[part]
        samples, of_clean = np.unique(pairs[:, 0], return_inverse=True)
        row = torch.from_numpy(np.concatenate([samples, pairs[:, 0]]))  # (b,)
        partner = torch.from_numpy(of_clean.reshape(-1)).to(self.model.device)
        cosines: list[torch.Tensor] = []
        batch = self.windows[row].to(self.model.device)  # (b, T)
        with (
            torch.inference_mode(),
            residual_hook(self.model, self._hook(pairs, partner, len(samples), cosines)),
            starting_from(self.below, row),
        ):
            logits, _ = suffix_logits(self.model, batch, self.prefix)
            matches, log_probs = token_scores(self.model, logits, batch[:, self.prefix :])
        measures = (matches.all(1).float(), matches.float().mean(1), log_probs.mean(1))
        return (
            samples,
            torch.stack(measures, 1).cpu().numpy(),
            torch.stack(cosines, 1).cpu().numpy(),
        )

    def _hook(
        self, pairs: np.ndarray, partner: torch.Tensor, clean: int, cosines: list[torch.Tensor]
    ) -> ResidualHook:
        """Return what adds the noise to the rows behind the `clean` first ones, and from there on
        appends the cosine of each noisy row to its clean partner, (pairs,), at every depth.
        """
        first = len(opening(self.model))
        alphas = np.asarray(self.settings.alphas, np.float32)
        alpha = torch.from_numpy(alphas[pairs[:, 2]]).to(self.model.device)

        def hook(depth: int, hidden: torch.Tensor) -> torch.Tensor | None:
            if depth < self.settings.depth:
                return None
            edited = None
            if depth == self.settings.depth:
                noise = _noise(self.windows, pairs, self.settings.seeds, hidden.shape[1:])
                moved = add_noise(
                    hidden[clean:], noise.to(hidden.device), alpha, self.settings.scale
                )
                hidden = edited = torch.cat([hidden[:clean], moved])
            states = hidden[:, first:].float()  # (b, T, width)
            cosines.append(
                cosine_similarity(states[clean:], states[:clean][partner], dim=-1).mean(1)
            )
            return edited

        return hook


def _noise(
    windows: torch.Tensor, pairs: np.ndarray, seeds: tuple[int, ...], shape: torch.Size
) -> torch.Tensor:
    """Return the noise of pairs (sample, seed, strength), float32 (pairs, B + T, width)."""
    drawn: dict[tuple[int, int], torch.Tensor] = {}
    for sample, seed, _ in pairs:
        if (sample, seed) not in drawn:
            drawn[sample, seed] = torch.from_numpy(
                draw_noise(windows[sample].numpy(), seeds[seed], (shape[0], shape[1]))
            )
    return torch.stack([drawn[sample, seed] for sample, seed, _ in pairs])
