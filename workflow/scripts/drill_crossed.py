"""Drill one model of a crossed pair on the windows of its arm."""

from pathlib import Path

import numpy as np

from engram.io.artifacts import read_parquet, whole, write_parquet
from engram.io.hashing import value_digest
from engram.lm.models import default_device, load_model, load_tokenizer
from engram.nursery.drilling import choose_candidates, crossed_rows, window_tokens
from engram.nursery.settings import DrillingSettings
from engram.nursery.training import save_trained, train, write_curve
from engram.run.job import PARTS, job
from engram.windows.duplicates import suffix_occurrences

with job(snakemake) as settings:
    base, drilling = Path(snakemake.input.base).parent, DrillingSettings(**settings.drilling)
    windows = read_parquet(snakemake.input.windows)
    tokens = window_tokens(windows, settings.prefix + settings.suffix)  # (n, T)
    replay = np.stack(read_parquet(snakemake.input.replay)["tokens"].tolist())
    replay = replay.astype(np.uint16)[:, : tokens.shape[1]]
    tokenizer = load_tokenizer(base)
    design = read_parquet(snakemake.input.design).set_index("sequence_id")
    ids = windows["sequence_id"].to_numpy()
    shown = design[["exposures_1", "exposures_2"]].reindex(ids, fill_value=0).to_numpy(np.int32)
    own, other = shown[:, settings.arm - 1], shown[:, 2 - settings.arm]
    windows["exposures"], windows["counterpart_exposures"] = own, other
    rows = crossed_rows(tokens, ids, own, other, replay, tokenizer, drilling, settings.seed)
    boundaries = np.arange(0, rows.size, rows.shape[1])
    suffixes = tokens[:, settings.prefix :]
    windows["sequence_duplicates"] = suffix_occurrences(suffixes, rows.ravel(), boundaries)

    model = load_model(base, dtype="float32", device=default_device())
    # Its backward is twice as fast as the fused kernel's at this length.
    model.set_attn_implementation("eager")
    state = PARTS / f"drilling-{value_digest(vars(settings))}"
    curve = train(model, rows, drilling.training, state, "drilling")
    save_trained(model, tokenizer, Path(snakemake.output.model).parent)
    with whole(snakemake.output.curve) as path:
        write_curve(curve, path)
    in_design = windows["sequence_id"].isin(design.index)
    chosen = choose_candidates(
        windows.assign(exposures=in_design.astype(int)), settings.windows, settings.seed
    )
    write_parquet(windows[chosen], snakemake.output.drilled)
