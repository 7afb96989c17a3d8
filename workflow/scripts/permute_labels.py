"""Score a cheap classifier on the labels of one taxonomy and on a thousand permuted ones."""

from pathlib import Path

from engram.cnn.assembly import assemble, usable_samples, with_baselines, with_text
from engram.cnn.permutations import MOST_SAMPLES, permutation_table
from engram.io.artifacts import read_metadata, read_parquet, write_csv
from engram.run.job import PARTS, job
from engram.store.index import AttentionStore
from engram.store.memory import Memory
from engram.taxonomy.pool import read_shown
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, protocol = snakemake.input, PROTOCOLS[snakemake.wildcards.protocol]
    listed, verification = read_parquet(files.samples), read_parquet(files.verification)
    labels, columns = read_parquet(files.labels), ["sequence_id", "tokens"]
    usable = usable_samples(listed, verification, protocol.drop_unverified)
    chosen = usable.groupby("class", sort=False).head(MOST_SAMPLES).reset_index(drop=True)
    store = AttentionStore(Path(files.attention[0]))
    memory = Memory(snakemake.resources.maps_mb, PARTS / "cnns")
    dataset = assemble(
        chosen,
        read_metadata(files.samples)["classes"],
        labels,
        read_parquet(files.candidates, columns),
        read_parquet(files.continuations, columns),
        store,
        memory,
        read_shown(files.continuations),
    )
    random = AttentionStore(Path(files.random[0])) if files.random else None
    dataset = with_text(dataset, store.header, labels)
    dataset = with_baselines(dataset, ["random_weights"], labels, set(), random, None, memory)
    kinds = None
    if "kind" in labels:
        kinds = labels.set_index("sequence_id")["kind"].loc[dataset.sequence_id]
    write_csv(permutation_table(dataset, kinds, settings.seed), snakemake.output.table)
