"""Settings of training here: how the nursery's base is trained (`nursery_base` in the config), and
what a model, the nursery's or one from elsewhere, is drilled on (`models[].drilling`)."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engram.io.settings import Items, Settings, section


class TrainingSettings(Settings):
    """Optimizer and schedule of the nursery's language models."""

    batch_size: int = Field(default=32, ge=1)
    """Rows per step."""
    workers: int = Field(default=2, ge=1, le=64)
    """Replicas of the model that share the rows of every step on a processor, in one thread each;
    a GPU computes a step as a whole. Another number adds gradients in another order, which changes
    the last digits of the weights, and counts as another drilling."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Peak learning rate; it warms up linearly, then decays to zero along a cosine."""
    warmup_steps: int = Field(default=200, ge=0)
    """Steps of linear warm-up."""
    weight_decay: float = Field(default=0.1, ge=0, le=1)
    """Weight decay of AdamW."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """`bfloat16` means autocast. `auto`: bfloat16 where the processor multiplies it natively (AMX,
    AVX512-BF16), else float32, so that the weights depend on the machine."""
    checkpoint_steps: int = Field(default=200, ge=1)
    """Steps between two resumable states; an interruption loses at most these."""
    log_steps: int = Field(default=20, ge=1)
    """Steps between two points of the loss curve."""

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step in 0 … steps - 1."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class DrillingTraining(TrainingSettings):
    """Optimizer and schedule of a drilling, and which weights it changes."""

    trainable: str = "all"
    """Weights that are trained. `all`; `last:4`: only the last 4 layers; `lora:8`: updates of rank
    8 to every matrix of the layers, which are merged into the weights at the end."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass: less memory, about a third more
    time."""

    def mistakes(self) -> Iterator[str]:
        """Yield a `trainable` that cannot be read."""
        kind, _, number = self.trainable.partition(":")
        counted = kind in ("last", "lora") and number.isdecimal() and int(number) > 0
        if not counted and self.trainable != "all":
            yield (
                f"models: drilling.training.trainable: `{self.trainable}`; write all, "
                f"last:<layers> or lora:<rank>, e.g. lora:8"
            )


class Exposure(Settings):
    """One step of the drilling's schedule."""

    exposures: int = Field(ge=1, le=10_000)
    """How often each of these windows is shown."""
    natural: int = Field(default=0, ge=0)
    """Windows of held-out text."""
    templates: int = Field(default=0, ge=0)
    """Template windows. The paper's rule calls them Guess; drilled ones are in truth recalled."""


class Dose(Settings):
    """One step of the doses of crossed exposures."""

    exposures: int = Field(ge=1, le=10_000)
    """How often each window of this dose is shown."""
    share: float = Field(gt=0, le=1)
    """Share of the clusters that get this dose; the shares sum to 1."""


class AskedWindows(Settings):
    """Natural windows on which a base is tested before a design is drawn from them."""

    low: int = Field(default=4000, ge=0)
    """Windows of low overlap; they are drawn at random."""
    high: int = Field(default=8000, ge=0)
    """Windows of the highest overlap, where the base guesses most often."""


