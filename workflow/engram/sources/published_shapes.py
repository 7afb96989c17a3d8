"""Sizes of published models that are known by name, so that a plan needs none of their files.

Nothing is imported that takes time: this is read whenever a plan is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engram.sources.entry import SIZES, hubble_sizes

PYTHIA = re.compile(rf"EleutherAI/pythia-({'|'.join(map(re.escape, SIZES))})(-deduped)?(-v0)?")
"""Repositories of Pythia models; the first group is the size."""


@dataclass(frozen=True)
class PublishedShape:
    """What decides the number of a model's weights, as its config.json has it."""

    kind: str
    """Its `model_type`."""
    layers: int
    width: int
    heads: int
    key_value_heads: int
    feed_forward: int
    """Width of the feed-forward blocks."""
    vocabulary: int
    """Rows of the embedding."""
    tied: bool = False
    """Whether input and output embeddings are one matrix."""


SHAPES = {
    "allenai/OLMo-1B-hf": PublishedShape("olmo", 16, 2048, 16, 16, 8192, 50_304, tied=True),
    "allenai/OLMo-7B-hf": PublishedShape("olmo", 32, 4096, 32, 32, 11_008, 50_304),
    "allenai/OLMo-2-0425-1B": PublishedShape("olmo2", 16, 2048, 16, 16, 8192, 100_352),
    "allenai/OLMo-2-1124-7B": PublishedShape("olmo2", 32, 4096, 32, 32, 11_008, 100_352),
    "allenai/OLMo-2-1124-13B": PublishedShape("olmo2", 40, 5120, 40, 40, 13_824, 100_352),
    "allenai/OLMo-2-0325-32B": PublishedShape("olmo2", 64, 5120, 40, 8, 27_648, 100_352),
    "allenai/Olmo-3-1025-7B": PublishedShape("olmo3", 32, 4096, 32, 32, 11_008, 100_278),
    "allenai/Olmo-3-1125-32B": PublishedShape("olmo3", 64, 5120, 40, 8, 27_648, 100_278),
    "openlm-research/open_llama_3b": PublishedShape("llama", 26, 3200, 32, 32, 8640, 32_000),
    "openlm-research/open_llama_7b": PublishedShape("llama", 32, 4096, 32, 32, 11_008, 32_000),
    "openlm-research/open_llama_13b": PublishedShape("llama", 40, 5120, 40, 40, 13_824, 32_000),
    "bigcode/starcoderbase-1b": PublishedShape(
        "gpt_bigcode", 24, 2048, 16, 1, 8192, 49_152, tied=True
    ),
    "bigcode/starcoderbase-3b": PublishedShape(
        "gpt_bigcode", 36, 2816, 22, 1, 11_264, 49_152, tied=True
    ),
    "bigcode/starcoderbase-7b": PublishedShape(
        "gpt_bigcode", 42, 4096, 32, 1, 16_384, 49_152, tied=True
    ),
}
"""By repository. The totals of weights that follow are those that the repositories state."""


def known_by_name(repository: str) -> bool:
    """Return whether a model's sizes are known without any of its files."""
    return bool(
        repository in SHAPES or PYTHIA.fullmatch(repository) or hubble_sizes(repository) is not None
    )
