"""MkDocs hooks: pages that are made while the site is built.

- `api/ROOM.md`, one for each package under workflow/engram, with its modules' docstrings;
- `tutorial.md`, from docs/tutorial.ipynb with its outputs; without the notebook the page is left
  out.

And one replacement: the theme's offline search asks for a script from the network; the pages take
search-offline.js instead.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

PACKAGE = Path(__file__).parents[1] / "workflow/engram"
NOTEBOOK = Path(__file__).parent / "tutorial.ipynb"
REMOTE_SHIM = "https://unpkg.com/iframe-worker/shim"
TITLES = {
    "api": "Front door",
    "lm": "Language models",
    "windows": "Windows and labels",
    "taxonomy": "Taxonomies",
    "sources": "Sources",
    "nursery": "Nursery",
    "store": "Attention store",
    "cnn": "CNNs",
    "scores": "Scores",
    "saliency": "Saliency",
    "knockout": "Knock-out",
    "mechanisms": "Mechanisms",
    "series": "Series of models",
    "figures": "Figures",
    "explorer": "Explorer",
    "io": "Files",
    "run": "Operations",
}
"""Titles of the API pages in their order; other packages follow under their own names."""


def rooms() -> list[str]:
    """Return the packages under workflow/engram, those of `TITLES` first."""
    present = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return [name for name in TITLES if name in present] + sorted(present - TITLES.keys())


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: the API pages, and no tutorial without a notebook."""
    assert config.nav is not None
    if not NOTEBOOK.exists():
        config.nav = [entry for entry in config.nav if "Tutorial" not in entry]
    for entry in config.nav:
        if "Python API" in entry:
            entry["Python API"] += [f"api/{room}.md" for room in rooms()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for room in rooms():
        title = TITLES.get(room, room.capitalize())
        text = f"# {title}\n\n::: engram.{room}\n    options:\n      heading_level: 2\n"
        files.append(File.generated(config, f"api/{room}.md", content=text))
    if NOTEBOOK.exists():
        notebook = files.get_file_from_path(NOTEBOOK.name)
        if notebook is not None:
            files.remove(notebook)
        page, images = convert(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
        files.append(File.generated(config, "tutorial.md", content=page))
        for name, content in images.items():
            files.append(File.generated(config, name, content=content))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Replace the one script that the theme would load from the network."""
    return output.replace(REMOTE_SHIM, get_relative_url("search-offline.js", page.url))


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Replace that script on the page for addresses that do not exist, too."""
    return output_content.replace(REMOTE_SHIM, "search-offline.js")


def convert(notebook: dict[str, Any]) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by the names the text uses."""
    parts: list[str] = []
    images: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).rstrip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            if source:
                parts.append(f"```python\n{source}\n```")
            for output in cell["outputs"]:
                parts.append(_shown(output, images))
    return "\n\n".join(part for part in parts if part) + "\n", images


def _shown(output: dict[str, Any], images: dict[str, bytes]) -> str:
    """Return one output of a cell as Markdown; pictures are added to `images`."""
    if output["output_type"] == "stream":
        # A progress bar is of no use on a page, and it comes on the error stream.
        shown = "" if output.get("name") == "stderr" else "".join(output["text"])
        return _preformatted(shown)
    data = output.get("data", {})
    for kind in ("image/svg+xml", "image/png"):
        if kind in data:
            content = "".join(data[kind])
            suffix = "png" if kind == "image/png" else "svg"
            name = f"tutorial-{len(images) + 1}.{suffix}"
            images[name] = base64.b64decode(content) if suffix == "png" else content.encode()
            return f"![output of the cell above]({name}){{ .notebook-picture }}"
    if "text/html" in data:
        html = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        html = re.sub(r'<table border="1" class="dataframe">', "<table>", html)
        # A blank line would end the HTML block in Markdown.
        lines = [line.strip() for line in html.splitlines() if line.strip()]
        return '<div class="notebook-output">\n' + "\n".join(lines) + "\n</div>"
    return _preformatted("".join(data.get("text/plain", "")))


def _preformatted(text: str) -> str:
    return f"```{{ .text .notebook-output }}\n{text.rstrip()}\n```" if text.strip() else ""
