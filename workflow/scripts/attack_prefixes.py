"""Knock out the heads that recall depends on, and attack the prefixes to bring it back."""

import json
from pathlib import Path

import numpy as np

from engram.io.artifacts import read_metadata, write_csv
from engram.io.hashing import value_digest
from engram.knockout.selection import chosen_samples, unmemorized_texts
from engram.lm.kept_batches import Kept
from engram.lm.models import fingerprint, load_model
from engram.mechanisms.locality import probe_locality
from engram.mechanisms.locality_results import Texts
from engram.mechanisms.locality_settings import LocalitySettings
from engram.run.job import PARTS, job
from engram.taxonomy.protocols import PROTOCOLS

with job(snakemake) as settings:
    files, locality = snakemake.input, LocalitySettings(**settings.locality)
    folder = Path(files.model).parent
    dtype = json.loads(Path(files.version).read_text())["dtype"]
    classes = read_metadata(files.samples)["classes"]
    protocol = PROTOCOLS[snakemake.wildcards.protocol]
    test, ranking = chosen_samples(files, classes, protocol, locality.samples_per_class)
    unseen = unmemorized_texts(files, locality.unseen_texts, settings.seed)
    number = classes.index(locality.recalled)
    recalled = test.label == number
    result = probe_locality(
        load_model(folder, dtype=dtype),
        Texts(test.tokens[recalled], test.content_group[recalled]),
        Texts(unseen, np.arange(len(unseen))),
        settings.prefix,
        locality,
        ranking=ranking.tokens[ranking.label == number],
        batch_tokens=snakemake.resources.batch_tokens,
        kept=Kept(
            PARTS / "mechanisms", value_digest(fingerprint(folder, None, dtype), vars(settings))
        ),
    )
    statistics = {**settings.statistics, "seed": settings.seed}
    for name in ("removal", "curves", "comparison", "overlap"):
        write_csv(getattr(result, name)(**statistics), snakemake.output[name])
