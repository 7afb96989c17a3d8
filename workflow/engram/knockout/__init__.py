"""Knock-out, or direct localization: attention is removed from the language model itself, and what
it still reproduces is measured.
"""
