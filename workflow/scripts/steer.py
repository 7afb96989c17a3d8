"""Steer the states of a model away from recall, and measure what is left of each class."""

import json
from pathlib import Path

from engram.io.artifacts import read_metadata, write_csv
from engram.io.hashing import value_digest
from engram.knockout.selection import split_samples, unmemorized_texts
from engram.lm.kept_batches import Kept
from engram.lm.models import fingerprint, load_model
from engram.mechanisms.steering import steer
from engram.mechanisms.steering_results import SplitTexts
from engram.mechanisms.steering_settings import SteeringSettings
from engram.run.job import PARTS, job
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.sampling import SPLITS

with job(snakemake) as settings:
    files, steering = snakemake.input, SteeringSettings(**settings.steering)
    folder = Path(files.model).parent
    dtype = json.loads(Path(files.version).read_text())["dtype"]
    classes = read_metadata(files.samples)["classes"]
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    train, validation, test = split_samples(
        files, classes, protocol, steering.samples_per_class, SPLITS
    )
    other = unmemorized_texts(files, steering.other_texts, settings.seed)
    steered = steer(
        load_model(folder, dtype=dtype),
        SplitTexts(train, validation, test, classes, other),
        settings.prefix,
        steering,
        snakemake.resources.batch_tokens,
        seed=settings.seed,
        kept=Kept(
            PARTS / "mechanisms", value_digest(fingerprint(folder, None, dtype), vars(settings))
        ),
    )
    statistics = {**settings.statistics, "seed": settings.seed}
    write_csv(steered.choice.table(**statistics), snakemake.output.depths)
    write_csv(steered.by_class(**statistics), snakemake.output.doses)
    write_csv(steered.selectivity(**statistics), snakemake.output.selectivity)
