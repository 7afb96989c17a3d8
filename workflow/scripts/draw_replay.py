"""Draw the windows that both models of a crossed pair replay."""

from engram.io.artifacts import read_parquet, write_parquet
from engram.nursery.text_windows import natural_windows, replayed_windows
from engram.run.job import job

with job(snakemake) as settings:
    files, columns = snakemake.input, ["sequence_id", "tokens", "source"]
    design = read_parquet(files.design)
    windows = natural_windows(read_parquet(files.windows))
    designed = windows[windows["sequence_id"].isin(design["sequence_id"])]
    drawn = (settings.ngram, settings.replay_windows, settings.seed)
    write_parquet(replayed_windows(windows, designed, *drawn)[columns], snakemake.output.replay)
