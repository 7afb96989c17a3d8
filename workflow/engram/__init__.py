"""Engram: how did a language model come to reproduce a piece of its training text?

The front door is this package: `import engram as eg`. Its names are loaded when they are first
used, so that the import itself costs milliseconds.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""Type checkers read it as true; `typing` itself would take longer to import than Engram does."""

if TYPE_CHECKING:
    from typing import Any

    from engram.api.attention import attention
    from engram.api.auditing import audit
    from engram.api.cloze import cloze
    from engram.api.compression import compress
    from engram.api.feed_forward_ablation import ablate_feed_forward
    from engram.api.head_ablation import ablate_heads
    from engram.api.knocking_out import knock_out
    from engram.api.labelling import label
    from engram.api.language_model import load
    from engram.api.locality import attack
    from engram.api.localization import localize
    from engram.api.logit_lens import lens, tune_lens
    from engram.api.loss_landscape import remind
    from engram.api.perturbation import perturb
    from engram.api.representation_entropy import entropy
    from engram.api.steering import steer
    from engram.api.study import open
    from engram.cnn.network import AttentionCNN
    from engram.io.errors import EngramError
    from engram.lm.attention import pooled_attention
    from engram.scores.metrics import class_scores
    from engram.taxonomy.taxonomy import Taxonomy
    from engram.windows.rouge import prefix_suffix_rouge

__version__ = "0.1.0"

__all__ = [
    "AttentionCNN",
    "EngramError",
    "Taxonomy",
    "__version__",
    "ablate_feed_forward",
    "ablate_heads",
    "attack",
    "attention",
    "audit",
    "class_scores",
    "cloze",
    "compress",
    "entropy",
    "knock_out",
    "label",
    "lens",
    "load",
    "localize",
    "open",
    "perturb",
    "pooled_attention",
    "prefix_suffix_rouge",
    "remind",
    "steer",
    "tune_lens",
]

_MODULES = {
    "AttentionCNN": "engram.cnn.network",
    "EngramError": "engram.io.errors",
    "Taxonomy": "engram.taxonomy.taxonomy",
    "ablate_feed_forward": "engram.api.feed_forward_ablation",
    "ablate_heads": "engram.api.head_ablation",
    "attack": "engram.api.locality",
    "attention": "engram.api.attention",
    "audit": "engram.api.auditing",
    "class_scores": "engram.scores.metrics",
    "cloze": "engram.api.cloze",
    "compress": "engram.api.compression",
    "entropy": "engram.api.representation_entropy",
    "knock_out": "engram.api.knocking_out",
    "label": "engram.api.labelling",
    "lens": "engram.api.logit_lens",
    "load": "engram.api.language_model",
    "localize": "engram.api.localization",
    "open": "engram.api.study",
    "perturb": "engram.api.perturbation",
    "pooled_attention": "engram.lm.attention",
    "prefix_suffix_rouge": "engram.windows.rouge",
    "remind": "engram.api.loss_landscape",
    "steer": "engram.api.steering",
    "tune_lens": "engram.api.logit_lens",
}


def __getattr__(name: str) -> Any:
    """Load a name of the front door when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'engram' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the front door."""
    return sorted(__all__)
