"""The error a user can mend: it names the file, key or class, the value found, and what to do."""


class EngramError(Exception):
    """A user's mistake or a broken input. Its message is shown alone, without a traceback."""
