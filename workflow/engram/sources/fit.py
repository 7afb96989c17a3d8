"""Whether a model, its tokenizer and a table of windows belong together, found without loading any
weights.
"""

from __future__ import annotations

from itertools import dropwhile
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from engram.io.errors import EngramError
from engram.lm.checkpoint import read_config
from engram.lm.inputs import read_opening
from engram.lm.tokens import decode
from engram.sources.checks import Limits

SHOWN = 20
"""Characters at the beginning of a text that its tokens must give back."""


def model_limits(folder: str | Path, window: int) -> Limits:
    """Return the limits of the model in a folder, from its `config.json`.

    Args:
        window: prefix + suffix; with the recorded opening it must fit into the context.

    Raises:
        EngramError: no readable configuration, or a context shorter than the window.
    """
    config = read_config(folder).get_text_config()
    context = getattr(config, "max_position_embeddings", None)
    first = read_opening(folder) or ()
    if isinstance(context, int) and len(first) + window > context:
        special = f" behind {len(first)} special" if first else ""
        raise EngramError(
            f"model {folder}: windows of {window} tokens{special} are longer than its context of "
            f"{context}; lower `prefix` or `suffix`"
        )
    return Limits(str(folder), config.vocab_size, context, first)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, limits: Limits) -> None:
    """Check that a tokenizer can belong to a model.

    Raises:
        EngramError: it knows more tokens than the model has embeddings, added ones (such as one for
            padding) excepted: a window that holds one of these is refused by itself.
    """
    added = set(tokenizer.get_added_vocab().values())
    beyond = [token for token in tokenizer.get_vocab().values() if token >= limits.vocabulary]
    if not added.issuperset(beyond):
        tokens = len(tokenizer)
        raise EngramError(
            f"model {limits.model}: its tokenizer has {tokens} tokens, its embedding "
            f"{limits.vocabulary}; take the model's own tokenizer"
        )


def check_texts(
    tokenizer: PreTrainedTokenizerBase, tokens: list[list[int]], texts: list[str], file: str
) -> None:
    """Check on some rows that the tokens are the texts, as this tokenizer reads them.

    Only the beginnings are compared, without white space, since a window may cut a character and
    the text may have been written by another rule than today's decoding; most rows must agree, not
    all.

    Args:
        tokens: windows (n, T) as lists.
        texts: what the file says that they are.
        file: what the message calls the table.

    Raises:
        EngramError: more than half of the rows begin otherwise: the windows come from another
            tokenizer.
    """
    decoded = decode(tokenizer, tokens)
    # Many tokenizers set a token at the beginning of a sequence, which its text does not show.
    without = [_without_special(tokenizer, row) for row in tokens]
    bare = decode(tokenizer, without)
    agree = [
        _beginning(text) in (_beginning(one), _beginning(other))
        for one, other, text in zip(decoded, bare, texts, strict=True)
    ]
    if sum(agree) * 2 < len(agree):
        row = agree.index(False)
        raise EngramError(
            f"{file}: text and tokens disagree in {len(agree) - sum(agree)} of {len(agree)} rows; "
            f"row {row} begins {texts[row][:SHOWN]!r}, "
            f"its tokens say {decoded[row][:SHOWN]!r}; the tokens belong to another tokenizer"
        )


def _without_special(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> list[int]:
    """Return the tokens behind the special ones that a window begins with."""
    special = set(tokenizer.all_special_ids)
    return list(dropwhile(special.__contains__, tokens))


def _beginning(text: str) -> str:
    """Return the first characters without white space and without the rest of a cut one."""
    return "".join(text.lstrip("\ufffd").split())[:SHOWN]
