"""The section `series` of the config."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from engram.io.settings import Items, Settings
from engram.taxonomy.settings import TaxonomyName

Score = Annotated[float, Field(gt=0, lt=1)]
"""A memorization score of a suffix that is reproduced in part."""


class SeriesSettings(Settings):
    """Rates against model size (arXiv 2603.21658), where models have a `family`."""

    axis: Literal["parameters", "step"] = "parameters"
    """What rates are compared with: the number of parameters, or the training step of checkpoints
    (`models[].step`), which makes a family the checkpoints of one model."""
    where: str = Field(default="", max_length=500)
    """Windows whose rates are compared: a predicate over columns of the labels, such as
    `exposures > 0`. Empty: all candidates; of the published data, those of `pile_…` splits."""
    taxonomies: Annotated[tuple[TaxonomyName, ...], Items()] = ("Non-Memo, Guess, Others",)
    """Taxonomies whose classes have rates, in addition to the buckets of the score. No CNN is
    trained for them."""
    domain: str = Field(default="", max_length=120)
    """Label column that says what domain a window is of, such as `kind`. Empty: licence, code,
    structured text or prose, by the rules of `engram.windows.domains`."""
    half_low: Score = 0.4
    """Least memorization score of the bucket `half`."""
    half_high: Score = 0.6
    """Greatest memorization score of the bucket `half`."""

    def mistakes(self) -> Iterator[str]:
        """Yield a band that is reversed."""
        if self.half_low > self.half_high:
            yield (
                f"series.half_low: {self.half_low:g} is greater than half_high, "
                f"{self.half_high:g}; exchange them"
            )
