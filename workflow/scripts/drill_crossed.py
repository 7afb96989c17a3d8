"""Drill one model of a crossed pair on the windows of its arm."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_parquet, write_parquet
from engram.io.hashing import value_digest
from engram.mechanisms.entropy_course import course_of
from engram.nursery.drilling import choose_candidates, crossed_rows
from engram.nursery.settings import DrillingSettings
from engram.nursery.starting_point import StartingPoint
from engram.nursery.windows import asked_at_prefix
from engram.run.job import PARTS, job

with job(snakemake) as settings:
    files, output = snakemake.input, snakemake.output
    length = settings.prefix + settings.suffix
    base = StartingPoint.read(Path(files.base).parent, files.windows, files.replay, length)
    drilling, windows = DrillingSettings(**settings.drilling), base.windows
    design = read_parquet(files.design).set_index("sequence_id")
    ids = windows["sequence_id"].to_numpy()
    shown = design[["exposures_1", "exposures_2"]].reindex(ids, fill_value=0).to_numpy(np.int32)
    own, other = shown[:, settings.arm - 1], shown[:, 2 - settings.arm]
    windows["exposures"], windows["counterpart_exposures"] = own, other
    rows = crossed_rows(
        base.tokens, ids, own, other, base.replay, base.tokenizer, drilling, settings.seed
    )
    windows["sequence_duplicates"] = base.count_suffixes(rows, settings.prefix)
    state = PARTS / f"drilling-{value_digest(vars(settings))}"
    course = course_of(
        windows,
        getattr(settings, "course", None),
        settings.prefix,
        state / "entropy",
        settings.seed,
    )
    base.drill(rows, drilling, state, Path(output.model).parent, Path(output.curve), watch=course)
    if course:
        write_parquet(course.table(), output.course)
    in_design = windows["sequence_id"].isin(design.index)
    chosen = choose_candidates(
        windows.assign(exposures=in_design.astype(int)), settings.windows, settings.seed
    )
    candidates = asked_at_prefix(windows[chosen], base.folder, settings.prefix)
    write_parquet(candidates, output.drilled)
