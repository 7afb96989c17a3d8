"""What a model reads: the special tokens that a sequence begins with, then a window's tokens.

Windows are cut from the middle of a text and hold no special tokens. Many models (Llama, Gemma)
were trained on sequences that begin with one, and write something else without it; others (Pythia)
were not. Here is the one place that puts the beginning, the *opening*, in front of windows. Scores,
continuations, attention, hidden states, knock-outs and the check against transformers all read
`model_input`. Prefix and suffix are those of the window everywhere; maps have a row and a column
more for every token of the opening.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from engram.io.artifacts import write_json
from engram.io.errors import EngramError, boundary
from engram.io.settings import Bos
from engram.lm.tokens import plain_backend

RECORD = "opening.json"
"""Where a model's folder says what its sequences begin with."""

_ATTRIBUTE = "_engram_opening"


def begin_with(model: PreTrainedModel, tokens: tuple[int, ...]) -> None:
    """Make everything that a model reads from now on begin with these tokens.

    Raises:
        EngramError: the model does not know one of them.
    """
    embeddings: Any = model.get_input_embeddings()
    vocabulary = embeddings.num_embeddings
    if unknown := [token for token in tokens if not 0 <= token < vocabulary]:
        raise EngramError(
            f"model {model.name_or_path}: its sequences would begin with token {unknown[0]}, which "
            f"is outside its vocabulary of {vocabulary} tokens; set `bos: false`, or take the "
            f"model's own tokenizer"
        )
    setattr(model, _ATTRIBUTE, tuple(tokens))


def has_opening(model: PreTrainedModel) -> bool:
    """Return whether `begin_with` was called, be it with no tokens."""
    return hasattr(model, _ATTRIBUTE)


def opening(model: PreTrainedModel) -> tuple[int, ...]:
    """Return the tokens that everything the model reads begins with; none unless `begin_with` chose
    some.
    """
    return getattr(model, _ATTRIBUTE, ())


def model_input(model: PreTrainedModel, windows: torch.Tensor) -> torch.Tensor:
    """Return what the model reads of windows: (b, T) -> (b, B + T), B the tokens of the opening."""
    tokens = opening(model)
    if not tokens:
        return windows
    first = torch.tensor(tokens, dtype=windows.dtype, device=windows.device)
    return torch.cat([first.expand(len(windows), -1), windows], 1)


def prepended(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the special tokens that a tokenizer puts in front of a text.

    Raises:
        EngramError: it changes a text's own tokens where it adds special ones.
    """
    text = "Engram"
    with boundary(f"tokenizer {tokenizer.name_or_path}: cannot be used", "update it"):
        if isinstance(tokenizer, PreTrainedTokenizerFast):
            whole = plain_backend(tokenizer).encode(text)
            special = [*whole.special_tokens_mask, 0]  # 1: put there, not read from the text
            return tuple(whole.ids[: special.index(0)])
        plain = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        read = list(tokenizer(text)["input_ids"])
    for start in range(len(read) - len(plain) + 1):
        if read[start : start + len(plain)] == plain:
            return tuple(read[:start])
    raise EngramError(
        f"tokenizer {tokenizer.name_or_path}: with special tokens it reads a text differently, so "
        f"what it puts in front cannot be found; set `bos` to true or false"
    )


def chosen_opening(tokenizer: PreTrainedTokenizerBase, bos: Bos) -> tuple[int, ...]:
    """Return the opening of a model.

    Args:
        tokenizer: of the model.
        bos: `auto`: what the tokenizer puts in front of a text; True: the same, and where it puts
            nothing there, its beginning-of-sequence token; False: nothing.

    Raises:
        EngramError: True, and the tokenizer has no such token; or another value.
    """
    if not isinstance(bos, bool) and bos != "auto":
        raise EngramError(f"bos: {bos!r}; choose auto, true or false")
    if bos is False:
        return ()
    if (tokens := prepended(tokenizer)) or bos == "auto":
        return tokens
    if tokenizer.bos_token_id is None:
        raise EngramError(
            f"bos: true, but the tokenizer {tokenizer.name_or_path} names no beginning-of-sequence "
            f"token; set `bos` to auto or false"
        )
    return (tokenizer.bos_token_id,)


def write_opening(folder: Path, tokens: tuple[int, ...], bos: Bos) -> None:
    """Record a model's opening in its folder, where `read_opening` finds it."""
    write_json({"tokens": list(tokens), "bos": bos}, folder / RECORD)


def read_opening(path_or_repo: str | Path) -> tuple[int, ...] | None:
    """Return the opening that a model's folder records; None where it records none.

    Raises:
        EngramError: the record cannot be read.
    """
    path = Path(path_or_repo) / RECORD
    if not path.is_file():
        return None
    with boundary(f"{path}: cannot be read", "delete it, or fetch the model again"):
        return tuple(map(int, json.loads(path.read_text(encoding="utf-8"))["tokens"]))
