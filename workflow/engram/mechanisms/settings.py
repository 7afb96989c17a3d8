"""The section `mechanisms` of the config."""

from typing import Annotated, Literal

from pydantic import Field

from engram.io.settings import Items, Settings, Share, section
from engram.mechanisms.locality_settings import LocalitySettings
from engram.mechanisms.steering_settings import SteeringSettings

Strength = Annotated[float, Field(ge=0, le=10)]
"""Strength of noise: its norm as a fraction of the state's."""


class EntropySettings(Settings):
    """Entropy of representations, at every depth (arXiv 2505.08727), on at most
    `mechanisms.samples_per_class` test samples per class."""

    enabled: bool = False
    """Whether this measure is part of the study."""
    patch: int = Field(default=8, ge=2, le=64)
    """Consecutive tokens whose states are compared."""
    course: bool = False
    """Whether it is also measured while the nursery's models are drilled, at every
    `training.checkpoint_steps`: does it fall and rise in cycles? Switching it on drills again,
    with the same result."""
    course_windows: int = Field(default=100, ge=2, le=10_000)
    """Most windows of the course, of those that the model is shown and as many of the others."""


class RemindSettings(Settings):
    """REMIND (arXiv 2511.04228): the loss of a sample and of its neighbours, which are copies with
    some tokens replaced. Classifiers are fitted on the validation split, or on the training split
    where there is none, and tested on the test split."""

    enabled: bool = False
    """Whether this measure is part of the study."""
    samples_per_class: int = Field(default=200, ge=2)
    """Most samples per class and split."""
    neighbours: int = Field(default=15, ge=1, le=1000)
    """Neighbours of a sample."""
    share: Share = 0.3
    """Probability with which a token is replaced."""
    nearest: int = Field(default=20, ge=1)
    """Nearest tokens, by the cosine of the model's input embeddings, of which one replaces it."""


class FeedForwardSettings(Settings):
    """Feed-forward layers: what is reproduced without one of their blocks, and without the neurons
    whose activity differs most between classes. Measured on at most
    `mechanisms.samples_per_class` test samples per class; neurons are ranked on as many validation
    samples."""

    enabled: bool = False
    """Whether this measure is part of the study."""
    operation: Literal["remove", "mean"] = "remove"
    """What replaces the output of a block, or a neuron: 0, or its mean over samples."""
    shares: Annotated[tuple[Share, ...], Items()] = (0.001, 0.003, 0.01, 0.03)
    """Sizes of the sets of neurons that are removed together, as shares of all neurons. Empty: only
    blocks are removed, the only choice for mixtures of experts."""
    draws: int = Field(default=5, ge=1, le=1000)
    """Random sets of the same size and layers that each set is compared with."""


class FurtherMeasures(Settings):
    """Measures that have a section, and a switch there."""

    entropy: EntropySettings = section()
    """How many directions the states of neighbouring tokens spread over."""
    remind: RemindSettings = section()
    """The loss of samples and of their neighbours."""
    feed_forward: FeedForwardSettings = section()
    """Feed-forward blocks, and neurons inside them."""
    steering: SteeringSettings = section()
    """Pushing the model's states away from recall while it decodes."""
    locality: LocalitySettings = section()
    """An attack that brings recall back without the heads it depends on."""


class MechanismsSettings(FurtherMeasures):
    """How the model reproduces its samples inside: noise, the logit lens, single heads, shorter
    contexts (arXiv 2603.21658), and further measures, each with a switch. For every localized
    taxonomy, on its test samples."""

    enabled: bool = False
    """Whether noise, lens, heads and compression are part of the study. Measures that have a
    section have a switch there."""
    samples_per_class: int = Field(default=100, ge=2)
    """Most test samples per class; as many validation samples give the means of `heads: mean`."""
    alphas: Annotated[tuple[Strength, ...], Items(1)] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    """Strengths of the noise; 0 is the clean run."""
    seeds: int = Field(default=10, ge=1, le=1000)
    """Draws of the noise per sample."""
    depth: int = Field(default=0, ge=0)
    """Where noise is added: 0 is the input of the first layer, l the output of layer l."""
    scale: Literal["norm", "std"] = "norm"
    """Scale of the noise: a fraction of the norm of each token's state, or of its standard
    deviation over dimensions."""
    tuned_lens_steps: int = Field(default=200, ge=0, le=100_000)
    """Steps of training of the tuned lens, on the validation samples; 0: the logit lens alone."""
    heads: Literal["layer_mean", "remove", "mean"] = "layer_mean"
    """What replaces a head's output: the mean of the layer's other heads, 0, or its mean over
    samples."""
    top: Share = 0.2
    """Share of heads whose sets are compared across classes."""
    keep: Literal["last", "first", "onset"] = "last"
    """Which tokens a shorter context keeps: those next to the suffix; the first ones, which the
    suffix follows directly; or the first ones, after which the model writes the rest."""
    scan: bool = False
    """Try every length of context instead of bisecting, which tries about ten."""
