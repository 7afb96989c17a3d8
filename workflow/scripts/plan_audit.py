"""Count what an audit will cost from its documents and its models' shapes, without a model."""

from pathlib import Path

from engram.auditing.documents import read_whole
from engram.auditing.redaction import messages
from engram.auditing.settings import BookSettings
from engram.io.artifacts import write_csv
from engram.lm.models import load_tokenizer
from engram.run.job import gather, job
from engram.run.plan import model_shape, planned_opening
from engram.run.plan_audit import audit_costs
from engram.run.rates import Rates

with job(snakemake) as settings, messages(settings.redact):
    tables, window = [], (settings.prefix, settings.suffix)
    books, rates = BookSettings.parse(settings.books), Rates(**settings.rates)
    for entry, file in zip(settings.models, snakemake.input.configurations, strict=True):
        folder = Path(file).parent
        source = (entry["documents"], entry["pattern"], entry["text_column"])
        lengths = [len(each.tokens) for each in read_whole(*source, load_tokenizer(folder))]
        sizes = (lengths, model_shape(folder, entry["name"]), window, entry["stride"], books)
        opening = len(planned_opening(folder, entry["bos"]))
        tables.append(audit_costs(*sizes, settings.unrelated, rates, opening))
    names = [{"model": entry["name"]} for entry in settings.models]
    write_csv(gather(names, tables), snakemake.output.plan)
