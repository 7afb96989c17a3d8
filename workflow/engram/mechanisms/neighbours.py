"""Neighbours of a text: copies in which some tokens are exchanged for ones of like embedding.

(P) Each token is replaced with a probability by one of its nearest tokens, by the cosine of their
embeddings (Cohen, Nemcovsky and Mendelson, *REMIND*, arXiv 2511.04228, who take the embeddings of
GPT-2). (U) The embeddings are the model's own input embeddings, so that any tokenizer will do.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from engram.io.errors import EngramError

QUERIES = 256
"""Tokens that are compared with the vocabulary at a time."""
DECIMALS = 9
"""Of cosines: what differs less is a tie, which goes to the lower token id."""


def nearest_tokens(model: PreTrainedModel, tokens: np.ndarray, count: int) -> np.ndarray:
    """Return the nearest other tokens of each token, by the cosine of the model's input embeddings,
    nearest first.

    Computed in float64, so that it does not depend on which tokens are asked together.

    Args:
        model: the model.
        tokens: different ids, (U,).
        count: nearest tokens of each.

    Returns:
        ids, int64 (U, count).

    Raises:
        EngramError: the vocabulary has not so many other tokens.
    """
    embeddings: Any = model.get_input_embeddings()
    table = normalize(embeddings.weight.detach().double(), dim=1)  # (V, d)
    if not 1 <= count < len(table):
        raise EngramError(
            f"nearest: {count}; the vocabulary of {len(table)} tokens has 1 to {len(table) - 1} "
            f"others for each token"
        )
    results = np.empty((len(tokens), count), np.int64)
    for start in range(0, len(tokens), QUERIES):
        queries = torch.from_numpy(np.asarray(tokens[start : start + QUERIES], np.int64))
        cosines = (table[queries.to(table.device)] @ table.T).round(decimals=DECIMALS)  # (u, V)
        cosines[torch.arange(len(queries)), queries] = -2  # not its own neighbour
        least = cosines.topk(count, dim=1).values[:, -1:]
        near, cosines_near = (cosines >= least).cpu().numpy(), cosines.cpu().numpy()
        for row, chosen in enumerate(near):
            ids = np.flatnonzero(chosen)
            order = np.argsort(-cosines_near[row, ids], kind="stable")
            results[start + row] = ids[order[:count]]
    return results


def draw_neighbours(
    window: np.ndarray, nearest: np.ndarray, count: int, share: float, seed: int
) -> np.ndarray:
    """Return neighbours of a text, int64 (K, T).

    They depend on the seed and the text's tokens alone, not on its company.

    Args:
        window: the text, (T,).
        nearest: tokens that may replace each token of the text, (T, N).
        count: K.
        share: probability with which a token is replaced.
        seed: of the draws.
    """
    digest = blake2b(np.ascontiguousarray(window, "<i8").tobytes(), digest_size=8).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest)])
    replaced = generator.random((count, len(window))) < share
    choice = generator.integers(nearest.shape[1], size=replaced.shape)
    neighbours: np.ndarray = np.where(
        replaced, nearest[np.arange(len(window)), choice], window
    ).astype(np.int64)
    return neighbours
