"""Computes Δ of every class from the taxonomy's CNNs on held-out samples."""

from pathlib import Path

import pandas as pd

from engram.cnn.assembly import usable_samples
from engram.cnn.checkpoints import load_cnns
from engram.io.artifacts import read_parquet
from engram.run.job import job
from engram.saliency.delta import choose_held_out, saliency_of_grid
from engram.saliency.file import write_saliency
from engram.store.index import AttentionStore
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake):
    files, params = snakemake.input, snakemake.params
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    samples, verification = read_parquet(files.samples), read_parquet(files.verification)
    chosen = usable_samples(
        samples, snakemake.wildcards.taxonomy, verification, protocol.drop_unverified
    )
    label = pd.Categorical(chosen["class"], categories=params.classes).codes
    rows = choose_held_out(
        chosen["split"].to_numpy(),
        label,
        chosen["priority"].to_numpy(),
        params.saliency["samples_per_class"],
    )
    store = AttentionStore(Path(files.index), [Path(path) for path in files.shards])
    held_out = chosen["sequence_id"].to_numpy()[rows]
    cnns = load_cnns(Path(files.checkpoints))
    real = {
        f"{key.cnn}/{key.seed}": cnn
        for key, cnn in cnns.items()
        if (key.input, key.labels) == ("attention", "real")
    }
    mean, maximum, methods = (
        store.read(held_out, "mean"),
        store.read(held_out, "max"),
        params.saliency["methods"],
    )
    saliency = saliency_of_grid(
        real, mean, maximum, label[rows], params.classes, methods, params.prefix
    )
    write_saliency(Path(snakemake.output.saliency), saliency, params.taxonomy)
