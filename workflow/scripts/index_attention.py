"""Write where each sequence's attention is, and what was verified while it was extracted."""

from pathlib import Path

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.run.job import job
from engram.store.index import read_verification, write_index

with job(snakemake):
    shards = [Path(path) for path in snakemake.input.shards]
    write_index(shards, Path(snakemake.output.index))
    verification, metadata = read_verification(shards), read_metadata(snakemake.output.index)
    for path in snakemake.input.twin:
        answers = read_parquet(path)
        verification = verification.merge(
            answers, on="sequence_id", how="left", validate="one_to_one"
        )
        metadata |= {"twin_revision": read_metadata(path)["twin_revision"]}
    write_parquet(verification, snakemake.output.verification, metadata)
