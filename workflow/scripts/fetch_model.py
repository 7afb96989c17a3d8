"""Makes the folder of a model that was not trained here: configuration, tokenizer, links to the
weights.
"""

from pathlib import Path

from engram.run.job import job
from engram.sources.snapshots import fetch_model

with job(snakemake):
    params = snakemake.params
    fetch_model(params.model, params.revision or None, Path(snakemake.output.config).parent)
