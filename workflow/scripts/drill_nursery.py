"""Drill the base on held-out windows, each shown a scheduled number of times."""

from pathlib import Path

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
    windows["exposures"] = exposures = schedule_exposures(windows, drilling.schedule, settings.seed)
    rows = drilling_rows(
        base.tokens, exposures, base.replay, base.tokenizer, drilling, settings.seed
    )
    windows["sequence_duplicates"] = base.count_suffixes(rows, settings.prefix)
    state = PARTS / f"drilling-{value_digest(vars(settings))}"
    shape = ShapeSettings(**getattr(settings, "shape", {}))
    course = course_of(
        windows,
        getattr(settings, "course", None),
        settings.prefix,
        state / "entropy",
        settings.seed,
    )
    places = (state, Path(output.model).parent, Path(output.curve))
    base.drill(rows, drilling, *places, shape=shape, seed=settings.seed, watch=course)
    if course:
        write_parquet(course.table(), output.course)
    chosen = choose_candidates(windows, settings.windows, settings.seed)
    write_parquet(windows[chosen], output.drilled)
