"""Language models from elsewhere, drilled here as crossed pairs.

Inputs: what the model's entry names: a folder, repository, package or GGUF file; a table or
documents.
Outputs: <model>/base/ of one model for all that share a base (the model before any drilling,
windows.parquet, scores.parquet: what it makes of them), <model>/crossed/design.parquet and
replay.parquet of every pair, with its first model, <model>/model/ (the drilled model),
<model>/drilled.parquet, <model>/candidates.parquet.
"""

OWNERS = list(dict.fromkeys(map(base_owner, DRILLED)))
FIRST_DRILLED = [name for name in PAIRS if name in DRILLED]


use rule fetch_model as fetch_base with:
    input:
        local=local_base,
        settings=settings.by(
            "model", "fetch_base", fetched("model", "revision", OWNERS), script="fetch_model"
        ),
    output:
        config=f"{MODEL}/base/config.json",
    log:
        f"{RESULTS}/logs/{{model}}/fetch_base.log",
    wildcard_constraints:
        model=among(OWNERS),


use rule read_scored as read_base_windows with:
    input:
        config=[f"{MODEL}/base/config.json"],
        source=source_files,
        settings=settings.by(
            "model",
            "read_base_windows",
            {name: {**base_of(name), "asked": None} for name in OWNERS},
            script="read_source",
        ),
    output:
        windows=f"{MODEL}/base/windows.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_base_windows.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/read_base_windows.tsv"
    wildcard_constraints:
        model=among(OWNERS),


rule score_base:
    """Ask the base for the windows that a design may hold, once for all pairs of it."""
    input:
        windows=f"{MODEL}/base/windows.parquet",
        model=f"{MODEL}/base/config.json",
        settings=settings.by(
            "model",
            "score_base",
            {name: base_of(name) for name in OWNERS},
        ),
    output:
        scores=f"{MODEL}/base/scores.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_base.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_base.tsv"
    wildcard_constraints:
        model=among(OWNERS),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/score_base.py"


use rule design_crossed as design_drilled with:
    input:
        windows=of_base("scores.parquet"),
        settings=settings.by(
            "model",
            "design_drilled",
            {name: crossed_design(name) for name in FIRST_DRILLED},
            script="design_crossed",
        ),
    output:
        design=f"{MODEL}/crossed/design.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/design_drilled.log",
    wildcard_constraints:
        model=among(FIRST_DRILLED),


rule draw_replay:
    input:
        windows=of_base("windows.parquet"),
        design=f"{MODEL}/crossed/design.parquet",
        settings=settings.by(
            "model", "draw_replay", {name: replayed(name) for name in FIRST_DRILLED}
        ),
    output:
        replay=f"{MODEL}/crossed/replay.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/draw_replay.log",
    wildcard_constraints:
        model=among(FIRST_DRILLED),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/draw_replay.py"


use rule drill_crossed as drill_model with:
    input:
        base=of_base("config.json"),
        windows=of_base("scores.parquet"),
        replay=replay_of,
        design=design_of,
        settings=settings.by(
            "model",
            "drill_model",
            {name: drilled(name) for name in DRILLED},
            script="drill_crossed",
        ),
    output:
        model=f"{MODEL}/model/model.safetensors",
        config=f"{MODEL}/model/config.json",
        tokenizer=f"{MODEL}/model/tokenizer.json",
        curve=f"{MODEL}/model/training.csv",
        drilled=f"{MODEL}/drilled.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/drill_model.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/drill_model.tsv"
    wildcard_constraints:
        model=among(DRILLED),


use rule score_candidates as score_drilled with:
    input:
        drilled=f"{MODEL}/drilled.parquet",
        model=f"{MODEL}/model/model.safetensors",
        twin=[],
        counterpart=counterpart_weights,
        settings=settings.by(
            "model",
            "score_drilled",
            {name: scored_as(name) for name in DRILLED},
            script="score_candidates",
        ),
    output:
        candidates=f"{MODEL}/candidates.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_drilled.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_drilled.tsv"
    wildcard_constraints:
        model=among(DRILLED),
