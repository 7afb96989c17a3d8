"""A language model with its tokenizer: what `engram.load` returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from engram.api.display import html_table
from engram.io.errors import EngramError
from engram.io.settings import Bos
from engram.lm.inputs import (
    begin_with,
    chosen_opening,
    has_opening,
    opening,
    prepended,
    write_opening,
)
from engram.lm.models import load_model, load_tokenizer
from engram.lm.tokens import decode, encoder, refuse_half_characters
from engram.nursery.shipped import NURSERIES, shipped_model, shipped_tokenizer, shipped_windows


@dataclass(frozen=True, repr=False, eq=False)
class LanguageModel:
    """A causal language model and its tokenizer."""

    name: str
    """The repository, folder or shipped name that it was loaded from."""
    model: PreTrainedModel
    """The model, ready for inference."""
    tokenizer: PreTrainedTokenizerBase
    """The model's tokenizer."""
    revision: str | None = None
    """Branch, tag or commit on the hub; None for its main branch, and for folders."""

    def __post_init__(self) -> None:
        """Let the model read what its tokenizer puts in front of a text, unless it was chosen."""
        if not has_opening(self.model):
            begin_with(self.model, chosen_opening(self.tokenizer, "auto"))

    @property
    def opening(self) -> tuple[int, ...]:
        """Special tokens that the model reads in front of every text; see `load`."""
        return opening(self.model)

    @property
    def layers(self) -> int:
        """Number of layers L."""
        return self.model.config.get_text_config().num_hidden_layers

    @property
    def heads(self) -> int:
        """Attention heads per layer."""
        return self.model.config.get_text_config().num_attention_heads

    @property
    def context(self) -> int | None:
        """Longest window in tokens; None where the model names none."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def vocabulary(self) -> int:
        """Number of tokens that the model knows."""
        embeddings: Any = self.model.get_input_embeddings()
        return embeddings.num_embeddings

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.model.device

    @property
    def dtype(self) -> str:
        """The precision that it runs in, such as `float32`."""
        return str(self.model.dtype).removeprefix("torch.")

    @cached_property
    def windows(self) -> pd.DataFrame:
        """The windows that a nursery ships with; see `engram.nursery.shipped.shipped_windows`.

        Raises:
            EngramError: the model is not one of those that ship.
        """
        if self.name not in NURSERIES:
            raise EngramError(
                f"model {self.name}: only {' and '.join(NURSERIES)} ship with windows; bring texts"
            )
        return shipped_windows(self.name, self.tokenizer)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts, without special tokens.

        Raises:
            EngramError: a text holds half a character (a lone surrogate).
        """
        refuse_half_characters(texts, range(len(texts)), "texts")
        return encoder(self.tokenizer)(texts)

    def decode(self, tokens: Any) -> list[str]:
        """Return the texts of windows of tokens (n, T); tokens that the tokenizer lacks leave
        nothing in them.
        """
        return decode(self.tokenizer, np.asarray(tokens))

    def save(self, folder: str | Path) -> Path:
        """Write model and tokenizer to a folder that `load` and studies read, and return it."""
        path = Path(folder)
        with _without_progress():
            self.model.save_pretrained(path)
        self.tokenizer.save_pretrained(path)
        if self.opening != prepended(self.tokenizer):
            write_opening(path, self.opening, bool(self.opening))
        return path

    def _facts(self) -> dict[str, str]:
        weights = self.parameters / 1e6
        return {
            "size": f"{self.layers} layers × {self.heads} heads, {weights:,.1f} M weights",
            "context": f"{self.context:,} tokens" if self.context else "unlimited",
            "vocabulary": f"{self.vocabulary:,} tokens",
            "precision": f"{self.dtype} on {self.device}",
            **self._begins(),
        }

    def _begins(self) -> dict[str, str]:
        """Return what texts begin with; nothing where nothing is put in front of them."""
        names = self.tokenizer.convert_ids_to_tokens(list(self.opening))
        return {"begins with": " ".join(map(str, names))} if names else {}

    def __repr__(self) -> str:
        at = f" at {self.revision}" if self.revision else ""
        facts = "; ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"LanguageModel {self.name}{at}: {facts}"

    def _repr_html_(self) -> str:
        return html_table(f"LanguageModel {self.name}", self._facts())


def load(
    source: str | Path,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: torch.device | str | None = None,
    bos: Bos = "auto",
) -> LanguageModel:
    """Load a causal language model and its tokenizer.

    Code from a checkpoint is never run.

    Args:
        source: a repository on the Hugging Face hub; a folder with `config.json`, safetensors
            weights and a tokenizer; a GGUF file, whose weights are dequantized (extra `gguf`); or
            a model that ships with Engram: `nursery`, drilled by `studies/classes.yaml`, or
            `nursery-base`, its base, which never saw the drilled windows. A folder that has one of
            these names is written `./nursery`.
        revision: branch, tag or commit on the hub; None is its main branch.
        dtype: float32, float16 or bfloat16; `auto` keeps the precision of the checkpoint, and
            runs the models that ship in float32, as the studies do.
        device: where the model runs: `cpu`, `cuda` or `mps` (an Apple GPU); None takes the first
            CUDA GPU, or the processor without one.
        bos: what the model reads in front of every text. `auto` is what its tokenizer puts there:
            nothing for Pythia, a beginning-of-sequence token for Llama and Gemma, which write
            something else without it. In the folder of a study's model it is what the study chose.
            True asks for the token where the tokenizer puts none; False leaves it out.

    Raises:
        EngramError: the model or its tokenizer is missing or cannot be read, or the device is not
            there.
    """
    if str(source) in NURSERIES:
        if revision:
            raise EngramError(f"revision {revision!r}: {source} ships with Engram and has none")
        folder = shipped_model(str(source))
        with _without_progress():
            model = load_model(folder, dtype="float32" if dtype == "auto" else dtype, device=device)
        begin_with(model, chosen_opening(shipped_tokenizer(), bos))
        return LanguageModel(str(source), model, shipped_tokenizer())
    model = load_model(source, revision, dtype, device)
    tokenizer = load_tokenizer(source, revision)
    # For some architectures transformers makes up an empty tokenizer where a folder has none.
    if not tokenizer("Engram", add_special_tokens=False)["input_ids"]:
        raise EngramError(
            f"tokenizer of {source}: it knows no tokens; save the tokenizer in the model's folder"
        )
    if bos != "auto" or not has_opening(model):
        begin_with(model, chosen_opening(tokenizer, bos))
    return LanguageModel(str(source), model, tokenizer, revision)


@contextmanager
def _without_progress() -> Iterator[None]:
    """Keep transformers from drawing progress bars for work of a moment."""
    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def check_language_model(lm: Any) -> None:
    """Refuse what `load` did not return.

    Raises:
        EngramError: it is another kind of object.
    """
    if not isinstance(lm, LanguageModel):
        raise EngramError(
            f"lm: a {type(lm).__name__}; give what engram.load returns, or wrap a model with its "
            f"tokenizer: engram.api.language_model.LanguageModel(name, model, tokenizer)"
        )
