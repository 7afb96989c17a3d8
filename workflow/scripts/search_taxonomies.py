"""Searches the taxonomy with the best minimum F1 over merges and orders of the configured
categories.
"""

from pathlib import Path

from engram.cnn import grid as cnn_grid
from engram.cnn.assembly import assemble, usable_samples
from engram.cnn.settings import CnnSettings
from engram.io.artifacts import read_parquet, write_csv
from engram.run.digests import code_digest
from engram.run.job import job
from engram.scores.search import search_taxonomies
from engram.store.index import AttentionStore
from engram.store.memory import Memory
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.search import SLUG
from engram.taxonomy.taxonomy import categories_from_config

with job(snakemake):
    files, params, search = snakemake.input, snakemake.params, snakemake.params.search
    labels = read_parquet(files.labels)
    texts = [
        read_parquet(path, ["sequence_id", "tokens"])
        for path in (files.candidates, files.continuations)
    ]
    store = AttentionStore(Path(files.index), [Path(path) for path in files.shards])
    memory = Memory(params.memory_mb, Path(params.parts))
    grid = {name: search[name] for name in ("kernels", "features", "head_poolings", "seeds")}
    table = search_taxonomies(
        labels,
        usable_samples(
            read_parquet(files.samples),
            SLUG,
            read_parquet(files.verification),
            PROTOCOLS["engram"].drop_unverified,
        ),
        search["categories"],
        categories_from_config(params.categories),
        lambda chosen, classes: assemble(chosen, classes, labels, *texts, store, memory),
        PROTOCOLS["engram"].sample_settings(**params.samples),
        CnnSettings(
            **{**params.cnn, **grid, "controls": [], "baselines": []}, memory_mb=params.memory_mb
        ),
        most_classes=search["most_classes"],
        finalists=search["finalists"],
        seed=params.seed,
        parts=Path(params.parts),
        code=code_digest(Path(cnn_grid.__file__)),
        **params.statistics,
    )
    table.insert(0, "model", snakemake.wildcards.model)
    write_csv(table, snakemake.output.search)
