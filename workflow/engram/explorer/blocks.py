"""The blocks of maps of a page, and how much of the page they may fill."""

from __future__ import annotations

from dataclasses import dataclass, field

from engram.explorer.settings import ExplorerSettings
from engram.io.errors import EngramError

MEGABYTE = 1_000_000
_PAGE_SHARE = 0.97
"""Of the page's size that maps may fill; the rest is left to style, scripts and texts."""


@dataclass
class Blocks:
    """Encoded maps as they gather, and what they take."""

    page: ExplorerSettings
    """Its `megabytes` are the page's largest size."""
    texts: dict[str, str] = field(default_factory=dict)
    """Name → base 64 of deflated maps."""

    def add(self, name: str, text: str, share: float = 1.0) -> bool:
        """Keep a block unless the blocks would fill more than a share of the page; return whether
        it was kept."""
        limit = share * _PAGE_SHARE * self.page.megabytes * MEGABYTE
        if sum(map(len, self.texts.values())) + len(text) > limit:
            return False
        self.texts[name] = text
        return True

    def require(self, name: str, text: str, done: str) -> None:
        """Keep a block.

        Args:
            name: of the block.
            text: its maps.
            done: what fills the page already, for the message.

        Raises:
            EngramError: the page would grow beyond its limit.
        """
        if not self.add(name, text):
            raise EngramError(
                f"explorer: {done} fill its {self.page.megabytes:g} MB; lower explorer.samples or "
                f"raise explorer.megabytes"
            )
