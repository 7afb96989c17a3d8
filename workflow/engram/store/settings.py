"""The section `attention` of the config: extraction and storage of attention maps."""

from typing import Annotated, Literal

from pydantic import Field

from engram.io.settings import Items, Settings

MeanDtype = Literal["float32", "float16"]


class AttentionSettings(Settings):
    """Extraction and storage of the attention maps."""

    mean_dtype: MeanDtype = "float32"
    """Stored precision of the mean over heads. float16 saves a third of the disk space and moves
    cells of Δ by less than 0.5 % of the largest (docs/store.md)."""
    block: int = Field(default=1, ge=1, le=256)
    """Tokens of a row and column of the stored maps. With b, a cell holds the mean (head pooling
    `mean`) or the largest (`max`) of up to b × b values, so that maps take b² times less memory and
    disk: for long windows (docs/store.md). Spans of b tokens begin at the first token of the prefix
    and of the suffix; special tokens in front keep their own rows. 1 keeps every token apart; the
    protocols `paper` and `reference`, crossed pairs and `audit.cnns` need it."""
    examples: Annotated[tuple[int, ...], Items()] = ()
    """`sequence_id` of the samples whose attention `snakemake attention_example` exports with all
    heads. Empty: one test sample of each class of the first taxonomy."""
    end_of_text: Literal["allowed", "forbidden"] = "allowed"
    """Whether the model may write its end-of-text token in the continuations of Non-Memo samples.
    `forbidden` is what the paper's code does (`min_length`); it makes the token a mark of the other
    classes."""
    generation_mask: Literal["full", "reference"] = "full"
    """Which tokens of the prompt the model attends to while it writes the continuations of
    Non-Memo samples. `reference` is what the paper's code does: token 0, Pythia's end of text, is
    masked there, although it is attended to when the attention maps are extracted."""
    kernel: Literal["torch", "triton"] = "torch"
    """What computes and pools a layer's attention. `triton`, for GPUs: a kernel that never holds
    the weights of a head, for the layers in which it gives what the model's own attention gives
    (docs/store.md). It has not been measured on a GPU yet. Values agree up to rounding, and rows
    that are finished are not computed again."""
    batch_tokens: int = Field(default=8192, ge=64)
    """Tokens per batch of the language model; halved automatically when a GPU runs out of memory.
    On processors a batch has at most 64 sequences."""
    workers: int = Field(default=2, ge=1, le=64)
    """Batches of the language model that a job computes at a time on processors, in one thread
    each; the job requests as many cores from Snakemake. Results are the same for any number."""


class ExtractionSettings(Settings):
    """How sequences become rows of a shard."""

    prefix: int = Field(ge=1)
    """Tokens of the prompt."""
    mean_dtype: MeanDtype = "float32"
    """Stored precision of the mean maps."""
    block: int = Field(default=1, ge=1)
    """Tokens of a row and column of the maps."""
    batch_tokens: int = Field(ge=1)
    """Tokens per forward pass."""
    kernel: Literal["torch", "triton"] = "torch"
    """What computes and pools a layer's attention."""
