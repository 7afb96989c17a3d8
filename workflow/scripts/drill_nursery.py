"""Drill the base on held-out windows, each shown a scheduled number of times."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import write_parquet
from engram.io.hashing import value_digest
from engram.mechanisms.entropy_course import course_of
from engram.nursery.drilling import choose_candidates, drilling_rows, schedule_exposures
from engram.nursery.settings import DrillingSettings, ShapeSettings
from engram.nursery.starting_point import StartingPoint
from engram.nursery.windows import asked_at_prefix
from engram.run.job import PARTS, job

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    length = settings.prefix + settings.suffix
    base = StartingPoint.read(Path(files.base).parent, files.windows, files.replay, length)
    drilling = DrillingSettings(**settings.drilling)
    windows = asked_at_prefix(base.windows, base.folder, settings.prefix)
    scheduled = schedule_exposures(windows, drilling.schedule, settings.seed)
    rows, shown = drilling_rows(
        base.tokens, scheduled, base.replay, base.tokenizer, drilling, settings.seed
    )
    # Checkpoints of one training share their windows, their states and the rows of their course.
    step = getattr(settings, "step", None)
    seen = slice(None if step is None else step * drilling.training.batch_size)
    windows["exposures"] = scheduled
    chosen = choose_candidates(windows, settings.windows, settings.seed)
    windows["sequence_duplicates"] = base.count_suffixes(rows[seen], settings.prefix)
    of_all = {key: value for key, value in vars(settings).items() if key != "step"}
    state = PARTS / f"drilling-{value_digest(of_all)}"
    shape = ShapeSettings(**getattr(settings, "shape", {}))
    course = course_of(
        windows,
        getattr(settings, "course", None),
        settings.prefix,
        state / "entropy",
        settings.seed,
    )
    places = (state, Path(output.model).parent, Path(output.curve))
    options = {"shape": shape, "seed": settings.seed, "watch": course, "stop": step}
    base.drill(rows, drilling, *places, **options)
    if course:
        write_parquet(course.table(step), output.course)
    if step is not None:
        windows["scheduled"] = scheduled
        own = shown[seen]
        windows["exposures"] = np.bincount(own[own >= 0], minlength=len(windows)).astype(np.int32)
    write_parquet(windows[chosen], output.drilled)
