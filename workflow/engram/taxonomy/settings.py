"""The sections of the config on taxonomies and sample lists: categories, `rho`, `samples`,
`protocols`."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from engram.io.settings import Items, Settings, Share, Slug, section

PAPER = "paper"
"""A word in the config's list of taxonomies that means all of
`engram.taxonomy.catalogue.paper_names`."""
TaxonomyName = Annotated[str, Field(min_length=3, max_length=200)]
"""A taxonomy as the paper writes it."""
Delta = Annotated[float, Field(ge=0, le=999_999_999)]
"""A number of duplicates δ."""
ProtocolName = Literal["engram", "paper", "reference"]
"""A key of `engram.taxonomy.protocols.PROTOCOLS`."""


SplitUnit = Literal["content_group", "document", "cluster"]
"""What stays in one split, see `SampleSettings.split_by`."""
Kind = bool | str
"""A value of a column that says what kind of text a window is."""


def _as_name(shown: str | bool) -> str:
    """Return the name of a display; YAML reads a bare `true` as a truth value."""
    return shown if isinstance(shown, str) else "true"


Shown = Annotated[Literal["own", "true", "own-for-all", True], AfterValidator(_as_name)]
"""Which text samples show, see `SampleSettings.shown`."""


class CategorySettings(Settings):
    """A primary category in addition to the paper's."""

    name: str = Field(max_length=60)
    """Capitalized name, as taxonomies write it."""
    where: str = Field(max_length=500)
    """Predicate over label columns, e.g. `rouge_l >= rho and not is_code`."""
    parameters: Annotated[tuple[str, ...], Items(unique=False)] = ()
    """Names in `where` that stand for the numbers in brackets."""
    defaults: Annotated[tuple[float, ...], Items(unique=False)] = ()
    """Values of the parameters where a taxonomy gives none."""


class RhoSettings(Settings):
    """Thresholds ρ of Guess that are compared in the new taxonomy (the paper's Table 4)."""

    rouge_l: Annotated[tuple[Share, ...], Items()] = ()
    """Thresholds of ROUGE-L alone."""
    rouge_3: Annotated[tuple[Share, ...], Items()] = ()
    """Thresholds of ROUGE-3 alone."""
    both: Annotated[tuple[Share, ...], Items()] = ()
    """Thresholds that either of the two may reach."""


class MatchSettings(Settings):
    """Classes that are matched in what could explain a difference between them
    (`engram.taxonomy.matching`)."""

    columns: Annotated[tuple[str, ...], Items()] = ()
    """Numeric columns of the labels in which the classes of every taxonomy are matched, such as
    `suffix_log_prob` and `rouge_l`: within each cell of quantiles every class gives as many
    samples, and what the classes do not share is left out. Under the protocol `engram` alone; not
    in the search. They are measured on the true text, which `samples.shown: true` shows."""
    bins: int = Field(default=5, ge=2, le=50)
    """Quantiles of each column."""


class HeldOutSettings(Settings):
    """A kind of text that is held out: classifiers are trained on other kinds and tested on it."""

    name: Slug
    """Its name in paths and tables, `held-out-<name>`."""
    column: str = Field(max_length=60)
    """A column of the labels that says what kind of text a window is, such as `is_code` or
    `kind`."""
    train: Annotated[tuple[Kind, ...], Items(1)]
    """Values of the column whose windows are in the training and validation splits."""
    test: Annotated[tuple[Kind, ...], Items(1)]
    """Other values, whose windows are the test split."""

    def mistakes(self) -> Iterator[str]:
        """Yield a kind that would be on both sides."""
        for kind in self.train:
            if kind in self.test:
                yield (
                    f"samples.held_out: {self.name}: {kind!r} is in both train and test; leave it "
                    f"out of one"
                )


class SampleSettings(Settings):
    """Sizes of the sample lists and of their splits."""

    per_class: int = Field(default=400, ge=10)
    """Samples requested per class; all classes of a taxonomy shrink to its smallest."""
    minimum: int = Field(default=100, ge=10)
    """Fewest samples per class with which the study continues; below it, an error lists the size of
    every class."""
    train: float = Field(default=0.6, gt=0, lt=1)
    """Share of the samples that train the CNNs, under the protocol `engram`."""
    validation: float = Field(default=0.2, gt=0, lt=1)
    """Share of the samples on which epochs are chosen, under the protocol `engram`; the rest is the
    test split."""
    shown: Shown = "own"
    """The text whose attention, hidden states and knock-outs are studied. `own`, the paper's way:
    Non-Memo samples show the model's own continuation, the others their true text. `true`: every
    sample shows its true text. `own-for-all`: every sample shows the model's own continuation,
    which for an extracted sample is the true text."""
    match: MatchSettings = section()
    """Columns in which the classes are matched; none by default."""
    split_by: SplitUnit = "content_group"
    """What stays in one split, under the protocol `engram`. `content_group`: windows with equal
    suffixes. `document`: those of one document, too. `cluster`: also those that share 16 tokens in
    a row, and whatever they are linked to. The last two compare all candidates in memory."""
    held_out: Annotated[tuple[HeldOutSettings, ...], Items(unique=False)] = ()
    """Kinds of text that are held out: for each, every taxonomy is trained and tested once more as
    under the protocol `engram`, for `tables/scores.csv`, `counts.csv` and `leakage.csv`."""

    def mistakes(self) -> Iterator[str]:
        """Yield splits that leave no test samples, and a minimum that no class can reach."""
        if self.train + self.validation >= 1:
            both = f"train {self.train:g} and validation {self.validation:g}"
            yield f"samples: {both} leave nothing to test on; make them sum to less than 1"
        if self.minimum > self.per_class:
            yield (
                f"samples.minimum: {self.minimum} is greater than samples.per_class, "
                f"{self.per_class}; lower it"
            )
        names = [entry.name for entry in self.held_out]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"samples.held_out: {name} is the name of several; give each its own"
        yield from super().mistakes()


class DrawSettings(Settings):
    """How a sample list is drawn and split: `SampleSettings` under a protocol."""

    per_class: int = Field(ge=1)
    """Samples requested per class; all classes shrink to the smallest one."""
    minimum: int = Field(ge=1)
    """Fewest samples per class with which the study continues."""
    train: float = Field(gt=0, le=1)
    """Share of the samples (content groups or sequences) that train the CNNs."""
    validation: float = Field(ge=0, lt=1)
    """Share on which choices are made; the rest is the test split."""
    split_by: Literal[SplitUnit, "sequence"]
    """`content_group`, `document`, `cluster`: such samples stay in one split, and the shares hold
    on average. `sequence`: they may fall into several, and every class has exactly its shares, as
    in the paper."""
    match: MatchSettings = section()
    """Columns in which the classes are matched."""