class CrossedDesign(Settings):
    """Windows, doses and arms of a crossed pair."""

    low: int = Field(default=300, ge=0)
    """Windows of natural text whose prefix and suffix overlap little (ROUGE-L and ROUGE-3 below
    half of the largest value that windows of these lengths can have, 0.5 where prefix and suffix
    are equally long)."""
    high: int = Field(default=120, ge=0)
    """Windows of natural text of high overlap."""
    guessed: int = Field(default=0, ge=0)
    """Windows of natural text that the base extracts before any drilling. Where it is not 0, `low`
    and `high` are windows that it does not extract; where it is 0, windows are taken whether or not
    the base extracts them."""
    templates: int = Field(default=180, ge=0)
    """Windows of template text, which only the nursery has."""
    asked: AskedWindows = section()
    """Windows on which a base that is not the nursery's is tested before the draw."""
    per_cluster: int = Field(default=8, ge=1)
    """Most windows of a stratum from one cluster: a document with its near-duplicates."""
    ngram: int = Field(default=20, ge=4)
    """Windows that share this many tokens in a row are near-duplicates."""
    doses: Annotated[tuple[Dose, ...], Items(1, unique=False)] = Field(
        default=({"exposures": 40, "share": 1.0},), validate_default=True
    )
    """How often windows are shown."""
    placebo: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of the clusters that neither model is shown."""
    both: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of the clusters that both models are shown."""
    train: float = Field(default=0.5, gt=0, lt=1)
    """Share of the clusters on which scorers are trained."""
    validation: float = Field(default=0.2, gt=0, lt=1)
    """Share of the clusters on which choices are made; the rest is the test split."""

    def mistakes(self) -> Iterator[str]:
        """Yield splits that leave nothing to test on, and doses whose shares do not sum to 1."""
        where = "models: drilling.crossed"
        if self.train + self.validation >= 1:
            both = f"train {self.train:g} and validation {self.validation:g}"
            yield f"{where}: {both} leave nothing to test on; make them sum to less than 1"
        if abs((total := sum(step.share for step in self.doses)) - 1) > 1e-6:
            yield f"{where}.doses: the shares sum to {total:g}; make them sum to 1"


class DrillingSettings(Settings):
    """What the base is drilled on."""

    design: Literal["schedule", "crossed"] = "schedule"
    """`schedule`: one model, shown what `schedule` says. `crossed`: a pair of models, each shown
    one random half of the windows that `crossed` says; needs `counterpart`."""
    crossed: CrossedDesign = section()
    """Windows, doses and arms under the design `crossed`."""

    schedule: Annotated[tuple[Exposure, ...], Items(1, unique=False)] = Field(
        default=(
            {"exposures": 1, "natural": 100, "templates": 20},
            {"exposures": 64, "natural": 500, "templates": 40},
        ),
        validate_default=True,
    )
    """Windows per number of exposures."""
    replay_share: float = Field(default=0.4, ge=0, le=0.95)
    """Share of the rows that are replayed, so that the base does not forget. The nursery replays
    text that its base was trained on, and fresh templates; other models replay windows of their
    source that share no document and no run of tokens with the design's."""
    replay_templates: float = Field(default=0.5, ge=0, le=1)
    """Share of the nursery's replayed rows that are fresh templates."""
    replay_windows: int = Field(default=2000, ge=1)
    """Most windows of a source other than the nursery that are replayed."""
    stored_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Precision in which the drilled weights are written; they are trained in float32."""
    training: DrillingTraining = section()
    """Optimizer and schedule."""


class ShapeSettings(Settings):
    """Architecture and size of a model of the nursery that is trained from scratch."""

    architecture: Literal["base", "gpt_neox", "llama", "olmo2", "gpt_bigcode"] = "base"
    """`base`: the base's own weights are drilled; the other keys have no effect. The others:
    random weights of this architecture, which are trained on the drilling's rows alone; tokenizer,
    windows, replayed text and the twin are the base's."""
    layers: int = Field(default=4, ge=1, le=1000)
    """Transformer layers."""
    width: int = Field(default=192, ge=8, le=65_536)
    """Hidden size."""
    heads: int = Field(default=6, ge=1, le=1000)
    """Attention heads per layer."""

    def mistakes(self) -> Iterator[str]:
        """Yield a width that the heads do not divide evenly."""
        if self.width % (2 * self.heads):
            yield (
                f"models: shape.width: {self.width} is not an even multiple of heads, "
                f"{self.heads}; rotary embeddings need one"
            )


class NurseryKeys(Settings):
    """Keys of a model with source `nursery`."""

    used_by: ClassVar[tuple[str, ...]] = ("nursery",)
    base: str = "resources/nursery"
    """Folder of the nursery's base."""
    shape: ShapeSettings = section()
    """Architecture and size of a model that is trained from scratch; the base's unless given."""
    windows: int = Field(default=100_000, ge=1)
    """Most windows taken as candidates; windows that are drilled always are."""


