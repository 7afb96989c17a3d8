"""The section `plan` of the config."""

from pydantic import Field

from engram.io.settings import Settings


class Rates(Settings):
    """What `snakemake plan` assumes of one GPU when it converts floating-point operations into
    hours."""

    forward: float = Field(default=3.0e14, gt=0)
    """Operations per second in the forward passes of the extraction; the default is half of what an
    H100 multiplies in half precision."""
    continuation: float = Field(default=5.0e13, gt=0)
    """Operations per second while continuations are generated token by token."""
