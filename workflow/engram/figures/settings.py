"""The section `figures` of the config."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from engram.io.settings import Items, Settings


class FigureSettings(Settings):
    """Look of the figures. A change redraws figures and nothing else."""

    formats: Annotated[tuple[Literal["svg", "png", "pdf"], ...], Items(1)] = ("svg", "png")
    """File formats of each figure; the report shows the first."""
    dpi: int = Field(default=160, ge=50, le=600)
    """Resolution of PNG files, in pixels per inch."""
    font_size: float = Field(default=8.5, ge=5, le=24)
    """Base font size, in points."""
    colormap: str = "engram"
    """Colour map of attention and Δ: `engram` (white to dark blue), or any that matplotlib
    knows."""
    palette: dict[str, str] = Field(default={})
    """Colours of categories that differ from the built-in ones or are missing there, e.g.
    `{"Guess": "#e69f00"}`."""

    def mistakes(self) -> Iterator[str]:
        """Yield colours that matplotlib does not know."""
        if self.colormap == "engram" and not self.palette:
            return
        # Only here: matplotlib takes longer to import than everything else that reads a config.
        import matplotlib
        from matplotlib.colors import is_color_like

        if self.colormap != "engram" and self.colormap not in matplotlib.colormaps:
            yield (
                f"figures.colormap: matplotlib has no `{self.colormap}`; use `engram`, or for "
                f"example `viridis` or `magma_r`"
            )
        for name, color in self.palette.items():
            if not is_color_like(color):
                yield f"figures.palette.{name}: `{color}` is not a colour; write it as #rrggbb"
