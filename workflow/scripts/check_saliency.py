"""Check whether the saliency of a taxonomy's CNNs is real."""

from pathlib import Path

import pandas as pd

from engram.cnn.assembly import usable_samples
from engram.cnn.checkpoints import load_cnns
from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import job
from engram.saliency.delta import choose_held_out
from engram.saliency.held_out import HeldOut
from engram.saliency.sanity_checks import check_saliency
from engram.saliency.settings import CheckSettings
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
    rows = choose_held_out(split, label, priority, settings.check_samples)
    store = AttentionStore(Path(files.attention[0]))
    held_out = chosen["sequence_id"].to_numpy()[rows]
    groups = read_parquet(files.labels, ["sequence_id", "content_group"]).set_index("sequence_id")
    data = HeldOut(
        store.read(held_out, "mean"),
        store.read(held_out, "max"),
        label[rows],
        classes,
        groups.loc[held_out, "content_group"].to_numpy(),
    )
    checked = CheckSettings(
        methods=settings.methods, confidence=settings.confidence, seed=settings.seed
    )
    tables = check_saliency(load_cnns(Path(files.checkpoints)), data, checked)
    for path in snakemake.output.tables:
        write_csv(tables[Path(path).stem], path)
