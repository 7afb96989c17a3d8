"""Ask a model, and its twin, to complete terms with their identifiers and back."""

from pathlib import Path

import pandas as pd

from engram.auditing.pairs import ask_pairs, read_pairs
from engram.auditing.redaction import messages
from engram.auditing.settings import PairSettings
from engram.io.artifacts import write_parquet
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.run.job import job

with job(snakemake) as settings, messages(settings.redact):
    files, chosen = snakemake.input, PairSettings.parse(settings.pairs)
    pairs, parts = read_pairs(chosen), []
    for weights, configurations in (("model", [files.model]), ("twin", files.twin)):
        for folder in (Path(path).parent for path in configurations):
            model = load_model(folder, dtype=settings.dtype, device=default_device())
            size = snakemake.resources.batch_tokens
            answers = ask_pairs(model, load_tokenizer(folder), pairs, chosen, size)
            parts.append(answers.assign(weights=weights))
    known = pairs.drop(columns=["term", "identifier"])
    answers = pd.concat(parts).merge(known, on="pair", validate="m:1")
    write_parquet(answers, snakemake.output.answers)
