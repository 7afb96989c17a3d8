"""The error that a user can act on: it names the file, key or class, the value found, and what to
do."""

from __future__ import annotations

from pathlib import Path


class EngramError(Exception):
    """A user's mistake or a broken input. Its message is shown alone, without a traceback."""


def reason(error: BaseException) -> str:
    """Return what another library's error says, as printable text of one line."""
    return (
        " ".join("".join(sign if sign.isprintable() else " " for sign in str(error)).split())
        or type(error).__name__
    )


def printable(text: str) -> str:
    """Return a text that UTF-8 can store: half characters, as in file names of another encoding,
    are written as escapes.
    """
    return text.encode(errors="backslashreplace").decode()


def unwritable(path: str | Path, error: OSError) -> EngramError:
    """Return the error for a file that could not be written, on a full disk for instance."""
    return EngramError(
        f"{path}: cannot be written ({error.strerror or reason(error)}); resolve that and run again"
    )
