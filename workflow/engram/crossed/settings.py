"""The section `crossed` of the config: the analysis of pairs of models with crossed exposures."""

from typing import Annotated, Literal

from pydantic import Field

from engram.io.settings import Items, Settings
from engram.scores.settings import Confidence

CrossedInput = Literal["attention_mean", "attention_max", "suffix_log_prob", "hidden_states"]
"""What differs between the two models on one text."""


class CrossedSettings(Settings):
    """Analysis of pairs of models with crossed exposures (`drilling.design: crossed`)."""

    inputs: Annotated[tuple[CrossedInput, ...], Items(1)] = (
        "attention_mean",
        "attention_max",
        "suffix_log_prob",
        "hidden_states",
    )
    """What the paired scorer is shown of both models."""
    redraws: int = Field(default=1000, ge=19, le=100_000)
    """Times the arms are drawn again for the null distribution of a score."""
    splits: int = Field(default=20, ge=2, le=1000)
    """Random splits of the training and validation clusters over which a region must be stable."""
    bins: int = Field(default=5, ge=2, le=50)
    """Bins of the difference of suffix log-probability within which windows are compared."""
    sizes: Annotated[tuple[Annotated[float, Field(ge=0.003, le=0.5)], ...], Items(1)] = (0.01, 0.05)
    """Shares of all attention cells that are knocked out."""
    draws: int = Field(default=20, ge=2, le=1000)
    """Random regions that a region is compared with."""
    knocked_out_windows: int = Field(default=60, ge=4)
    """Most test windows on which regions are knocked out."""
    confidence: Confidence = 0.95
    """Coverage of the intervals."""
