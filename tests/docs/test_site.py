"""The documentation as a site: it builds without a warning and loads nothing from the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class References(HTMLParser):
    """Collects what a page loads: scripts, styles, pictures, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.loaded += [given[key] or "" for key in ("src", "srcset") if key in given]
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning of MkDocs fails the build."""
    pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install engram[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    offline = {"NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"}
    build = subprocess.run(
        command, cwd=ROOT, env=os.environ | offline, capture_output=True, text=True, check=False
    )
    assert build.returncode == 0, build.stderr[-3000:]
    assert "WARNING" not in build.stderr
    return folder


def test_the_site_has_every_page_of_the_navigation(site: Path) -> None:
    pages = {"index", "your-model", "concepts", "results", "performance", "cluster", "config"}
    pages |= {"architecture", "reruns", "store", "training", "statistics", "knockout", "paper"}
    pages |= {"api/index", "api/taxonomy", "api/lm"}
    if (DOCS / "tutorial.ipynb").exists():
        pages.add("tutorial")
    assert [page for page in sorted(pages) if not (site / f"{page}.html").exists()] == []


def test_the_site_loads_nothing_from_the_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        references = References()
        references.feed(page.read_text(encoding="utf-8"))
        remote = [target for target in references.loaded if re.match(r"(https?:)?//", target)]
        assert remote == [], page.name
