"""Write where each sequence's attention is, and what was verified while it was extracted."""

from pathlib import Path

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.streams import read_selected
from engram.run.job import job
from engram.store.index import read_verification, write_index
from engram.taxonomy.pool import OWN, TRUE, measured_scores, with_true_text

with job(snakemake) as settings:
    shards = [Path(path) for path in snakemake.input.shards]
    write_index(shards, Path(snakemake.output.index))
    verification, metadata = read_verification(shards), read_metadata(snakemake.output.index)
    if settings.shown != OWN:
        scores = None
        if snakemake.input.texts:
            columns = ["sequence_id", "tokens"]
            continuations = read_parquet(snakemake.input.texts[0], columns)
            ids = continuations["sequence_id"].to_numpy()
            candidates = read_selected(snakemake.input.texts[1], ids, columns)
            scores = measured_scores(continuations, candidates, settings.prefix)
        # Without continuations every sequence shows its true text.
        shown = TRUE if scores is None else settings.shown
        verification = with_true_text(verification, shown, scores)
    for path in snakemake.input.twin:
        answers = read_parquet(path)
        verification = verification.merge(
            answers, on="sequence_id", how="left", validate="one_to_one"
        )
        metadata |= {"twin_revision": read_metadata(path)["twin_revision"]}
    write_parquet(verification, snakemake.output.verification, metadata)
