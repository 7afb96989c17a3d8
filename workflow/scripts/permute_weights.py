"""Write the model with its weights in random order, the control for learned attention."""

from pathlib import Path

from engram.lm.random_weights import write_random_twin
from engram.run.job import job

with job(snakemake) as settings:
    folder, output = Path(snakemake.input.model).parent, Path(snakemake.output.config).parent
    write_random_twin(folder, settings.dtype, settings.seed, output)
