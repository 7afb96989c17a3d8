"""The section `explorer` of the config."""

from pydantic import Field

from engram.io.settings import Settings


class ExplorerSettings(Settings):
    """The page of single samples, explorer.html."""

    samples: int = Field(default=60, ge=1, le=2000)
    """Held-out samples over all models. Every class of every taxonomy gets the same number, those
    of lowest priority."""
    megabytes: float = Field(default=25.0, ge=1, le=500)
    """Largest size of the page, in 10⁶ bytes; Δ of the last taxonomies is left out where the page
    would exceed it."""
