"""The section `explorer` of the config."""

from pydantic import Field

from engram.io.settings import Settings


class ExplorerSettings(Settings):
    """The pages of single texts: explorer.html for samples, explorer_pairs.html for windows of
    crossed pairs."""

    samples: int = Field(default=60, ge=1, le=2000)
    """Held-out samples over all models, and test windows over all pairs. Every class of every
    taxonomy gets the same number of samples, those of lowest priority; every stratum, arm and
    outcome the same number of windows."""
    megabytes: float = Field(default=25.0, ge=1, le=500)
    """Largest size of each page, in 10⁶ bytes. Where it would be exceeded, Δ of the last taxonomies
    is left out of explorer.html, and the last windows of every pair of explorer_pairs.html."""
