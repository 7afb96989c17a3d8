"""The section `cnn` of the config: the grid of CNNs of a taxonomy and how each is trained."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field

from engram.cnn.architecture import PAPER_POOLING, Architecture
from engram.cnn.key import CnnKey
from engram.io.settings import Items, Seed, Settings, section

Kernel = Annotated[int, Field(ge=2, le=16)]
"""Side of a convolution kernel, in tokens."""
Features = Annotated[int, Field(ge=1, le=256)]
"""Feature maps of a convolution."""
HeadPooling = Literal["mean", "max"]
InputScale = Literal["raw", "log"]
Probe = Literal["scalar_features", "hidden_states"]
PROBES: tuple[str, ...] = get_args(Probe)
"""Baselines that are logistic regressions."""
TEXT_RIVALS = ("text_kind", "text_scalars", "text", "text_and_attention")
"""What is fitted for every taxonomy, see `engram.cnn.text_rivals`."""


class BaselineGrid(Settings):
    """A separate, usually smaller grid for the CNNs of the baselines. An empty list takes the main
    grid's."""

    kernels: Annotated[tuple[Kernel, ...], Items()] = ()
    """Kernel sizes."""
    features: Annotated[tuple[Features, ...], Items()] = ()
    """Numbers of feature maps."""
    head_poolings: Annotated[tuple[HeadPooling, ...], Items()] = ()
    """How attention heads are pooled."""
    seeds: Annotated[tuple[Seed, ...], Items()] = ()
    """Seeds; every CNN is trained once per seed."""


class CnnGrid(Settings):
    """The CNNs that are trained: every combination of kernel, features, head pooling and seed."""

    kernels: Annotated[tuple[Kernel, ...], Items(1)] = (6, 8)
    """Kernel sizes of the two convolutions, in tokens."""
    features: Annotated[tuple[Features, ...], Items(1)] = (10, 16)
    """Numbers of feature maps of the convolutions."""
    head_poolings: Annotated[tuple[HeadPooling, ...], Items(1)] = ("mean", "max")
    """How attention heads are pooled before the CNN sees them."""
    seeds: Annotated[tuple[Seed, ...], Items(1)] = (0,)
    """Every CNN is trained once per seed."""
    hidden: int = Field(default=64, ge=1, le=4096)
    """Width of the fully connected layer."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout rate after each of the three activation functions."""
    pooling_kernel: int = Field(default=PAPER_POOLING, ge=1, le=16)
    """Side, in cells, of the windows of both max-poolings; 2 is the paper's, 1 pools nothing."""
    input_scale: InputScale = "raw"
    """`raw`: attention as in the paper. `log`: log(1 + T·attention), for T tokens."""


class CnnSettings(CnnGrid):
    """How the CNNs are trained, and what they are compared with. One job trains all CNNs of a
    taxonomy."""

    epochs: int = Field(default=15, ge=1)
    """Epochs of training, under the protocol `engram`; the paper's protocol has 3."""
    batch_size: int = Field(default=16, ge=1)
    """Samples per step."""
    learning_rate: float = Field(default=0.001, gt=0, le=1)
    """Learning rate of AdamW, constant."""
    weight_decay: float = Field(default=0.1, ge=0, le=1)
    """Weight decay of AdamW."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of convolutions and matrix products; parameters are float32 in any case."""
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    """`cuda`: the training job requests a GPU. `mps`: it uses the GPU of an Apple computer. Results
    differ between devices by rounding and by dropout's random bits."""
    memory_mb: int = Field(default=8192, ge=1)
    """Megabytes of attention that a training job holds in memory; a larger sample list is read from
    a scratch file. It does not affect results."""
    controls: Annotated[tuple[Literal["shuffled"], ...], Items()] = ("shuffled",)
    """`shuffled`: the same CNNs on labels permuted within the splits that they learn from, a
    different permutation for each CNN."""
    baselines: Annotated[
        tuple[Literal["token_identity", "random_weights", Probe], ...], Items()
    ] = ("token_identity",)
    """`token_identity`: CNNs that see only which tokens of the text are equal.
    `random_weights`: CNNs on the attention of the model with its weights permuted.
    `scalar_features`: a logistic regression on perplexities, entropy and other labels that do not
    define the classes. `hidden_states`: a logistic regression on the mean hidden state
    of each layer; the best layer is chosen on validation."""
    baseline_grid: BaselineGrid = section()
    """A separate, usually smaller grid for the CNNs of the baselines."""

    def grid(self) -> dict[CnnKey, Architecture]:
        """Return every CNN to train."""
        cnns: dict[CnnKey, Architecture] = {}
        for labels in ("real", *self.controls):
            for pooling in self.head_poolings:
                cnns |= self._runs("attention", labels, pooling, self.input_scale)
        smaller = self._of_baselines()
        if "random_weights" in self.baselines:
            for pooling in smaller.head_poolings:
                cnns |= smaller._runs("random_weights", "real", pooling, self.input_scale)
        if "token_identity" in self.baselines:
            cnns |= smaller._runs("token_identity", "real", "none", "raw")
        return cnns

    def probes(self) -> list[str]:
        """Return the baselines that are not CNNs."""
        return [name for name in self.baselines if name in PROBES]

    def training(self) -> dict[str, object]:
        """Return what decides the result of one CNN, in addition to its architecture and seed."""
        names = ("epochs", "batch_size", "learning_rate", "weight_decay", "precision", "device")
        return {name: getattr(self, name) for name in names}

    def _of_baselines(self) -> Self:
        """Return these settings with the grid of the baselines."""
        given: dict[str, Any] = {name: values for name, values in self.baseline_grid if values}
        return self.replace(**given) if given else self

    def _runs(
        self, source: str, labels: str, pooling: str, scale: str
    ) -> dict[CnnKey, Architecture]:
        shapes = [
            Architecture(
                kernel, features, pooling, self.hidden, self.dropout, scale, self.pooling_kernel
            )
            for kernel in self.kernels
            for features in self.features
        ]
        return {
            CnnKey(source, labels, shape.name, seed): shape
            for shape in shapes
            for seed in self.seeds
        }
