"""Compute Δ of every class from the taxonomy's CNNs on held-out samples, and by the first method on
those that choose regions.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from engram.cnn.assembly import usable_samples
from engram.cnn.checkpoints import load_cnns
from engram.io.artifacts import read_metadata, read_parquet
from engram.run.job import job
from engram.saliency.delta import (
    choose_held_out,
    mean_delta,
    region_split,
    saliency_of_grid,
)
from engram.saliency.file import write_saliency
from engram.store.index import AttentionStore
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files = snakemake.input
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    classes = read_metadata(files.samples)["classes"]
    chosen = usable_samples(
        read_parquet(files.samples), read_parquet(files.verification), protocol.drop_unverified
    )
    label = pd.Categorical(chosen["class"], categories=classes).codes
    split, priority = chosen["split"].to_numpy(), chosen["priority"].to_numpy()
    rows = choose_held_out(split, label, priority, settings.samples_per_class)
    store = AttentionStore(Path(files.attention[0]))
    held_out = chosen["sequence_id"].to_numpy()[rows]
    cnns = load_cnns(Path(files.checkpoints))
    real = {
        f"{key.cnn}/{key.seed}": cnn
        for key, cnn in cnns.items()
        if (key.input, key.labels) == ("attention", "real")
    }
    mean, maximum = (store.read(held_out, pooling) for pooling in ("mean", "max"))
    saliency = saliency_of_grid(
        real,
        mean,
        maximum,
        label[rows],
        classes,
        settings.methods,
        settings.prefix,
        len(store.header.opening),
        store.header.block,
    )
    per_class, first = settings.samples_per_class, settings.methods[0]
    rows = choose_held_out(split, label, priority, per_class, region_split(split))
    choosing = chosen["sequence_id"].to_numpy()[rows]
    mean, maximum = (store.read(choosing, pooling) for pooling in ("mean", "max"))
    of_regions = mean_delta(real, mean, maximum, label[rows], classes, first)
    saliency[first] = replace(saliency[first], region_delta=of_regions)
    taxonomy = read_metadata(files.samples)["taxonomy"]
    write_saliency(Path(snakemake.output.saliency), saliency, taxonomy)
