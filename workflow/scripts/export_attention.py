"""Writes the attention of a handful of sequences with all heads, as HDF5."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from engram.io.artifacts import read_parquet, whole
from engram.io.checksums import seal_file
from engram.io.errors import EngramError
from engram.io.schema import SCHEMA_VERSION
from engram.io.streams import read_selected
from engram.lm.attention import all_heads
from engram.lm.models import check_tokens, fingerprint, load_model
from engram.run.job import job

with job(snakemake):
    params, folder = snakemake.params, Path(snakemake.input.model).parent
    samples = (
        read_parquet(snakemake.input.samples)
        .query("taxonomy == @params.taxonomy")
        .sort_values("priority")
    )
    default = samples[samples["split"] == "test"].drop_duplicates("class")["sequence_id"]
    wanted = np.array(params.chosen or default.tolist())
    # What the model continued itself stands first: it is the text whose attention is studied.
    paths = (snakemake.input.continuations, snakemake.input.candidates)
    found = pd.concat(
        [read_selected(path, wanted, ["sequence_id", "tokens", "text"]) for path in paths]
    ).drop_duplicates("sequence_id")
    if len(missing := np.setdiff1d(wanted, found["sequence_id"])):
        raise EngramError(
            f"attention.examples: sequence_id {missing[0]} is not in {snakemake.input.candidates}; "
            f"choose among those"
        )
    rows = found.set_index("sequence_id").loc[wanted]
    classes = samples.set_index("sequence_id")["class"].reindex(wanted).fillna("").tolist()
    tokens, model = (
        np.stack(rows["tokens"].tolist()).astype(np.int64),
        load_model(folder, dtype=params.dtype),
    )
    check_tokens(model, tokens, "attention.examples")
    header = {
        "schema_version": SCHEMA_VERSION,
        "prefix": params.prefix,
        "fingerprint": fingerprint(folder, None, params.dtype),
    }
    with whole(snakemake.output.examples) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(header | {"model": snakemake.wildcards.model, "dtype": str(model.dtype)})
        file["sequence_id"], file["tokens"], file["text"], file["class"] = (
            wanted,
            tokens,
            rows["text"].tolist(),
            classes,
        )
        file["attention"] = np.stack(
            [maps.float().numpy() for maps in all_heads(model, tokens)]
        )  # (n, L, H, P)
    seal_file(Path(snakemake.output.examples))
