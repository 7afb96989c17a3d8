"""Packs a study without its attention."""

from pathlib import Path

from engram.run.bundle import write_bundle
from engram.run.job import job

with job(snakemake):
    path = Path(snakemake.output.bundle)
    results = path.with_name(path.name.removesuffix(".bundle.tar"))
    sizes = write_bundle(results, snakemake.params.config, path)
    print(
        f"{path}: {path.stat().st_size / 1e6:,.1f} MB, {sizes['files']:,} files; left out "
        f"{sizes['files_left_out']:,} files of "
        f"{sizes['bytes_left_out'] / 1e6:,.1f} MB. On another machine: tar xf {path.name} in a "
        f"checkout, then "
        f"python -m engram.run.bundle {results}"
    )
