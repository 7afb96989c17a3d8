"""Write the attention of a handful of sequences with all heads, as HDF5."""

from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.hdf5 import new_hdf5, write_group
from engram.io.streams import read_selected
from engram.lm.attention import all_heads
from engram.lm.inputs import opening
from engram.lm.models import check_tokens, fingerprint, load_model
from engram.run.job import job

with job(snakemake) as settings:
    files, folder = snakemake.input, Path(snakemake.input.model).parent
    samples = read_parquet(files.samples).sort_values("priority")
    default = samples[samples["split"] == "test"].drop_duplicates("class")["sequence_id"]
    wanted = np.array(settings.chosen or default.tolist())
    # Continuations come first: they are the texts whose attention is studied.
    columns = ["sequence_id", "tokens", "text"]
    tables = [
        read_selected(path, wanted, columns) for path in (files.continuations, files.candidates)
    ]
    texts = pd.concat(tables).drop_duplicates("sequence_id").set_index("sequence_id")
    if len(missing := np.setdiff1d(wanted, texts.index)):
        raise EngramError(
            f"attention.examples: sequence_id {missing[0]} is not in {files.candidates}; "
            "choose among those"
        )
    rows = texts.loc[wanted]
    classes = samples.set_index("sequence_id")["class"].reindex(wanted).fillna("").tolist()
    tokens = np.stack(rows["tokens"].tolist()).astype(np.int64)  # (n, T)
    model = load_model(folder, dtype=settings.dtype)
    check_tokens(model, tokens, "attention.examples")
    attributes = {
        "prefix": settings.prefix,
        "fingerprint": fingerprint(folder, None, settings.dtype),
        "model": snakemake.wildcards.model,
        "dtype": str(model.dtype),
        "opening": len(opening(model)),
    }
    arrays = {
        "sequence_id": wanted,
        "tokens": tokens,
        "text": rows["text"].tolist(),
        "class": classes,
        # (n, L, H, P)
        "attention": np.stack([maps.float().numpy() for maps in all_heads(model, tokens)]),
    }
    with new_hdf5(snakemake.output.examples) as file:
        write_group(file, arrays, attributes)
