"""Give the windows that the model reproduces their class by the CNNs of a study."""

from pathlib import Path

from engram.auditing.classifier import classify, load_calibrated
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.streams import read_selected
from engram.lm.models import default_device, load_model
from engram.run.job import job

COLUMNS = ("document", "offset", "sequence_id", "extracted")

with job(snakemake) as settings:
    files = snakemake.input
    windows = read_parquet(files.windows, COLUMNS)
    reproduced = windows[windows["extracted"]].drop(columns="extracted")
    columns = ["sequence_id", "tokens"]
    tokens = read_selected(files.candidates, reproduced["sequence_id"].to_numpy(), columns)
    classes = classify(
        load_model(Path(files.model).parent, dtype=settings.dtype, device=default_device()),
        reproduced.merge(tokens, on="sequence_id", validate="1:1"),
        settings.prefix,
        load_calibrated(read_parquet(files.cnns)),
        snakemake.resources.batch_tokens,
    )
    write_parquet(classes, snakemake.output.classes, read_metadata(files.windows))
