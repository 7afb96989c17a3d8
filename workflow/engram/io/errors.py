"""The error a user can mend: it names the file, key or class, the value found, and what to do."""


class EngramError(Exception):
    """A user's mistake or a broken input. Its message is shown alone, without a traceback."""


def reason(error: BaseException) -> str:
    """What another library's error says, as printable text of one line."""
    return (
        " ".join("".join(sign if sign.isprintable() else " " for sign in str(error)).split())
        or type(error).__name__
    )
