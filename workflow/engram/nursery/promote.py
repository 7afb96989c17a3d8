"""`python -m engram.nursery.promote`: makes the base that `snakemake nursery_base` trained the
shipped one.

The only way that resources/nursery/ changes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

FILES = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "windows.parquet",
    "replay.parquet",
    "training.csv",
    "base.json",
)


def promote(trained: Path, shipped: Path) -> None:
    """Copies a trained base over the shipped one; exits with a message where a file is missing."""
    if missing := [name for name in FILES if not (trained / name).is_file()]:
        sys.exit(f"{trained}: {', '.join(missing)} missing; run `snakemake nursery_base` first")
    shipped.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(trained / name, shipped / name)


if __name__ == "__main__":
    promote(Path("results/nursery_base"), Path("resources/nursery"))
    print(
        "resources/nursery/ now holds the new base; commit it together with a line in CHANGELOG.md"
    )
