"""Train all CNNs of one taxonomy: the grid on attention, its shuffled control, the baselines."""

from pathlib import Path

from engram.cnn import grid
from engram.cnn.assembly import assemble, usable_samples, with_baselines, with_text
from engram.cnn.results import write_results
from engram.cnn.settings import CnnSettings
from engram.io.artifacts import read_metadata, read_parquet
from engram.run.digests import code_digest
from engram.run.job import PARTS, job
from engram.store.index import AttentionStore
from engram.store.memory import Memory
from engram.taxonomy.pool import read_shown
from engram.taxonomy.protocols import protocol_named

with job(snakemake) as settings:
    files, protocol = snakemake.input, protocol_named(snakemake.wildcards.protocol)
    listed, verification = read_parquet(files.samples), read_parquet(files.verification)
    metadata, labels = read_metadata(files.samples), read_parquet(files.labels)
    cnn = CnnSettings(**protocol.cnn_section(settings.cnn))
    store = AttentionStore(Path(files.attention[0]))
    memory = Memory(snakemake.resources.maps_mb, PARTS / "cnns")
    columns = ["sequence_id", "tokens"]
    dataset = assemble(
        usable_samples(listed, verification, protocol.drop_unverified),
        metadata["classes"],
        labels,
        read_parquet(files.candidates, columns),
        read_parquet(files.continuations, columns),
        store,
        memory,
        read_shown(files.continuations),
    )
    dataset = with_baselines(
        with_text(dataset, store.header, labels),
        cnn.baselines,
        labels,
        set(metadata["columns"]),
        AttentionStore(Path(files.random[0])) if files.random else None,
        Path(files.hidden[0]) if files.hidden else None,
        memory,
    )
    code = code_digest(Path(grid.__file__))
    result = grid.train_grid(dataset, cnn, protocol.selection, PARTS / "cnns", code)
    outputs = snakemake.output
    write_results(
        result,
        Path(outputs.checkpoints),
        Path(outputs.history),
        Path(outputs.predictions),
        metadata["taxonomy"],
    )
