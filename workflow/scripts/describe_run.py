"""Write where the results come from."""

from engram.io.artifacts import read_metadata, write_json
from engram.run.job import job
from engram.run.provenance import describe_run

with job(snakemake) as settings:
    models = {
        name: read_metadata(path)
        for name, path in zip(settings.models, snakemake.input.labels, strict=True)
    }
    write_json(describe_run(settings.config, settings.stages, models), snakemake.output.run)
