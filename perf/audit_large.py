"""Audit megabytes of text as a user would, and print time, peak memory and the bytes of the page.

The text is what a Python installation has: licences, readmes and sources of packages, and this
project's own sources, in files of at most `--largest` bytes. `--one` puts all of it into one
document. The audit runs through Snakemake in `--folder`, so that it resumes; the peak is that of
the largest process.

    python perf/audit_large.py --megabytes 10 --stride 50 --model nursery
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
PATTERNS = ("LICEN*", "COPYING*", "NOTICE*", "*.md", "*.rst", "*.txt", "*.py")
"""Files that are taken, in this order."""


def texts(largest: int) -> Iterator[str]:
    """Yield the texts of this project and of the environment's packages, each once."""
    seen = set()
    for root in (ROOT / "docs", ROOT / "workflow", Path(sysconfig.get_paths()["purelib"])):
        for pattern in PATTERNS:
            for path in sorted(root.rglob(pattern)):
                if not path.is_file() or path.stat().st_size > largest:
                    continue
                try:
                    text = path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue
                if text.strip() and hash(text) not in seen:
                    seen.add(hash(text))
                    yield text


def write_texts(folder: Path, megabytes: float, largest: int, one: bool) -> tuple[int, int]:
    """Write so many megabytes (10⁶ bytes) of text; return the files and bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files, written, wanted = 0, 0, megabytes * 1e6
    for text in texts(largest):
        data = text.encode()
        name = "all.txt" if one else f"{files:05}.txt"
        with (folder / name).open("ab" if one and files else "wb") as file:
            file.write(data + b"\n")
        files, written = files + 1, written + len(data) + 1
        if written >= wanted:
            break
    else:
        raise SystemExit(f"only {written / 1e6:.1f} MB of text are installed; ask for less")
    return (1 if one else files), written


def audit(arguments: argparse.Namespace, documents: Path) -> float:
    """Run the audit; return seconds."""
    began = time.monotonic()
    subprocess.run(
        [
            *(sys.executable, "-m", "engram", "audit", "--model", arguments.model),
            *("--documents", str(documents), "--study", "large"),
            *("--prefix", str(arguments.prefix), "--suffix", str(arguments.suffix)),
            *("--stride", str(arguments.stride), "--dtype", arguments.dtype),
            *("--cores", str(arguments.cores)),
        ],
        cwd=arguments.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        check=True,
    )
    return time.monotonic() - began


def report(folder: Path, files: int, size: int, seconds: float) -> None:
    """Print what the audit took, in all and job by job."""
    results = folder / "results" / "large"
    documents = pd.read_csv(results / "tables" / "audit_documents.csv")
    page = (results / "audit.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\n{size / 1e6:.1f} MB in {files:,} documents, {documents['windows'].sum():,} windows")
    print(f"{seconds:,.0f} s; the largest process took {peak:,.0f} MB; page {page / 1e6:.1f} MB\n")
    jobs = []
    for path in sorted(results.glob("benchmarks/**/*.tsv")):
        row = pd.read_csv(path, sep="\t").iloc[0]
        jobs.append({"job": path.stem, "seconds": row["s"], "MB": row["max_rss"]})
    print(pd.DataFrame(jobs).to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--largest", type=int, default=400_000, help="bytes of a file")
    parser.add_argument("--one", action="store_true", help="put all text into one document")
    parser.add_argument("--model", default="nursery")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prefix", type=int, default=32)
    parser.add_argument("--suffix", type=int, default=32)
    parser.add_argument("--stride", type=int, default=50)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("results/audit_large"))
    arguments = parser.parse_args()
    if Path(arguments.model).exists():
        arguments.model = str(Path(arguments.model).resolve())
    arguments.folder = arguments.folder.resolve()
    documents = arguments.folder / f"texts-{arguments.megabytes:g}{'-one' * arguments.one}"
    if documents.is_dir():
        sizes = [path.stat().st_size for path in documents.iterdir()]
        files, size = len(sizes), sum(sizes)
    else:
        files, size = write_texts(documents, arguments.megabytes, arguments.largest, arguments.one)
    report(arguments.folder, files, size, audit(arguments, documents))


if __name__ == "__main__":
    main()
