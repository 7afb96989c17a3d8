"""Search merges and orders of the config's categories for the best minimum F1."""

from pathlib import Path

from engram.cnn import grid as cnn_grid
from engram.cnn.assembly import assemble, usable_samples
from engram.cnn.settings import CnnSettings
from engram.io.artifacts import read_parquet, write_csv
from engram.run.digests import code_digest
from engram.run.job import PARTS, job
from engram.scores.taxonomy_search import search_taxonomies
from engram.store.index import AttentionStore
from engram.store.memory import Memory
from engram.taxonomy.pool import read_shown
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.taxonomy import categories_from_config

with job(snakemake) as settings:
    files, search, protocol = snakemake.input, settings.search, PROTOCOLS["engram"]
    labels, columns = read_parquet(files.labels), ["sequence_id", "tokens"]
    candidates = read_parquet(files.candidates, columns)
    continuations = read_parquet(files.continuations, columns)
    shown = read_shown(files.continuations)
    store = AttentionStore(Path(files.attention))
    memory = Memory(snakemake.resources.maps_mb, PARTS / "cnns")
    grid = {name: search[name] for name in ("kernels", "features", "head_poolings", "seeds")}
    verification = read_parquet(files.verification)
    table = search_taxonomies(
        labels,
        usable_samples(read_parquet(files.samples), verification, protocol.drop_unverified),
        search["categories"],
        categories_from_config(settings.categories),
        lambda chosen, classes: assemble(
            chosen, classes, labels, candidates, continuations, store, memory, shown
        ),
        protocol.sample_settings(**settings.samples, minimum=snakemake.resources.fewest_samples),
        CnnSettings(**{**settings.cnn, **grid, "controls": [], "baselines": []}),
        most_classes=search["most_classes"],
        finalists=search["finalists"],
        seed=settings.seed,
        parts=PARTS / "cnns",
        code=code_digest(Path(cnn_grid.__file__)),
        **settings.statistics,
    )
    table.insert(0, "model", snakemake.wildcards.model)
    write_csv(table, snakemake.output.search)
