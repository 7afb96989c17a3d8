"""Test the scorers of every crossed pair on the windows of every other pair."""

from engram.crossed.inputs import Differences
from engram.crossed.null import redrawn
from engram.crossed.transfer import Pair, transfer_table, transfers
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job


def two_each(paths: list[str]) -> list[list[str]]:
    """Return the files of both models of each pair."""
    return [paths[i : i + 2] for i in range(0, len(paths), 2)]


with job(snakemake) as settings:
    files = snakemake.input
    stores = zip(
        two_each(list(files.attention)),
        two_each(list(files.hidden_states)) or [[] for _ in settings.pairs],
        two_each(list(files.feed_forward)) or [[] for _ in settings.pairs],
        strict=True,
    )
    pairs = []
    for name, base, seed, path, paths in zip(
        settings.pairs, settings.bases, settings.seeds, files.windows, stores, strict=True
    ):
        windows = read_parquet(path)
        differences = Differences(settings.inputs, windows, *paths)
        arms = redrawn(windows, settings.redraws, seed)
        pairs.append(Pair(name, base, windows, arms, differences))
    found = list(transfers(pairs))
    write_csv(transfer_table(found, settings.confidence), snakemake.output.transfer)
