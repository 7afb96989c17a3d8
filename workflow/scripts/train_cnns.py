"""Trains all CNNs of one taxonomy: the grid on attention, its shuffled control, the baselines."""

from pathlib import Path

from engram.artifacts import read_parquet
from engram.assembly import assemble, usable_samples, with_baselines
from engram.job import job
from engram.memory import Memory
from engram.protocols import PROTOCOLS
from engram.store import AttentionStore
from engram.training import CnnSettings, train_grid, write_results

with job(snakemake):
    files, params = snakemake.input, snakemake.params
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    samples, verification, labels = (read_parquet(path) for path in (files.samples, files.verification, files.labels))
    settings = CnnSettings(**protocol.cnn_section(params.cnn), memory_mb=params.memory_mb)
    chosen = usable_samples(samples, snakemake.wildcards.taxonomy, verification, protocol.drop_unverified)
    memory = Memory(settings.memory_mb, Path(params.parts))
    dataset = assemble(
        chosen,
        params.classes,
        labels,
        read_parquet(files.candidates, ["sequence_id", "tokens"]),
        read_parquet(files.continuations, ["sequence_id", "tokens"]),
        AttentionStore(Path(files.index), [Path(path) for path in files.shards]),
        memory,
    )
    random, hidden = ([Path(path) for path in paths] for paths in (files.random, files.hidden))
    dataset = with_baselines(
        dataset,
        settings.baselines,
        labels,
        set(params.defining),
        AttentionStore(random[0], random[1:]) if random else None,
        hidden[0] if hidden else None,
        memory,
    )
    result = train_grid(dataset, settings, protocol.selection, Path(params.parts))
    outputs = [Path(path) for path in (snakemake.output.checkpoints, snakemake.output.history, snakemake.output.predictions)]
    write_results(result, *outputs, taxonomy=params.taxonomy)
