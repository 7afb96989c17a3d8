"""The section `mechanisms.steering` of the config."""

from collections.abc import Iterator
from math import ceil
from typing import Annotated

from pydantic import Field

from engram.io.settings import Items, Settings

Step = Annotated[float, Field(ge=-10, le=10)]
"""A step along the direction, as a fraction of the mean norm of a state."""
WORKER_ROWS = 64
"""Edited runs of a worker's batch, as `engram.lm.models.PROCESSOR_ROWS`."""
TRIED = 3
"""Forwards that find out whether edited runs may compute the suffix alone."""


class SteeringSettings(Settings):
    """Steering: can recall be switched off while guesses are kept? A probe of recall is fitted to
    the residual stream, and while the model decodes, its states are pushed along the probe's
    direction (arXiv 2510.22099). For every localized taxonomy that has both classes."""

    enabled: bool = False
    """Whether steering is part of the study."""
    recalled: str = "Others"
    """The class whose texts are recalled; taxonomies without it are left out. `Others`, next to
    `Guess`, is what is memorized and not guessed."""
    kept: str = "Guess"
    """The class whose texts should stay extracted; taxonomies without it are left out."""
    samples_per_class: int = Field(default=50, ge=2)
    """Most samples per class and split: the probe is fitted on training samples, depth and α are
    chosen on validation samples, effects are reported on test samples."""
    other_texts: int = Field(default=50, ge=0)
    """Texts outside all samples of the taxonomy, drawn from the candidates that are not memorized,
    whose perplexity is measured under steering."""
    alphas: Annotated[tuple[Step, ...], Items(1)] = (
        *(-1.0, -0.5, -0.25, -0.125),
        *(0.125, 0.25, 0.5, 1.0),
    )
    """Steps α, as fractions of the mean norm of a state; positive ones lead away from recall. The
    intact model, α = 0, is always measured."""
    depth: int = Field(default=0, ge=0)
    """The layer, counted from 1, whose output is steered; 0 chooses it by activation patching."""
    draws: int = Field(default=20, ge=20, le=1000)
    """Random directions to compare with."""
    shuffles: int = Field(default=5, ge=1, le=1000)
    """Probes of shuffled classes to compare with."""
    places: int = Field(default=8, ge=1)
    """Positions of each suffix whose states the probe is fitted on."""
    strength: float = Field(default=0.01, gt=0)
    """Penalty λ of the probe: λ/2 · Σ w² on standardized states is added to the mean loss."""

    def forwards(self, classes: int, layers: int, share: float = 1.0) -> int:
        """Return how many windows go through a model of so many layers, at most, for a taxonomy of
        so many classes.

        Args:
            share: of a whole forward that an edited run takes; below 1 where the run computes the
                suffix alone, beginning from a forward of the intact model.
        """
        of_two, steps = 2 * self.samples_per_class, len({*self.alphas} - {0.0})
        directions = 1 + self.draws + self.shuffles
        chosen = classes * self.samples_per_class
        tested = chosen + self.other_texts
        edited = layers * of_two + steps * (chosen + tested * directions)
        # The intact model is measured, and gives what edited runs begin from: once per text, and
        # once more where workers share a text. Four times a first text is tried.
        intact = 2 * of_two + 2 * (of_two + chosen + tested) + edited // WORKER_ROWS + 4 * TRIED
        return intact + ceil(share * edited)

    def mistakes(self) -> Iterator[str]:
        """Yield a class that is to be switched off and kept."""
        if self.recalled == self.kept:
            yield f"mechanisms.steering.kept: `{self.kept}` is also `recalled`; name another class"
