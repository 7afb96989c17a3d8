"""Pages that open offline: template, style, scripts and data in one HTML file."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engram.io.errors import EngramError
from engram.io.shipped import ROOT

SHELL = ROOT / "workflow" / "pages"
"""Folder of what all pages share: shell.html, shell.css and shell.js."""


@dataclass(frozen=True)
class Page:
    """A page in the shell that all pages share."""

    name: str
    """What the page calls itself, in its title and its masthead."""
    subtitle: str
    """What follows the name of the study in the masthead, as HTML."""
    folder: Path
    """Of the page's own files."""
    body: str
    """File of what is between masthead and data, without `.html`."""
    style: str
    """File of the page's own style, without `.css`."""
    scripts: Sequence[str]
    """In the order in which they are in the page, after the shell's; they share one scope."""
    choices: str = ""
    """What is in the masthead before the button of the theme, as lines of HTML."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What the places of the body are filled with."""

    def render(self, study: str, data: str, blocks: Iterable[str]) -> str:
        """Return the page.

        Args:
            study: name of the study.
            data: what the page says; see `embedded`.
            blocks: what the page unpacks when it shows it; see `block`.

        Raises:
            EngramError: a template has places that the page does not fill, or lacks one.
        """
        styles = (SHELL / "shell.css", self.folder / f"{self.style}.css")
        scripts = (SHELL / "shell.js", *(self.folder / f"{name}.js" for name in self.scripts))
        parts = {
            "title": f"{study} – {self.name}",
            "style": "".join(file.read_text(encoding="utf-8") for file in styles),
            "name": self.name,
            "subtitle": self.subtitle,
            "choices": self.choices,
            "body": fill(self.folder / f"{self.body}.html", self.words),
            "study": data,
            "blocks": "\n".join(blocks),
            "scripts": _in_one_scope(scripts),
        }
        return fill(SHELL / "shell.html", parts)


def fill(template: Path, parts: Mapping[str, str]) -> str:
    """Return a template with its places filled: `{{name}}` with a part, `{{name.html}}` with a file
    of the template's folder, which may have places of its own.

    Raises:
        EngramError: the template has other places.
    """
    text = _with_files(template)
    places = set(re.findall(r"\{\{(\w+)\}\}", text))
    if places != set(parts):
        raise EngramError(
            f"{template}: it has the places {', '.join(sorted(places))}, the page needs "
            f"{', '.join(sorted(parts))}"
        )
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], text)


def _with_files(template: Path) -> str:
    """Return a template with the files that it asks for."""
    return re.sub(
        r"\{\{(\w+\.html)\}\}",
        lambda place: _with_files(template.with_name(place[1])).removesuffix("\n"),
        template.read_text(encoding="utf-8"),
    )


def _in_one_scope(scripts: Iterable[Path]) -> str:
    """Return a page's scripts, in this order and in one scope of their own."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in scripts)
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
