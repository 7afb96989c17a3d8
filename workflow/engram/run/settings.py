"""The whole config as one model, composed of the rooms' sections."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from engram.auditing.settings import AuditSettings
from engram.cnn.settings import CnnSettings
from engram.crossed.settings import CrossedSettings
from engram.explorer.settings import ExplorerSettings
from engram.figures.settings import FigureSettings
from engram.io.settings import Items, Seed, Settings, Slug, section
from engram.knockout.settings import KnockoutSettings
from engram.mechanisms.settings import MechanismsSettings
from engram.nursery.settings import BaseSettings, DrillingKeys, NurseryKeys
from engram.run.rates import Rates
from engram.saliency.settings import SaliencySettings
from engram.scores.settings import MatchedSettings, SearchSettings, StatisticsSettings
from engram.series.settings import SeriesSettings
from engram.sources.settings import (
    CorpusKeys,
    EntryKeys,
    HubKeys,
    ModelKeys,
    PackagesKeys,
    ScanKeys,
    TableKeys,
)
from engram.store.settings import AttentionSettings
from engram.taxonomy.settings import (
    PAPER,
    CategorySettings,
    Delta,
    ProtocolName,
    RhoSettings,
    SampleSettings,
    TaxonomyName,
)
from engram.taxonomy.transfer_settings import TransferSettings
from engram.windows.settings import CodeClassifierSettings, PriorSettings


class _OrPaper:
    """Annotates a list of taxonomies for which the word `paper` alone may be written."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let pydantic take the word for a list of itself."""
        return core_schema.no_info_before_validator_function(
            lambda value: [PAPER] if value == PAPER else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Name both ways."""
        return {"anyOf": [handler(schema), {"type": "string", "const": PAPER}]}


WindowTokens = Annotated[int, Field(ge=4, le=1024)]
"""Tokens of a prefix or suffix."""


# pydantic takes the fields of the last base first.
class ModelEntry(
    NurseryKeys,
    DrillingKeys,
    PackagesKeys,
    ScanKeys,
    CorpusKeys,
    TableKeys,
    HubKeys,
    ModelKeys,
    EntryKeys,
):
    """A language model and its windows. A source refuses the keys of other sources."""


class StudyConfig(Settings):
    """A study: its models, their windows, and what is done with them."""

    study: Slug
    """Name of the study; its results are in `results/<study>/`."""
    seed: Seed = 1
    """Seed of all draws and trainings of the study."""
    prefix: WindowTokens = 32
    """Tokens of a sample that prompt the model. Maps grow with the square of prefix + suffix;
    `snakemake plan` says how large they are and what memory they take."""
    suffix: WindowTokens = 32
    """Tokens of a sample that the model must reproduce."""
    models: Annotated[tuple[ModelEntry, ...], Items(1, unique=False)]
    """The language models under study."""
    code_classifier: CodeClassifierSettings = section()
    """The fastText model that decides `is_code` where the source does not provide it."""
    prior: PriorSettings = section()
    """How likely a model finds each suffix after unrelated prefixes; off by default."""
    categories: Annotated[tuple[CategorySettings, ...], Items(unique=False)] = ()
    """Primary categories in addition to the paper's (Non-Memo, Recite, Recollect, Reconstruct,
    Guess, Code); a taxonomy uses them by name."""
    taxonomies: Annotated[tuple[TaxonomyName, ...], Items(unique=False), _OrPaper()] = ()
    """Taxonomies to compare, as the paper writes them, e.g. "Non-Memo, Guess, Others"; `paper`
    means its whole benchmark at `deltas`. Equal partitions are trained once and listed under
    every name. Only an audit, a study of crossed pairs or a series may have none."""
    deltas: Annotated[tuple[Delta, ...], Items(1)] = (5.0, 50.0, 1000.0)
    """Numbers of duplicates δ of Recite and Recollect in the taxonomies that `paper` means."""
    rho: RhoSettings = section()
    """Thresholds ρ of Guess that are compared in the new taxonomy (the paper's Table 4)."""
    search: SearchSettings = section()
    """Search for the taxonomy with the best minimum F1."""
    protocols: Annotated[tuple[ProtocolName, ...], Items(1)] = ("engram",)
    """How samples are split and epochs chosen. `engram`: split by content group, best epoch on
    validation, tested once. `paper`: split by sequence, no validation, 3 epochs summed.
    `reference`: what the published code does, which is `paper` with mean pooling alone and each CNN
    trained twice. The last two take the split of a table that has one (`columns.trains`)."""
    samples: SampleSettings = section()
    """Sizes of the sample lists and of their splits."""
    attention: AttentionSettings = section()
    """Extraction and storage of the attention maps."""
    plan: Rates = section()
    """What `snakemake plan` assumes of one GPU."""
    cnn: CnnSettings = section()
    """The CNNs and their training."""
    saliency: SaliencySettings = section()
    """Localization: which attention, in which layer, speaks for a class."""
    knockout: KnockoutSettings = section()
    """Direct localization: attention is removed from the language model."""
    mechanisms: MechanismsSettings = section()
    """Noise, logit lens, single heads, shorter contexts and further measures; off by default."""
    series: SeriesSettings = section()
    """Rates against model size, where models have a `family`."""
    crossed: CrossedSettings = section()
    """Analysis of pairs of models with crossed exposures."""
    statistics: StatisticsSettings = section()
    """Intervals of the tables."""
    matched: MatchedSettings = section()
    """Classes compared on test samples that are equally predictable; none by default."""
    transfer: TransferSettings = section()
    """Classifiers tested where they were not trained: other kinds of text, other models; off by
    default."""
    explorer: ExplorerSettings = section()
    """The pages of single texts, explorer.html and explorer_pairs.html."""
    audit: AuditSettings = section()
    """Which parts of documents a model reproduces: tables and the page audit.html."""
    figures: FigureSettings = section()
    """Look of the figures."""
    tracking: Literal["none", "wandb", "mlflow", "tensorboard"] = "none"
    """Experiment tracker that logs training curves and scores when all CNNs are scored, offline,
    into `results/<study>/tracking/`. Its package must be installed."""
    flow: Annotated[tuple[str, ...], Items(0, 2, unique=False)] = ()
    """Two taxonomies, old and new, whose classes the flow diagram links (the paper's Figure 2).
    Empty: no diagram."""
    nursery_base: BaseSettings = section()
    """How `snakemake nursery_base` trains the nursery's base."""
