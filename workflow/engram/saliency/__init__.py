"""Δ: which attention, in which layer, speaks for a class (paper, localization; Figures 6 and
13–18).
"""
