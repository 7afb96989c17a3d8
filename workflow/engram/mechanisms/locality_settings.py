"""The section `mechanisms.locality` of the config."""

from typing import Literal

from pydantic import Field

from engram.io.settings import Settings, Share


class LocalitySettings(Settings):
    """Is recall local? The heads that it depends on are knocked out, and the embeddings of the
    prefix are optimized until it comes back (arXiv 2507.16880). For every localized taxonomy that
    has both classes."""

    enabled: bool = False
    """Whether the attack is part of the study."""
    recalled: str = "Others"
    """The class whose texts are recalled; taxonomies without it are left out. `Others`, next to
    `Guess`, is what is memorized and not guessed."""
    guessed: str = "Guess"
    """A class that the taxonomy has to have as well, so that guesses are not among `Others`."""
    samples_per_class: int = Field(default=50, ge=2)
    """Most recalled test samples that are attacked; heads are ranked on as many validation
    samples."""
    unseen_texts: int = Field(default=50, ge=2)
    """Windows to compare with, drawn from the candidates outside the taxonomy's samples that are
    not memorized; in the nursery, from those that were never shown."""
    operation: Literal["remove", "mean"] = "remove"
    """What replaces a head's output: 0, or its mean over validation samples."""
    left: float = Field(default=0.2, ge=0, lt=1)
    """Heads are knocked out, the most important first, until no larger share of the recalled texts
    is extracted."""
    most: Share = 0.5
    """Most heads that are knocked out, as a share of all."""
    steps: int = Field(default=50, ge=1)
    """Steps of the attack."""
    learning_rate: float = Field(default=0.1, gt=0)
    """Learning rate of Adam."""
    top: Share = 0.2
    """Share of heads whose sets are compared, from the texts' own prefixes and from the embeddings
    that the attack finds."""

    def forwards(self, layers: int, heads: int) -> int:
        """Return how many windows go through a model of so many layers and heads per layer, at
        most; a backward pass counts as two.
        """
        texts = self.samples_per_class
        removed = max(1, round(self.most * layers * heads))
        # Each of two models is attacked on recalled and on unseen texts.
        attacks = 2 * (texts + self.unseen_texts) * (1 + 3 * self.steps)
        # Heads are ranked three times: on validation samples, and from both kinds of prefixes.
        return 3 * texts * (1 + layers * heads) + texts * removed + texts + attacks
