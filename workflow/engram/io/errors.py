"""The error that a user can act on: it names the file, key or class, the value found, and what to
do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHOWN = 300
"""Characters of another library's message that are shown."""


class EngramError(Exception):
    """A user's mistake or a broken input. Its message is shown alone, without a traceback."""


def reason(error: BaseException) -> str:
    """Return what another library's error says, as printable text of one line."""
    return (
        " ".join("".join(sign if sign.isprintable() else " " for sign in str(error)).split())
        or type(error).__name__
    )


@contextmanager
def boundary(what: str, advice: str) -> Iterator[None]:
    """Turn any exception of another library into one line.

    Args:
        what: the file, and what cannot be done with it.
        advice: what the user may do.

    Raises:
        EngramError: for everything that was raised inside and is not one already.
    """
    try:
        yield
    except EngramError:
        raise
    except Exception as error:
        said = reason(error).rstrip(".")
        shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]} …"
        raise EngramError(f"{what} ({shown}); {advice}") from error


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
