"""Draw the windows, doses and arms of a pair of models with crossed exposures."""

from pathlib import Path

from engram.io.artifacts import read_parquet, write_parquet
from engram.nursery.arms import draw_design
from engram.nursery.settings import CrossedDesign
from engram.nursery.windows import asked_at_prefix
from engram.run.job import job

with job(snakemake) as settings:
    windows = read_parquet(snakemake.input.windows)
    crossed, seeds = CrossedDesign(**settings.crossed), (settings.seed, settings.pair_seed)
    if crossed.guessed:
        folder, natural = Path(snakemake.input.windows).parent, windows["kind"] == "natural"
        asked = asked_at_prefix(windows[natural], folder, settings.prefix)
        windows.loc[natural, "base_extracted"] = asked["base_extracted"]
    design = draw_design(windows, crossed, settings.prefix, *seeds)
    metadata = {"prefix": settings.prefix, "pair": settings.pair, "base": settings.base}
    write_parquet(design, snakemake.output.design, metadata)
