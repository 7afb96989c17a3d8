"""The sections `statistics` and `search` of the config."""

from typing import Annotated

from pydantic import Field

from engram.cnn.settings import Features, HeadPooling, Kernel
from engram.io.settings import Items, Seed, Settings

Confidence = Annotated[float, Field(ge=0.5, le=0.999)]
"""Nominal coverage of an interval."""
SearchedCategory = Annotated[str, Field(min_length=3, max_length=80)]
"""A category with its numbers, e.g. `Recite[5]`."""


class StatisticsSettings(Settings):
    """Intervals of the tables."""

    resamples: int = Field(default=2000, ge=100, le=100_000)
    """Bootstrap resamples over content groups."""
    confidence: Confidence = 0.95
    """Coverage of the intervals."""


class SearchSettings(Settings):
    """Search for the taxonomy with the best minimum F1, chosen on validation and tested once
    (protocol `engram`)."""

    categories: Annotated[tuple[SearchedCategory, ...], Items()] = ()
    """Categories that are merged and ordered, e.g. Guess and Recite[5]. Empty: no search."""
    most_classes: int = Field(default=4, ge=3, le=6)
    """Most classes of a candidate, counting Non-Memo and Others."""
    finalists: int = Field(default=3, ge=1, le=100)
    """Candidates for which CNNs are trained."""
    kernels: Annotated[tuple[Kernel, ...], Items(1)] = (6,)
    """Kernel sizes of the search's CNNs."""
    features: Annotated[tuple[Features, ...], Items(1)] = (10,)
    """Numbers of feature maps of the search's CNNs."""
    head_poolings: Annotated[tuple[HeadPooling, ...], Items(1)] = ("mean", "max")
    """Head poolings of the search's CNNs."""
    seeds: Annotated[tuple[Seed, ...], Items(1)] = (0,)
    """Every CNN of the search is trained once per seed."""
