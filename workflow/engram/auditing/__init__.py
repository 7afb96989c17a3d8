"""The audit: what of a person's documents a model reproduces, window by window, as regions of the
text and as a page.
"""
