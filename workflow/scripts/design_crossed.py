"""Draw the windows, doses and arms of a pair of models with crossed exposures."""

from engram.io.artifacts import read_parquet, write_parquet
from engram.nursery.arms import draw_design
from engram.nursery.settings import CrossedDesign
from engram.run.job import job

with job(snakemake) as settings:
    windows = read_parquet(snakemake.input.windows)
    crossed, seeds = CrossedDesign(**settings.crossed), (settings.seed, settings.pair_seed)
    design = draw_design(windows, crossed, settings.prefix, *seeds)
    metadata = {"prefix": settings.prefix, "pair": settings.pair, "base": settings.base}
    write_parquet(design, snakemake.output.design, metadata)
