"""Writes a source's windows: the published data's, a table's, or those cut from a corpus."""

import json
from pathlib import Path

from engram.lm.models import fingerprint, load_tokenizer
from engram.run.job import job
from engram.sources import corpus, hub, table
from engram.sources.fit import model_limits
from engram.sources.snapshots import ORIGIN, read_origin

with job(snakemake):
    params, entry = snakemake.params, snakemake.params.entry
    output, window = Path(snakemake.output[0]), params.prefix + params.suffix
    metadata = {
        "source": entry["source"],
        "model": entry["model"],
        "revision": entry["revision"],
        "prefix": params.prefix,
    }
    folder = next(
        (Path(path).parent for path in snakemake.input.config), None
    )  # none of a published model
    limits = model_limits(folder, window) if folder else None
    if folder and (folder / ORIGIN).is_file():
        metadata |= {
            "commit": read_origin(folder)["commit"],
            "model_revision": fingerprint(folder, None, entry["dtype"]),
        }
    if entry["source"] == "hub":
        dataset = json.loads(Path(snakemake.input.source).read_text())
        metadata |= {"dataset": dataset["dataset"], "dataset_commit": dataset["commit"]}
        hub.write_candidates(
            [Path(file) for file in dataset["files"]], output, window, limits, metadata
        )
    elif entry["source"] == "table":
        reader = table.TableReader(entry["columns"], window, limits, load_tokenizer(folder))
        table.write_windows(entry["table"], reader, output, metadata)
    else:
        settings = corpus.CorpusSettings(
            params.prefix, params.suffix, entry["stride"], entry["candidates"], params.seed
        )
        documents = (entry["documents"], entry["pattern"], entry["text_column"])
        corpus.write_windows(*documents, load_tokenizer(folder), limits, settings, output, metadata)
