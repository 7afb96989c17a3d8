"""Engram: how did a language model come to reproduce a piece of its training text?"""

__version__ = "0.1.0"
