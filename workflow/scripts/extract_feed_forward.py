"""Write what the feed-forward blocks put out on a pair's windows, averaged over their tokens."""

from pathlib import Path

from engram.lm.models import load_model
from engram.run.job import job
from engram.store.hidden_state_writer import write_feed_forward
from engram.taxonomy.pool import read_pool

with job(snakemake) as settings:
    files = snakemake.input
    sequences = read_pool(files.samples, files.candidates, None)
    model = load_model(Path(files.model).parent, dtype=settings.dtype)
    output, batch_tokens = Path(snakemake.output.states), snakemake.resources.batch_tokens
    write_feed_forward(model, sequences, output, batch_tokens)
