"""Trains all CNNs of one taxonomy: the grid on attention, its shuffled control, the token-identity baseline."""

from pathlib import Path

from engram.artifacts import read_parquet
from engram.assembly import assemble, usable_samples
from engram.job import job
from engram.protocols import PROTOCOLS
from engram.store import AttentionStore
from engram.training import CnnSettings, train_grid, write_results

with job(snakemake):
    files, params = snakemake.input, snakemake.params
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    samples, verification = read_parquet(files.samples), read_parquet(files.verification)
    chosen = usable_samples(samples, snakemake.wildcards.taxonomy, verification, protocol.drop_unverified)
    dataset = assemble(
        chosen,
        params.classes,
        read_parquet(files.labels, ["sequence_id", "content_group"]),
        read_parquet(files.candidates, ["sequence_id", "tokens"]),
        read_parquet(files.continuations, ["sequence_id", "tokens"]),
        AttentionStore(Path(files.index), [Path(path) for path in files.shards]),
    )
    settings = CnnSettings(**protocol.cnn_section(params.cnn))
    result = train_grid(dataset, settings, protocol.selection, Path(params.parts))
    outputs = [Path(path) for path in (snakemake.output.checkpoints, snakemake.output.history, snakemake.output.predictions)]
    write_results(result, *outputs, taxonomy=params.taxonomy)
