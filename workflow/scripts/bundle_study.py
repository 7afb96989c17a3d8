"""Pack a study without its attention."""

from pathlib import Path

from engram.run.bundle import write_bundle
from engram.run.job import job

with job(snakemake) as settings:
    path = Path(snakemake.output.bundle)
    results = path.with_name(path.name.removesuffix(".bundle.tar"))
    sizes = write_bundle(results, settings.config, path)
    print(
        f"{path}: {path.stat().st_size / 1e6:,.1f} MB, {sizes['files']:,} files; left out "
        f"{sizes['files_left_out']:,} files of {sizes['bytes_left_out'] / 1e6:,.1f} MB. On another "
        f"machine: tar xf {path.name} in a checkout, then python -m engram bundle {results}"
    )
