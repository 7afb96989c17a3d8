"""The version of what Engram writes."""

SCHEMA_VERSION = 4
"""Version of every file format and of the config; a change that alters results raises it."""
