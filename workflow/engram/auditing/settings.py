"""The section `audit` of the config."""

from typing import Annotated

from pydantic import Field

from engram.io.settings import Items, Settings, section

Probability = Annotated[float, Field(gt=0, lt=1)]
"""A probability that is neither 0 nor 1."""


class BookSettings(Settings):
    """Documents that the model writes again from their first tokens, step by step, behind the true
    text and behind its own (arXiv 2504.12549)."""

    enabled: bool = False
    """Whether documents are reconstructed. Every step reads a whole prefix: with the defaults, this
    costs about 35 forwards over each document. `snakemake plan` prices it."""
    prefix: int = Field(default=500, ge=1, le=100_000)
    """Tokens that the model continues at every step. Documents that are not longer are left out."""
    step: int = Field(default=30, ge=1, le=4096)
    """Tokens that the model writes at every step."""
    longest: int = Field(default=0, ge=0)
    """Most tokens of a document that are written again; 0 writes all of it."""


class PairSettings(Settings):
    """Terms and identifiers that the model is asked to complete, in both directions: paired cloze
    (arXiv 2510.19036). An answer is correct where greedy decoding writes it."""

    table: str = ""
    """A table with a row per pair: CSV, JSON lines or parquet. Empty: nothing is asked."""
    term: str = "term"
    """Column of the terms, names of genes for example."""
    identifier: str = "identifier"
    """Column of the identifiers."""
    popularity: str = ""
    """Column with a number that says how well known a pair is."""
    held_out: str = ""
    """Column that says whether a pair was not in the training text: true or false. What the model
    completes of such pairs, it has generalized."""
    forward: str = "{term}: {identifier}"
    """Text in which the identifier is left to the model: `{term}`, and after it `{identifier}`."""
    backward: str = "{identifier}: {term}"
    """Text in which the term is left to the model: `{identifier}`, and after it `{term}`."""
    bins: int = Field(default=4, ge=1, le=100)
    """Bins of popularity and of lexical overlap, of about equally many pairs."""


class FactKeys(Settings):
    """What is known of the documents besides their text."""

    facts: str = ""
    """A table with a column `document`, the document's name in the audit, and the columns that
    `popularity`, `group` and `attributes` name. Needed where documents are text files; tables of
    documents have these columns themselves."""
    popularity: str = ""
    """Column with a number that says how well known a document is, its editions or readers for
    example. The correlation of what is reproduced with it goes into a table."""
    group: str = ""
    """Column with the group of a document, a ward or a language for example. Every group's risk,
    and how it differs from the others', go into tables."""
    smallest_group: int = Field(default=10, ge=1)
    """Documents of a group below which nothing but its name is said of it."""
    attributes: Annotated[tuple[str, ...], Items()] = ()
    """Columns with values that occur in the documents' texts, a diagnosis or a town for example.
    For each the model is asked whether the document's own value is likelier in its place than those
    of other documents. Costs one forward over a prefix per value."""
    alternatives: int = Field(default=9, ge=1, le=1000)
    """Other values of an attribute at each place."""


class AuditSettings(FactKeys):
    """What of whole documents a model reproduces: tables and the page audit.html. Its models have
    the source `corpus`; `models[].stride` and `models[].candidates` say which windows are scored.
    """

    enabled: bool = False
    """Whether documents are audited. A study that does nothing else needs no `taxonomies`, and
    costs one forward per window."""
    probabilities: Annotated[tuple[Probability, ...], Items(1)] = (0.5, 0.9)
    """For each of these p, the least n for which a window is (n, p)-discoverable: n samples of its
    suffix hold the true one with probability p or more (arXiv 2410.19482)."""
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
    """Keep texts out of every file and log: documents are audited in memory, and positions and
    scores alone are written. Names of documents and values of `group` are kept. For a study without
    taxonomies."""
    books: BookSettings = section()
    """Reconstruction of whole documents."""
    pairs: PairSettings = section()
    """Terms and identifiers that the model is asked to complete. Where the model has a `twin`, that
    is asked, too: the model before it was drilled, for example."""
    reference: str = ""
    """A text file, a table of texts or a folder of either, in which the regions are looked for, a
    part of the training text for example. They are then looked for in the documents, too."""
    reference_pattern: str = "*"
    """Names of the files of the reference that are read, for example `*.py`."""
