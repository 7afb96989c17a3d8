"""Draw the entropy of representations in the course of a drilling."""

from pathlib import Path

import pandas as pd

from engram.figures.entropy_course import entropy_course
from engram.figures.style import FigureStyle, save
from engram.run.job import job

with job(snakemake) as settings:
    style, table = FigureStyle(**settings.style), pd.read_csv(snakemake.input.table)
    own = table[table["model"] == snakemake.wildcards.model]
    save(entropy_course(own, style=style), Path(snakemake.output[0]).with_suffix(""), style)
