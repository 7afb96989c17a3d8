"""A byte-level BPE tokenizer with single-token digits, and the words of the template writer."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Return byte-level BPE of `vocabulary` tokens; every digit is its own token, so that counting
    is learnable.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT
    )


def template_words(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Return the vocabulary's purely alphabetic pieces of three letters and more, sorted: building
    blocks of template text.
    """
    pieces = (str(tokenizer.decode([token])).strip() for token in range(len(tokenizer)))
    return sorted(
        {piece for piece in pieces if len(piece) >= 3 and piece.isascii() and piece.isalpha()}
    )
