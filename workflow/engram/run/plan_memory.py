"""What memory the language model's stages will need of a device: part of `snakemake plan`."""

from __future__ import annotations

from engram.io.spans import Spans
from engram.lm.row_blocks import rows_of_block
from engram.run.plan import Shape

HIDDEN = 16
"""Values of hidden states per token and unit of a model's width that are in memory while a layer is
computed: states, queries, keys, values and a feed-forward block four times as wide, twice."""
BYTES = {"float32": 4}
"""Bytes of a value by the config's `dtype`; 2 for all others, `auto` included."""


def memory_gb(
    shape: Shape,
    opening: int,
    window: tuple[int, int],
    batch_tokens: int,
    dtype: str,
    continued: bool,
    block: int = 1,
) -> float:
    """Return the memory that extraction and continuations take at their peak, 10⁹ bytes.

    Weights of the model, and the larger of two batches. Extraction: hidden states, a block of
    softmax weights of all heads (`engram.lm.row_blocks`), the packed maps of all layers, and logits
    of the suffix. Continuations: hidden states of the prefix, and the cache of keys and values.
    Knock-outs, and models whose attention cannot be exchanged (docs/models.md), hold the weights of
    all heads of whole windows and need more. A batch that does not fit is halved automatically, so
    that one sequence must fit.

    Args:
        shape: the model's.
        opening: tokens in front of every window.
        window: tokens of prefix and suffix.
        batch_tokens: `attention.batch_tokens` of the config.
        dtype: of the model, as the config has it.
        continued: whether the model writes continuations.
        block: tokens of a row of the maps.
    """
    prefix, suffix = window
    positions, size = opening + prefix + suffix, BYTES.get(dtype, 2)
    rows = max(1, batch_tokens // (prefix + suffix))
    queries = min(positions, max(rows_of_block(positions), block))
    cells = shape.heads * queries * positions
    extraction = (
        HIDDEN * positions * shape.width * size
        + cells * (2 * size + 4)  # scores, scores with the mask, float32 softmax
        + positions**2 * size  # the mask
        + shape.layers * Spans(opening, prefix, suffix, block).packed * (size + 4)
        + suffix * shape.head_weights // shape.width * size
    )
    continuation = (
        HIDDEN * (opening + prefix) * shape.width * size
        + 2 * positions * shape.layers * (shape.kv_width or shape.width) * size
    )
    batch = max(extraction, continuation if continued else 0)
    return (shape.parameters * size + rows * batch) / 1e9
