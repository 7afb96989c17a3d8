"""`python -m engram config-reference README.md`: writes the config reference between its marks,
from the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engram.io.errors import EngramError
from engram.run.config import load_schema

BEGIN, END = "<!-- config reference: begin -->", "<!-- config reference: end -->"


def reference(schema: dict[str, Any]) -> str:
    """A Markdown table: key, type, default, meaning; a row per key, nested keys with dots, list
    items with `[]`.
    """
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{key}` | {kind} | {default} | {meaning} |"
        for key, kind, default, meaning in _rows("", schema, schema)
    ]
    return "\n".join(rows)


def insert(text: str, table: str) -> str:
    """`text` with `table` between the marks."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def _rows(
    prefix: str, schema: dict[str, Any], root: dict[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    for key, entry in schema.get("properties", {}).items():
        entry = _resolved(entry, root)
        required = key in schema.get("required", ())
        default = (
            "required"
            if required
            else f"`{json.dumps(entry['default'])}`"
            if entry.get("default", {}) != {}
            else ""
        )
        yield (
            f"{prefix}{key}",
            _kind(entry),
            default.replace("|", "\\|"),
            entry.get("description", "").replace("|", "\\|"),
        )
        yield from _rows(f"{prefix}{key}.", entry, root)
        if "items" in entry:
            yield from _rows(f"{prefix}{key}[].", _resolved(entry["items"], root), root)


def _resolved(entry: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    return root["$defs"][entry["$ref"].rsplit("/", 1)[1]] | entry if "$ref" in entry else entry


def _kind(entry: dict[str, Any]) -> str:
    if "enum" in entry:
        return " or ".join(f"`{value}`" for value in entry["enum"])
    if "items" in entry:
        items = entry["items"]
        return "list of " + (
            " or ".join(f"`{v}`" for v in items["enum"])
            if "enum" in items
            else items.get("type", "mappings")
        )
    kind = entry.get("type", "")
    kind = kind if isinstance(kind, str) else " or ".join(kind)
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {entry[name]:g}" for name, sign in signs.items() if name in entry]
    return " ".join([kind, ", ".join(bounds)]).strip()


def command(page: Path) -> None:
    """Write the reference between its marks on a page.

    Raises:
        EngramError: the page lacks the marks.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise EngramError(f"{page}: without the marks {BEGIN} and {END}")
    page.write_text(insert(text, reference(load_schema())), encoding="utf-8")
