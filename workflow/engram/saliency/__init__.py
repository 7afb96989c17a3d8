"""Δ: which attention, in which layer, speaks for a class (paper, localization; Figures 6 and 13–18)."""

from engram.saliency.delta import Delta, choose_held_out, delta, normalize, saliency_of_grid
from engram.saliency.file import Bins, Saliency, read_saliency, write_saliency
from engram.saliency.methods import METHODS, contrast, contrasts

__all__ = [
    "METHODS",
    "Bins",
    "Delta",
    "Saliency",
    "choose_held_out",
    "contrast",
    "contrasts",
    "delta",
    "normalize",
    "read_saliency",
    "saliency_of_grid",
    "write_saliency",
]
