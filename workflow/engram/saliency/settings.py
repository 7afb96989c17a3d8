"""The section `saliency` of the config: how attention is localized."""

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field

from engram.io.settings import Items, Seed, Settings
from engram.scores.settings import Confidence

Method = Literal["guided", "gradient", "integrated_gradients", "gradcam"]
METHODS: tuple[str, ...] = get_args(Method)


class ShownLayer(Settings):
    """The layer whose Δ the figure `delta_peaks` shows of a class."""

    name: str = Field(min_length=1, max_length=200)
    """The class, e.g. `Guess`."""
    layer: int = Field(ge=1)
    """Its layer, counted from 1."""


class SaliencySettings(Settings):
    """Localization: which attention, in which layer, speaks for a class."""

    methods: Annotated[tuple[Method, ...], Items(1)] = ("guided",)
    """`guided`: guided backpropagation as the paper describes it. `gradient`: the plain gradient,
    which the paper's code computed. `integrated_gradients`. `gradcam`, which has no layer axis. The
    main figures show the first."""
    samples_per_class: int = Field(default=200, ge=1)
    """Most held-out samples per class that Δ is averaged over."""
    checks: bool = True
    """Whether Δ is checked against randomized CNNs, between CNNs, and by removing its cells."""
    check_samples: int = Field(default=40, ge=2)
    """Most held-out samples per class in these checks."""
    localize: Annotated[tuple[str, ...], Items(unique=False)] = ()
    """Taxonomies to localize. Empty: all."""
    shown_layers: Annotated[tuple[ShownLayer, ...], Items(unique=False)] = ()
    """Classes and the layer of each whose Δ the figure `delta_peaks` shows, e.g. `{name: Guess,
    layer: 6}`; a class that is not listed shows the layer with the most Δ."""

    def mistakes(self) -> Iterator[str]:
        """Yield classes with two layers."""
        names = [shown.name for shown in self.shown_layers]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"saliency.shown_layers: {name} appears twice; give each class one layer"


class CheckSettings(Settings):
    """How much the checks of Δ measure."""

    methods: Annotated[tuple[Method, ...], Items(1)]
    """Methods to check."""
    rank_draws: int = Field(default=40, ge=1)
    """Bootstrap draws of rank correlations, over CNNs and groups of samples."""
    resamples: int = Field(default=1000, ge=1)
    """Bootstrap draws of probabilities, over CNNs and samples."""
    confidence: Confidence = 0.95
    """Nominal coverage of the intervals."""
    seed: Seed = 0
    """Seed of new parameters, random cells and draws."""
