"""Pages that open offline: template, style, scripts and data in one HTML file."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engram.io.errors import EngramError


def fill(template: Path, parts: Mapping[str, str]) -> str:
    """Return a template with its places `{{name}}` filled.

    Raises:
        EngramError: the template has other places.
    """
    text = template.read_text(encoding="utf-8")
    found = re.findall(r"\{\{(\w+)\}\}", text)
    if sorted(found) != sorted(parts):
        raise EngramError(
            f"{template}: it has the places {', '.join(found)}, the page needs {', '.join(parts)}"
        )
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], text)


def scripts(folder: Path, names: Sequence[str]) -> str:
    """Return a page's scripts, in this order and in one scope of their own."""
    text = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in names)
    return f'(function () {{\n"use strict";\n{text}\n}})();'


def embedded(data: Any) -> str:
    """Return JSON values for an element `<script type="application/json">`.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # No text may end the element that it is in, or open a comment.
    return text.replace("<", "\\u003c")


def block(name: str, text: str) -> str:
    """Return an element of base 64 that the page decodes when it shows it."""
    return f'<script type="application/octet-stream" id="{name}">{text}</script>'


def deflated(data: bytes, level: int = 9) -> str:
    """Return bytes as pages hold them: zlib's format, which browsers know as `deflate`, in base
    64.
    """
    return base64.b64encode(zlib.compress(data, level)).decode("ascii")
