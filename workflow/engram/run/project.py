"""The project's own folder, for operations; see `engram.io.shipped`."""

from __future__ import annotations

from engram.io.shipped import PACKAGE, ROOT

__all__ = ["PACKAGE", "ROOT"]
