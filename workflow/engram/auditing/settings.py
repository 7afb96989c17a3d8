"""The section `audit` of the config."""

from typing import Annotated

from pydantic import Field

from engram.io.settings import Items, Settings

Probability = Annotated[float, Field(gt=0, lt=1)]
"""A probability that is neither 0 nor 1."""


class AuditSettings(Settings):
    """What of whole documents a model reproduces: tables and the page audit.html. Its models have
    the source `corpus`; `models[].stride` and `models[].candidates` say which windows are scored.
    """

    enabled: bool = False
    """Whether documents are audited. A study that does nothing else needs no `taxonomies`, and
    costs one forward per window."""
    probabilities: Annotated[tuple[Probability, ...], Items(1)] = (0.5, 0.9)
    """For each of these p, the least n for which a window is (n, p)-discoverable: n samples of its
    suffix hold the true one with probability p or more (arXiv 2410.19482)."""
    thresholds: Annotated[tuple[Probability, ...], Items(1)] = (0.001, 0.01, 0.1, 0.5)
    """For each of these probabilities, the share of a document's windows whose p_z is at least that
    (arXiv 2505.12546)."""
    continuation: int = Field(default=200, ge=1, le=4096)
    """Tokens that the model writes on its own from the beginning of a region, as far as its context
    allows."""
    taxonomy: str = "Non-Memo, Guess, Others"
    """The rule that gives reproduced windows their class."""
    megabytes: float = Field(default=50.0, ge=1, le=500)
    """Largest size of the page, in 10⁶ bytes."""