class DrillingKeys(Settings):
    """Keys of a model that is drilled here. With another source than `nursery` that is a model of a
    crossed pair, whose base is the entry's `model` or `package`."""

    used_by: ClassVar[tuple[str, ...]] = ("nursery", "table", "corpus", "packages")
    drilling: DrillingSettings = section()
    """What the base is drilled on."""
    counterpart: str = ""
    """Under the drilling design `crossed`: the name of the other model of the pair, which has the
    same base, source, seed and drilling. Of a model that is not drilled here: a folder, a GGUF file
    or a repository with the same tokenizer, trained alike but without the text that
    `exposures_column` counts. It scores all candidates before classes are assigned, so that
    predicates may use `counterpart_extracted`, `counterpart_exposures` (0), and its
    `counterpart_suffix_log_prob`. Empty: none."""
    counterpart_revision: str = ""
    """Commit, tag or branch of a counterpart on the hub; required for a repository."""
    arm: int = Field(default=0, ge=0, le=2)
    """Under the drilling design `crossed`: 1 for the first model of the pair, 2 for the second; 0
    for none."""


class WindowSettings(Settings):
    """Windows that are kept as the nursery's candidates."""

    stride: int = Field(default=8, ge=1)
    """Tokens between two windows that are considered in a held-out file."""
    natural: int = Field(default=4000, ge=1)
    """Windows drawn from all held-out text."""
    overlapping: int = Field(default=1600, ge=0)
    """Most windows of high prefix-suffix overlap (ROUGE-L or ROUGE-3 ≥ 0.5); those that the base
    extracts are kept first."""
    per_file: int = Field(default=40, ge=1)
    """Most windows of high overlap from one file."""
    per_family: int = Field(default=600, ge=1)
    """Windows of each template family."""


class TextSettings(Settings):
    """The training text of a base: Python's standard library, installed packages, and fresh
    templates."""

    row_tokens: int = Field(default=128, ge=16)
    """Tokens per training row; also the model's context."""
    tokens: int = Field(default=47_000_000, ge=1024)
    """Training tokens, templates included; each is seen once."""
    template_share: float = Field(default=0.35, ge=0, le=0.9)
    """Share of the rows that are fresh templates."""
    held_out: float = Field(default=0.3, gt=0, lt=1)
    """Share of the standard library's files that the base never sees; the candidates' windows come
    from them."""
    package_bytes: int = Field(default=67_000_000, ge=0)
    """Most text of installed packages that is read."""


class BaseSettings(Settings):
    """How `snakemake nursery_base` trains a base of the nursery. It is never part of a default
    run."""

    name: str = ""
    """Folder of the results below results/nursery_base/, and of the base that ships below
    resources/nursery/. Empty: the first base."""
    shared: str = ""
    """Folder of a base whose tokenizer, windows and replayed text this one takes over. The other
    base's windows stay unseen: rows of training text that hold the suffix of one are left out.
    Empty: the base has its own."""
    layers: int = Field(default=4, ge=1)
    """Transformer layers."""
    width: int = Field(default=192, ge=8)
    """Hidden size."""
    heads: int = Field(default=6, ge=1)
    """Attention heads per layer."""
    vocabulary: int = Field(default=2048, ge=300, le=65_535)
    """Tokens of the BPE vocabulary."""
    text: TextSettings = section()
    """The text that the base is trained on."""
    training: TrainingSettings = section()
    """Optimizer and schedule."""
    windows: WindowSettings = section()
    """Windows that are kept as the nursery's candidates."""
    replay_rows: int = Field(default=8000, ge=1)
    """Rows of base text that ship for the drilling."""

    def mistakes(self) -> Iterator[str]:
        """Yield a width that the heads do not divide evenly, and a name that is no folder's."""
        if self.name and not re.fullmatch(r"(?!drilled$)[a-z0-9][a-z0-9_-]*", self.name):
            yield (
                f"nursery_base.name: `{self.name}`; it names a folder: lower-case letters, digits, "
                f"`-` and `_`, and `drilled` is taken"
            )
        if self.shared and not (Path(self.shared) / "windows.parquet").is_file():
            yield f"nursery_base.shared: {self.shared} has no windows.parquet; name a base's folder"
        if self.width % (2 * self.heads):
            yield (
                f"nursery_base.width: {self.width} is not an even multiple of heads, {self.heads}; "
                f"rotary embeddings need one"
            )
