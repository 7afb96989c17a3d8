"""Write a source's windows: the published data's, a table's, or those cut from a corpus or from
packages.
"""

import json
from pathlib import Path

from engram.lm.models import load_tokenizer
from engram.run.job import job
from engram.sources import corpus, hub, table, unseen
from engram.sources.fit import model_limits
from engram.sources.settings import RepeatedSettings, UnseenSettings
from engram.sources.snapshots import model_metadata

with job(snakemake) as settings:
    entry, prefix = settings.entry, settings.prefix
    output, window = Path(snakemake.output[0]), prefix + settings.suffix
    # A published model that is known by name needs no configuration.
    folder = next((Path(path).parent for path in snakemake.input.config), None)
    limits = model_limits(folder, window) if folder else None
    metadata = model_metadata(entry, prefix, folder)
    if entry["source"] == "hub":
        dataset = json.loads(Path(snakemake.input.source).read_text())
        metadata |= {"dataset": dataset["dataset"], "dataset_commit": dataset["commit"]}
        files = [Path(file) for file in dataset["files"]]
        hub.write_candidates(files, output, window, limits, metadata)
    elif folder is None or limits is None:
        raise ValueError(f"{entry['source']}: the model has no configuration")
    elif entry["source"] == "table":
        reader = table.TableReader(entry["columns"], window, limits, load_tokenizer(folder))
        table.write_windows(entry["table"], reader, output, metadata)
    elif entry["source"] == "packages":
        releases = json.loads(Path(snakemake.input.source).read_text())
        unseen.write_windows(
            releases,
            load_tokenizer(folder),
            limits,
            (prefix, settings.suffix),
            UnseenSettings.parse(entry["unseen"]),
            RepeatedSettings.parse(entry["repeated"]),
            settings.seed,
            output,
            metadata,
        )
    else:
        cut = corpus.CorpusSettings(
            prefix, settings.suffix, entry["stride"], entry["candidates"], settings.seed
        )
        documents = (entry["documents"], entry["pattern"], entry["text_column"])
        tokenizer, shown = load_tokenizer(folder), entry["exposures_column"]
        corpus.write_windows(*documents, tokenizer, limits, cut, output, metadata, shown)
