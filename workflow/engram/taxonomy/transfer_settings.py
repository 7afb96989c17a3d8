"""The section `transfer` of the config."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from engram.io.settings import Items, Settings, Slug
from engram.taxonomy.settings import TaxonomyName

PREFIX = "transfer-"
"""Beginning of the names under which classifiers of kinds are trained, in place of a protocol."""
REVERSED = "-reversed"
"""End of the name under which the classifiers of the kind `test` are trained."""

Predicate = Annotated[str, Field(min_length=1, max_length=500)]
"""A predicate over label columns."""
ClassName = Annotated[str, Field(min_length=1, max_length=120)]
"""A class of a taxonomy."""


class TransferKind(Settings):
    """Two kinds of windows. Classifiers are trained on each, and tested on both."""

    name: Slug
    """Its name in paths and tables: `transfer-<name>` is trained on `train`,
    `transfer-<name>-reversed` on `test`."""
    train: Predicate
    """One kind: a predicate over label columns, e.g. `is_code` or `exposures > 0`."""
    test: Predicate
    """The other kind, e.g. `not is_code`. No window may be of both."""
    classes: Annotated[tuple[ClassName, ...], Items()] = ()
    """Classes that the predicates divide, e.g. the class of recalled windows by where they were
    learned; all windows of the other classes are on both sides. Empty: all classes."""

    def mistakes(self) -> Iterator[str]:
        """Yield two predicates that are one."""
        if self.train == self.test:
            yield (
                f"transfer.kinds: {self.name}: train and test are both `{self.train}`; name two "
                f"kinds that exclude each other"
            )


class TransferSettings(Settings):
    """Classifiers tested where they were not trained: on another kind of text, on windows of
    another origin, on another model (protocol `engram`)."""

    enabled: bool = False
    """Whether transfer is part of the study."""
    taxonomies: Annotated[tuple[TaxonomyName, ...], Items()] = ()
    """Taxonomies whose classifiers are tested elsewhere. Empty: all of the study."""
    kinds: Annotated[tuple[TransferKind, ...], Items(unique=False)] = ()
    """Pairs of kinds, or of origins. For each, every model and taxonomy has two more trainings, and
    up to twice `samples.per_class` further samples of each class."""
    models: bool = True
    """Whether the CNNs of every model are tested on the maps of every other model of the study.
    Layers are resampled to relative depth where their numbers differ; nothing is trained."""

    def mistakes(self) -> Iterator[str]:
        """Yield names that two pairs of kinds share."""
        names = [name for entry in self.kinds for name in (entry.name, f"{entry.name}{REVERSED}")]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"transfer.kinds: {name} is the name of several; give each its own"
        yield from super().mistakes()
