"""The sections `statistics`, `matched` and `search` of the config."""

from typing import Annotated, Literal

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


NONE, ALL = "none", "all"
"""What samples are matched in, in addition to the name of the first column."""


class ComparedClasses(Settings):
    """Two classes of one taxonomy."""

    taxonomy: str = Field(min_length=3, max_length=200)
    """A taxonomy of the study, e.g. "Non-Memo, Guess, Others"."""
    first: str = Field(max_length=120)
    """One of its classes, e.g. Guess."""
    second: str = Field(max_length=120)
    """Another one, e.g. Others."""


class MatchedSettings(Settings):
    """Matched comparison: how well two classes are distinguished on test samples that are equally
    predictable, with a test of equivalence (protocol `engram`)."""

    pairs: Annotated[tuple[ComparedClasses, ...], Items(unique=False)] = ()
    """The pairs of classes. Empty: no comparison."""
    columns: Annotated[tuple[str, ...], Items(1)] = (
        "suffix_log_prob",
        "mean_token_prob",
        "least_token_log_prob",
        "predictive_entropy",
        "characters",
    )
    """Columns that are matched, by the first alone and by all together: the five of the default,
    which are measured on the text shown, and any numeric column of the labels."""
    exact: Annotated[tuple[str, ...], Items()] = ("kind",)
    """Columns of the labels, as far as they have them, in which the samples of a pair are equal
    where all columns are matched."""
    caliper: float = Field(default=0.05, gt=0, le=1)
    """Largest distance of the samples of a pair, in standard deviations within classes. The classes
    can still differ by as much after matching; a smaller caliper leaves fewer pairs."""
    rival: Literal["predictability", "scalar_features", "text_scalars", "text"] = "predictability"
    """What every input is compared with. `predictability`: a logistic regression on `columns`,
    fitted on the training split."""
    bound: float = Field(default=0.05, gt=0, le=0.05)
    """Largest difference of two scores that counts as none, a fraction."""


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
