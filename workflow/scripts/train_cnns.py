"""Trains all CNNs of one taxonomy: the grid on attention, its shuffled control, the baselines."""

from pathlib import Path

from engram.cnn import grid
from engram.cnn.assembly import assemble, usable_samples, with_baselines
from engram.cnn.results import write_results
from engram.cnn.settings import CnnSettings
from engram.io.artifacts import read_parquet
from engram.run.digests import code_digest
from engram.run.job import job
from engram.store.index import AttentionStore
from engram.store.memory import Memory
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake):
    files, params = snakemake.input, snakemake.params
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    samples, verification, labels = (
        read_parquet(path) for path in (files.samples, files.verification, files.labels)
    )
    settings = CnnSettings(**protocol.cnn_section(params.cnn), memory_mb=params.memory_mb)
    chosen = usable_samples(
        samples, snakemake.wildcards.taxonomy, verification, protocol.drop_unverified
    )
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
    result = grid.train_grid(
        dataset, settings, protocol.selection, Path(params.parts), code_digest(Path(grid.__file__))
    )
    outputs = [
        Path(path)
        for path in (
            snakemake.output.checkpoints,
            snakemake.output.history,
            snakemake.output.predictions,
        )
    ]
    write_results(result, *outputs, taxonomy=params.taxonomy)
