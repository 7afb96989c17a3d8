"""The section `knockout` of the config."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from engram.io.settings import Items, Settings

Distance = Annotated[int, Field(ge=0, le=2047)]
"""A distance between query and key, in tokens."""
Band = Annotated[tuple[Distance, ...], Items(2, 2, unique=False)]
"""Least and greatest distance."""


class KnockoutSettings(Settings):
    """Direct localization: attention is removed from the language model, and the loss of extraction
    is measured. Regions are those of the first of `saliency.methods`, chosen on validation samples
    (training samples under a protocol without validation) and measured on test samples."""

    enabled: bool = True
    """Whether knock-outs are part of the study."""
    taxonomies: Annotated[tuple[str, ...], Items(unique=False)] = ()
    """Localized taxonomies whose classes are knocked out. Empty: all that are localized."""
    samples_per_class: int = Field(default=100, ge=2)
    """Most test samples per class on which effects are reported; as many validation samples rank
    layers, heads and distances, and give the means."""
    sizes: Annotated[tuple[Annotated[float, Field(ge=0.003, le=1)], ...], Items(1)] = (0.003, 0.01)
    """Sizes of the regions of largest Δ, as shares of all cells of all layers."""
    draws: int = Field(default=20, ge=1, le=1000)
    """Random regions of equal cell count, and as many of equal attention, that each region is
    compared with."""
    operations: Annotated[tuple[Literal["remove", "mean"], ...], Items(1)] = ("remove", "mean")
    """`remove`: cells are masked before the softmax, heads return 0. `mean`: weights, or a head's
    output, are replaced by their mean over samples."""
    bands: Annotated[tuple[Band, ...], Items(1)] = (
        (0, 0),
        (1, 1),
        (2, 3),
        (4, 7),
        (8, 15),
        (16, 31),
        (32, 127),
        (128, 511),
        (512, 2047),
    )
    """Bands of query-key distance that are removed from all layers: least and greatest distance in
    tokens. Bands beyond the window are left out."""
    curve_points: int = Field(default=8, ge=1)
    """Most points on a curve of layers, heads or bands that are removed one after another."""

    def mistakes(self) -> Iterator[str]:
        """Yield bands from far to near."""
        for band in self.bands:
            if band[0] > band[1]:
                yield (
                    f"knockout.bands: {list(band)} runs from far to near; give the least distance "
                    f"first"
                )
