"""Small models made by hand whose recall runs through one head, or is also left elsewhere.

A recalled text repeats its prefix as its suffix. Head (1, 1) looks from every position that
predicts a suffix token at the token of the prefix that belongs there, and writes it. Without it,
the model repeats the current token. In the *spread* model, head (1, 2) does the same with a faint
trace that every token's embedding has; alone, it is too weak to write the suffix.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

WORDS, PLANTED_PREFIX, SIZE = 12, 6, 20
"""Tokens, tokens of prefix and of suffix, size of a head."""
PLANTED_WINDOW = 2 * PLANTED_PREFIX
TRACE = 0.35
"""How much of the trace embeddings have; about half as much again would be enough."""


def recalling_model(spread: bool) -> PreTrainedModel:
    """A GPT-2 with one layer and two heads."""
    torch.manual_seed(0)
    room, width = PLANTED_WINDOW + 2, 2 * SIZE
    config = GPT2Config(
        vocab_size=WORDS,
        n_positions=room,
        n_embd=width,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    model = GPT2LMHeadModel(config).eval()
    words, places = range(WORDS), range(WORDS, WORDS + room)
    traces = range(WORDS + room, WORDS + room + WORDS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ln" not in name:
                parameter.zero_()
        model.transformer.wte.weight[:, : words.stop] = torch.eye(WORDS)
        model.transformer.wte.weight[:, traces.start : traces.stop] = TRACE * torch.eye(WORDS)
        model.transformer.wpe.weight[:, places.start : places.stop] = torch.eye(room)
        attention = model.transformer.h[0].attn
        query, key, value = attention.c_attn.weight.chunk(3, 1)
        for head, read, strength in ((0, words, 1.0), (1, traces, 0.5 if spread else 0.0)):
            first = head * SIZE
            for position in range(PLANTED_WINDOW):
                key[places[position], first + position] = 5
                if position >= PLANTED_PREFIX - 1:
                    query[places[position], first + position - PLANTED_PREFIX + 1] = 5
            for word in words:
                value[read[word], first + word] = 1
                attention.c_proj.weight[first + word, word] = strength
        model.lm_head.weight[:, : words.stop] = 4 * torch.eye(WORDS)
    return model


def planted_windows(rows: int, seed: int, recalled: bool) -> np.ndarray:
    """Windows (rows, 12): their suffix is their own prefix, or that of another window."""
    random = np.random.default_rng(seed)
    prefixes = np.array([random.permutation(WORDS)[:PLANTED_PREFIX] for _ in range(rows)])
    others = np.array([random.permutation(WORDS)[:PLANTED_PREFIX] for _ in range(rows)])
    return np.concatenate([prefixes, prefixes if recalled else others], 1)
