"""Write the model's own greedy continuation of every prefix that a sample shows with it."""

from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.streams import read_selected
from engram.lm.generation import MASKED_BY_PAPER, greedy_continuations
from engram.lm.models import default_device, fingerprint, load_model, load_tokenizer
from engram.lm.tokens import decode
from engram.run.job import job
from engram.sources.snapshots import ORIGIN, read_origin
from engram.taxonomy.pool import OWN, displayed_own

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    wanted = displayed_own(read_parquet(files.samples), settings.shown)
    rows = read_selected(files.candidates, wanted, ["sequence_id", "tokens"])
    shape = (len(rows), settings.prefix + settings.suffix)
    tokens = np.array(rows["tokens"].tolist(), dtype=np.int64).reshape(shape)  # (n, T)
    prefixes = tokens[:, : settings.prefix]
    suffixes = greedy_continuations(
        load_model(folder, dtype=settings.dtype, device=default_device()),
        prefixes,
        settings.suffix,
        snakemake.resources.batch_tokens,
        forbid_end_of_text=settings.end_of_text == "forbidden",
        masked_token=MASKED_BY_PAPER if settings.generation_mask == "reference" else None,
    )
    continued = np.concatenate([prefixes, suffixes], axis=1).astype(np.int32)
    text = decode(load_tokenizer(folder), continued)
    columns = {"sequence_id": rows["sequence_id"], "tokens": list(continued), "text": text}
    metadata = read_metadata(files.candidates) | {
        "model_revision": fingerprint(folder, None, settings.dtype),
        "end_of_text": settings.end_of_text,
    }
    if settings.shown != OWN:
        metadata |= {"shown": settings.shown}
    if settings.generation_mask != "full":
        metadata |= {"generation_mask": settings.generation_mask}
    if (folder / ORIGIN).is_file():
        metadata |= {"commit": read_origin(folder)["commit"]}
    write_parquet(pd.DataFrame(columns), snakemake.output.continuations, metadata)
