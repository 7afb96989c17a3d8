"""The section `mechanisms` of the config."""

from typing import Annotated, Literal

from pydantic import Field

from engram.io.settings import Items, Settings, Share

Strength = Annotated[float, Field(ge=0, le=10)]
"""Strength of noise: its norm as a fraction of the state's."""


class MechanismsSettings(Settings):
    """How the model reproduces its samples inside: noise, the logit lens, single heads, shorter
    contexts (arXiv 2603.21658). For every localized taxonomy, on its test samples."""

    enabled: bool = False
    """Whether these measures are part of the study."""
    samples_per_class: int = Field(default=100, ge=2)
    """Most test samples per class; as many validation samples give the means of `heads: mean`."""
    alphas: Annotated[tuple[Strength, ...], Items(1)] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    """Strengths of the noise; 0 is the clean run."""
    seeds: int = Field(default=10, ge=1, le=1000)
    """Draws of the noise per sample."""
    depth: int = Field(default=0, ge=0)
    """Where noise is added: 0 is what enters the first layer, l what layer l puts out."""
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
    """Try every length of context, where a bisection tries about ten."""
