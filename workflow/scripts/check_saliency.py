"""Checks whether the saliency of a taxonomy's CNNs is real."""

from pathlib import Path

import pandas as pd

from engram.cnn.assembly import usable_samples
from engram.cnn.checkpoints import load_cnns
from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.saliency.checks import Samples, check_saliency
from engram.saliency.delta import choose_held_out
from engram.saliency.settings import CheckSettings
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
        params.saliency["check_samples"],
    )
    store = AttentionStore(Path(files.index), [Path(path) for path in files.shards])
    held_out = chosen["sequence_id"].to_numpy()[rows]
    data = Samples(
        store.read(held_out, "mean"), store.read(held_out, "max"), label[rows], params.classes
    )
    settings = CheckSettings(
        methods=params.saliency["methods"], confidence=params.confidence, seed=params.seed
    )
    tables = check_saliency(load_cnns(Path(files.checkpoints)), data, settings)
    for path in snakemake.output.tables:
        write_csv(tables[Path(path).stem], path)
