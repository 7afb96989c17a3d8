"""Packs a study without its attention."""

from pathlib import Path

from engram.bundle import write_bundle
from engram.job import job

with job(snakemake):
    path = Path(snakemake.output.bundle)
    sizes = write_bundle(Path(snakemake.output.bundle.removesuffix(".bundle.tar")), snakemake.params.config, path)
    print(
        f"{path}: {path.stat().st_size / 1e6:,.1f} MB, {sizes['files']:,} files; left out {sizes['files_left_out']:,} files of "
        f"{sizes['bytes_left_out'] / 1e6:,.1f} MB. On another machine: tar xf {path.name} in a checkout, then "
        f"python -m engram.bundle {snakemake.output.bundle.removesuffix(".bundle.tar")}"
    )
