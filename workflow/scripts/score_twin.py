"""Ask the twin, which was not trained on the text, for the suffix of every sampled sequence."""

from pathlib import Path

import numpy as np
import pandas as pd

from engram.io.artifacts import read_parquet, write_parquet
from engram.io.streams import read_selected
from engram.lm.models import default_device, fingerprint, load_model, load_tokenizer
from engram.run.job import job
from engram.sources.scoring import twin_extracts
from engram.sources.snapshots import read_origin

with job(snakemake) as settings:
    files = snakemake.input
    sampled = read_parquet(files.samples)["sequence_id"].unique()
    rows = read_selected(files.candidates, sampled, ["sequence_id", "tokens"])
    folder, twin = Path(files.model).parent, Path(files.twin).parent
    extracted = twin_extracts(
        load_model(twin, dtype=settings.dtype, device=default_device()),
        np.stack(rows["tokens"].tolist()),
        settings.prefix,
        load_tokenizer(folder),
        load_tokenizer(twin),
        snakemake.resources.batch_tokens,
    )
    answers = pd.DataFrame({"sequence_id": rows["sequence_id"], "twin_extracted": extracted})
    revision = fingerprint(twin, None, settings.dtype)
    metadata = {"twin_revision": revision, "twin": read_origin(twin)}
    write_parquet(answers, snakemake.output.twin, metadata)
