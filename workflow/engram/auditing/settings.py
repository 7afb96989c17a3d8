"""The section `audit` of the config."""

from typing import Annotated

from pydantic import Field

from engram.io.settings import Items, Settings, section

Probability = Annotated[float, Field(gt=0, lt=1)]
"""A probability that is neither 0 nor 1."""


class BookSettings(Settings):
    """Documents that the model reconstructs from their first tokens, step by step, once after the
    true text and once after its own output (arXiv 2504.12549)."""

    enabled: bool = False
    """Whether documents are reconstructed. Every step reads a whole prefix: with the defaults, this
    costs about 35 forwards over each document. `snakemake plan` estimates it."""
    prefix: int = Field(default=500, ge=1, le=100_000)
    """Tokens that the model continues at every step. Documents that are not longer are left out."""
    step: int = Field(default=30, ge=1, le=4096)
    """Tokens that the model writes at every step."""
    longest: int = Field(default=0, ge=0)
    """Most tokens of a document that are reconstructed; 0: all of it."""


class PairSettings(Settings):
    """Terms and identifiers that the model is asked to complete, in both directions: paired cloze
    (arXiv 2510.19036). An answer is correct where greedy decoding writes it."""

    table: str = ""
    """A table with a row per pair: CSV, JSON lines or parquet. Empty: no pairs."""
    term: str = "term"
    """Column of the terms, names of genes for example."""
    identifier: str = "identifier"
    """Column of the identifiers."""
    popularity: str = ""
    """Column with a number that says how well known a pair is."""
    held_out: str = ""
    """Column that is true where a pair was not in the training text, else false. What the model
    completes of such pairs, it has generalized."""
    forward: str = "{term}: {identifier}"
    """Template of the question for the identifier: `{term}`, and after it `{identifier}`."""
    backward: str = "{identifier}: {term}"
    """Template of the question for the term: `{identifier}`, and after it `{term}`."""
    bins: int = Field(default=4, ge=1, le=100)
    """Bins of popularity and of lexical overlap, of about equally many pairs."""


class FactKeys(Settings):
    """What is known about the documents in addition to their text."""

    facts: str = ""
    """A table with a column `document`, the document's name in the audit, and the columns that
    `popularity`, `group` and `attributes` name. Needed where documents are text files; tables of
    documents have these columns themselves."""
    popularity: str = ""
    """Column with a number that says how well known a document is, for example its editions or
    readers. A table correlates it with what is reproduced."""
    group: str = ""
    """Column with the group of a document, for example a ward or a language. Tables have how much
    is reproduced of every group, and how it differs from the others."""
    smallest_group: int = Field(default=10, ge=1)
    """Fewest documents of a group that is reported; of smaller ones, only the name is."""
    attributes: Annotated[tuple[str, ...], Items()] = ()
    """Columns with values that occur in the documents' texts, for example a diagnosis or a town.
    For each, a table has how often the model finds the document's own value more likely in its
    place than those of other documents. Costs one forward over a prefix per value."""
    alternatives: int = Field(default=9, ge=1, le=1000)
    """Most values of other documents that are tried at each place of an attribute."""


class AuditSettings(FactKeys):
    """Which parts of documents a model reproduces: tables and the page audit.html. It covers the
    models of source `corpus`; their `stride` and `candidates` say which windows are scored."""

    enabled: bool = False
    """Whether documents are audited. A study that does nothing else needs no `taxonomies`, and
    costs one forward per window."""
    probabilities: Annotated[tuple[Probability, ...], Items(1)] = (0.5, 0.9)
    """For each of these p, the least n for which a window is (n, p)-discoverable: at least one of n
    sampled continuations is the true suffix with probability p or more (arXiv 2410.19482)."""
    thresholds: Annotated[tuple[Probability, ...], Items(1)] = (0.001, 0.01, 0.1, 0.5)
    """For each of these probabilities, the share of a document's windows whose p_z is at least that
    (arXiv 2505.12546)."""
    continuation: int = Field(default=200, ge=1, le=4096)
    """Tokens that the model writes on its own from the beginning of a region, as far as its context
    allows."""
    taxonomy: str = "Non-Memo, Guess, Others"
    """The rule that gives reproduced windows their class."""
    megabytes: float = Field(default=50.0, ge=1, le=500)
    """Largest size of the page, in 10⁶ bytes."""
    cnns: str = ""
    """Folder of a finished study, `results/<study>`. Its CNNs for `taxonomy` give the windows that
    are reproduced the probability of each class, calibrated on the study's validation samples.
    Model, precision, `prefix` and `suffix` must be those of the study."""
    redact: bool = False
    """Keep texts out of every file and log: documents are audited in memory, and only positions and
    scores are written. Names of documents and values of `group` are kept. For a study without
    taxonomies."""
    books: BookSettings = section()
    """Reconstruction of whole documents."""
    pairs: PairSettings = section()
    """Terms and identifiers that the model is asked to complete. Where the model has a `twin`, for
    example the model before it was drilled, the twin completes them, too."""
    reference: str = ""
    """A text file, a table of texts or a folder of either, for example a part of the training text,
    that is searched for the regions. The documents are then searched for them, too."""
    reference_pattern: str = "*"
    """Names of the files of the reference that are read, for example `*.py`."""
