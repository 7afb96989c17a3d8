"""What is wrong with settings that a user wrote: one line per mistake, with the key, the value
found and what is wanted."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from engram.io.errors import EngramError

MAX_DEPTH = 12
"""Levels of nesting beyond which a mapping is refused; no settings are nested as deeply."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_TYPES = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
}
"""What a value is not, by pydantic's type of error."""
_LIMITS = {
    "greater_than": "is not greater than {gt:g}",
    "greater_than_equal": "is less than the minimum, {ge:.10g}",
    "less_than": "is not less than {lt:g}",
    "less_than_equal": "is greater than the maximum, {le:.10g}",
    "string_too_short": "is shorter than {min_length} characters",
    "string_too_long": "is longer than {max_length} characters",
    "too_short": "has too few items; the minimum is {min_length}",
    "too_long": "has too many items; the maximum is {max_length}",
    "string_pattern_mismatch": (
        "is not a name; use lower-case letters, digits, `-`, `_` and `.` (no path)"
    ),
}
"""What a value does that breaks a limit, by pydantic's type of error."""


def plain_values(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Return a copy of what YAML holds, with whole floats as integers.

    Args:
        value: mappings, lists and scalars.
        path: where the value lies in the config.

    Raises:
        EngramError: one line for everything that YAML can hold and no settings mean: numbers that
            are not finite or too large, control characters, keys that are not text, endless
            nesting.
    """
    mistakes: list[str] = []
    copied = _plain(value, path, len(path), mistakes)
    if mistakes:
        raise EngramError("\n".join(dict.fromkeys(mistakes)))
    return copied


def _plain(value: Any, path: tuple[str, ...], depth: int, mistakes: list[str]) -> Any:
    match value:
        case dict() | list() if depth == MAX_DEPTH:
            raise EngramError(f"{_place(path)}: nested deeper than {MAX_DEPTH} levels")
        case dict():
            for key in value:
                if isinstance(key, str):
                    _plain(key, path, depth, mistakes)
                else:
                    kind = type(key).__name__
                    mistakes.append(
                        f"{_place(path)}: a key of type {kind} is not text; put it in quotes"
                    )
            return {
                key: _plain(inner, (*path, str(key)), depth + 1, mistakes)
                for key, inner in value.items()
            }
        case list():
            return [
                _plain(item, (*path, str(number)), depth + 1, mistakes)
                for number, item in enumerate(value)
            ]
        case float() if not math.isfinite(value):
            mistakes.append(f"{_place(path)}: {value} is not a finite number")
        case int() | float() if abs(value) >= 2**63:
            mistakes.append(f"{_place(path)}: a number beyond 2^63 is too large")
        case float() if value.is_integer():
            return int(value)
        case str() if control := _CONTROL.search(value):
            mistakes.append(
                f"{_place(path)}: the text {value!r:.80} contains the control character "
                f"{control[0]!r}; remove it"
            )
    return value


def error_lines(
    errors: Sequence[Mapping[str, Any]], settings: type[BaseModel], path: tuple[str, ...] = ()
) -> list[str]:
    """Return one line per mistake, ordered by key.

    Args:
        errors: as `pydantic.ValidationError.errors` lists them.
        settings: the model that refused the values.
        path: where the values lie in the config.
    """
    places = {error["loc"] for error in errors}
    unknown: dict[tuple, list[str]] = {}
    missing: dict[tuple, list[str]] = {}
    lines: dict[tuple[str, ...], list[str]] = {}
    for error in errors:
        place = error["loc"]
        if error["type"] == "extra_forbidden":
            unknown.setdefault(place[:-1], []).append(str(place[-1]))
        elif error["type"] == "missing":
            missing.setdefault(place[:-1], []).append(str(place[-1]))
        # A list whose items are wrong also counts as too short.
        elif error["type"] != "too_short" or not any(
            len(other) > len(place) and other[: len(place)] == place for other in places
        ):
            lines.setdefault(_keys(path, place), []).append(_described(error))
    for place, keys in unknown.items():
        known = sorted(_model_at(settings, place).model_fields)
        lines.setdefault(_keys(path, place), []).append(_unknown(sorted(keys), known))
    for place, keys in missing.items():
        verb = "is" if len(keys) == 1 else "are"
        lines.setdefault(_keys(path, place), []).append(f"{', '.join(keys)} {verb} missing")
    return list(
        dict.fromkeys(
            f"{_place(keys)}: {_printable(text)}"
            for keys, texts in sorted(lines.items())
            for text in texts
        )
    )


def _keys(path: tuple[str, ...], place: tuple) -> tuple[str, ...]:
    return (*path, *map(str, place))


def _place(path: tuple[str, ...]) -> str:
    """Return the keys joined by dots, as printable text."""
    return _printable(".".join(path)) or "config"


def _printable(text: str) -> str:
    """Return the text on one line, without control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _described(error: Mapping[str, Any]) -> str:
    """Return what was found and what is wanted."""
    kind, value, limits = error["type"], error["input"], error.get("ctx", {})
    found = _shown(value)
    if kind in _TYPES:
        return f"{found} is not {_TYPES[kind]}{_advice(kind, value)}"
    if kind in _LIMITS:
        return f"{found} {_LIMITS[kind].format(**limits)}"
    if kind == "literal_error":
        expected = limits["expected"].replace("True", "true").replace("False", "false")
        guess = _guess(value, re.findall("'([^']+)'", expected))
        return f"{found} is not {expected}{guess}"
    if kind == "repeated":
        return f"{_shown(limits['item'])} appears twice in {found}"
    return f"{found}: {error['msg']}"


def _advice(kind: str, value: Any) -> str:
    """Return what to do about quotes, where these make the difference."""
    if kind == "string_type" and isinstance(value, int | float | datetime.date):
        return "; put it in quotes"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        match = re.fullmatch(r"([+-]?\d+)(\.\d*)?(?:e([+-]?)(\d+))?", value, re.IGNORECASE)
        if match and match[4]:
            number = f"{match[1]}{match[2] or '.0'}e{match[3] or '+'}{match[4]}"
            return f"; YAML wants a point and a sign, {number}"
        if match and (kind == "float_type" or not match[2]):
            return "; remove the quotes"
    return ""


def _shown(value: Any) -> str:
    """Return a value as YAML writes it, shortened to 80 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, datetime.date):
        return str(value)
    shown = repr(list(value) if isinstance(value, tuple) else value)
    return shown if len(shown) <= 80 else shown[:77] + "…"


def _unknown(keys: Sequence[str], known: Sequence[str]) -> str:
    """Return the line for keys that settings do not have."""
    listed = ", ".join(f"{key}{_guess(key, known)}" for key in keys)
    return f"unknown key{'s' if len(keys) > 1 else ''} {listed}; known are {', '.join(known)}"


def _guess(text: Any, known: Sequence[str]) -> str:
    """Return a question about the known word that was probably meant, if there is one."""
    import difflib  # only here: a plan does not need it

    close = difflib.get_close_matches(text, known, 1) if isinstance(text, str) else []
    return f" (did you mean {close[0]}?)" if close else ""


def _model_at(settings: type[BaseModel], place: tuple) -> type[BaseModel]:
    """Return the model that validates the mapping at a place in the values."""
    model = settings
    for part in place:
        if isinstance(part, str):
            model = next(models_of(model.model_fields[part].annotation))
    return model


def models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_of(argument)
