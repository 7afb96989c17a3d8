"""The section `crossed` of the config: the analysis of pairs of models with crossed exposures."""

from typing import Annotated, Literal

from pydantic import Field

from engram.cnn.settings import Features, InputScale, Kernel
from engram.io.settings import Items, Seed, Settings, section
from engram.scores.settings import Confidence

CrossedInput = Literal[
    "attention_mean", "attention_max", "suffix_log_prob", "hidden_states", "feed_forward"
]
"""What differs between the two models on one text."""


CnnInput = Literal["attention_mean", "attention_max"]
"""Maps that CNNs are trained on."""


class CrossedCnnSettings(Settings):
    """CNNs trained for pairs, one per input and seed. They have the paper's architecture with one
    output, and see both models' maps of a text."""

    inputs: Annotated[tuple[CnnInput, ...], Items()] = ("attention_mean",)
    """Maps that CNNs are trained on; none trains none."""
    seeds: Annotated[tuple[Seed, ...], Items(1)] = (0, 1)
    """Initialisations; the one that is best on validation windows is reported."""
    epochs: int = Field(default=10, ge=1)
    """Epochs of training; the one that is best on validation windows is reported."""
    redraws: int = Field(default=2, ge=0, le=1000)
    """How often the arms of all splits are drawn again and CNNs of every seed trained on them: a
    control that must be at chance. The null distribution of a CNN's score needs no training: it
    comes from `crossed.redraws` redraws of the test windows' arms."""
    kernel: Kernel = 6
    """Kernel size of the two convolutions, in tokens."""
    features: Features = 10
    """Feature maps of the convolutions."""
    input_scale: InputScale = "raw"
    """`raw`: attention as in the paper. `log`: log(1 + T·attention), for T tokens."""
    batch_size: int = Field(default=32, ge=1)
    """Windows per step, each with its two maps."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Learning rate of AdamW, constant."""
    weight_decay: float = Field(default=0.1, ge=0, le=1)
    """Weight decay of AdamW."""


PairedMeasure = Literal["entropy", "remind", "lens", "noise"]
"""Measures inside a model that a paired scorer is shown."""


class CrossedMechanismsSettings(Settings):
    """Measures inside both models of a pair on the same windows, as further inputs of the paired
    scorer. The keys of the section `mechanisms` apply to them, except its switches."""

    enabled: bool = False
    """Whether these measures are part of the study."""
    measures: Annotated[tuple[PairedMeasure, ...], Items(1)] = ("entropy", "remind", "lens")
    """Which: entropy of representations, REMIND with its rivals (loss, zlib, Min-K %, Min-K %++),
    the logit lens, noise on the residual stream (two forwards per strength and draw)."""
    noise_seeds: int = Field(default=1, ge=1, le=1000)
    """Draws of the noise per window and strength."""


class CrossedSettings(Settings):
    """Analysis of pairs of models with crossed exposures (`drilling.design: crossed`)."""

    inputs: Annotated[tuple[CrossedInput, ...], Items(1)] = (
        "attention_mean",
        "attention_max",
        "suffix_log_prob",
        "hidden_states",
        "feed_forward",
    )
    """What paired scorers compare between the two models, one scorer per input. `feed_forward` is
    what the feed-forward block of every layer adds to the hidden states."""
    cnn: CrossedCnnSettings = section()
    """CNNs trained for pairs, next to the linear scorer."""
    mechanisms: CrossedMechanismsSettings = section()
    """Entropy, REMIND, logit lens and noise as inputs of the paired scorer."""
    redraws: int = Field(default=1000, ge=19, le=100_000)
    """How often the arms are drawn again for the null distribution of a score."""
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
