"""Engram: how did a language model come to reproduce a piece of its training text?"""

__version__ = "0.1.0"

SCHEMA_VERSION = 2
"""Version of every file format and of the config; a change that alters results raises it."""
