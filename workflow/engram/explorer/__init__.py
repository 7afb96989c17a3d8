"""The explorer: one page that shows single samples with all that the study says of them, and needs
neither server nor network.
"""
