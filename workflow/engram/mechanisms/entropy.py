"""Entropy of representations: how many directions the states of neighbouring tokens spread over.

(P) Matrix-based entropy of the states Z of a patch of 8 tokens, 2·log tr G − log ‖G‖²_F with
G = ZZᵀ, at every layer (Yu, *Memorization-Compression Cycles Improve Generalization*,
arXiv 2505.08727). It is Rényi's entropy of order 2 of the eigenvalues of G / tr G, in nats: 0 where
the states of a patch are all parallel, log 8 where they are orthogonal and of one length. (U) Its
mean per text, with the patches of the suffix apart, since those of the prefix know nothing of the
suffix; means per class, and differences between two models on the same texts.

The paper's training method GAPT, which lowers this entropy in phases, trains a model. Engram only
measures models, so GAPT is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.finite import check_finite
from engram.lm.inputs import model_input, opening
from engram.lm.kept_batches import Kept, kept_batches
from engram.lm.residual_stream import decoder_layers, residual_hook

PATCH = 8
"""Tokens of a patch (P)."""


@dataclass(frozen=True)
class RepresentationEntropy:
    """Matrix-based entropy of n texts at depths 0 to L, in Q patches of consecutive tokens."""

    patches: np.ndarray
    """Entropy of every patch in nats, 0 … log(tokens of a patch), float32 (n, L + 1, Q)."""
    in_suffix: np.ndarray
    """Whether a patch lies in the suffix as a whole, bool (Q,)."""

    def values(self) -> dict[str, np.ndarray]:
        """Return entropy, the mean over all patches, and suffix_entropy, the mean over those of the
        suffix (NaN where it holds no whole patch), float64 (n, L + 1) each.
        """
        patches = self.patches.astype(np.float64)
        suffix = patches[..., self.in_suffix]
        return {
            "entropy": patches.mean(2),
            "suffix_entropy": (
                suffix.mean(2) if suffix.shape[2] else np.full(patches.shape[:2], np.nan)
            ),
        }


def matrix_entropy(states: torch.Tensor) -> torch.Tensor:
    """Return the matrix-based entropy of states, in nats, (…, k, width) -> (…) float32.

    G is divided by its trace first, which leaves the entropy as it is and keeps float32 exact
    enough: differences of two large logarithms are avoided.

    Args:
        states: of the k tokens of a patch, in any precision.
    """
    rows = states.float()
    gram = rows @ rows.transpose(-1, -2)  # (…, k, k)
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    shares = gram / trace[..., None, None]
    # Rounding must not make the entropy of parallel states negative.
    return -shares.square().sum((-2, -1)).log().clamp(max=0)


def representation_entropy(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    patch: int = PATCH,
    batch_tokens: int = 8192,
    kept: Kept | None = None,
) -> RepresentationEntropy:
    """Measure the entropy of a model's states in every patch of texts, at every depth.

    Patches follow one another from the first token of the text; the model's opening is read and in
    no patch, and tokens at the end that fill no patch are left out.

    Args:
        model: the model.
        tokens: (n, T).
        prefix: tokens of the prompt.
        patch: tokens of a patch.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.
        kept: where finished batches are kept; None keeps none.

    Raises:
        EngramError: a patch of fewer than 2 tokens or of more than the text, a value that is not
            finite, or a model whose layers are not in one list.
    """
    windows = torch.as_tensor(np.asarray(tokens), dtype=torch.long)
    length = windows.shape[1]
    if isinstance(patch, bool) or not isinstance(patch, int) or not 2 <= patch <= length:
        raise EngramError(f"patch: {patch!r}; give a number of tokens, 2 to {length}")
    depths, first = len(decoder_layers(model)) + 1, len(opening(model))
    count = length // patch

    def run(part: slice) -> list[np.ndarray]:
        batch = windows[part].to(model.device)  # (b, T)
        entropies: list[torch.Tensor] = []  # of every depth, (b, Q)

        def measure(_depth: int, hidden: torch.Tensor) -> None:
            states = hidden[:, first : first + count * patch]
            entropies.append(matrix_entropy(states.unflatten(1, (count, patch))))

        with torch.inference_mode(), residual_hook(model, measure):
            read = model_input(model, batch)  # (b, B + T)
            model.base_model(input_ids=read, attention_mask=torch.ones_like(read), use_cache=False)
        stacked = torch.stack(entropies, 1)  # (b, L + 1, Q)
        check_finite(model, stacked, "entropies of hidden states")
        return [stacked.cpu().numpy()]

    parts = [np.empty((0, depths, count), np.float32)]
    rows = max(1, batch_tokens // (first + length))
    batches = kept_batches(run, windows.numpy(), rows, "entropy", model.device, kept)
    parts += [values for _, (values,) in batches]
    starts = np.arange(count) * patch
    return RepresentationEntropy(np.concatenate(parts), starts >= prefix)
