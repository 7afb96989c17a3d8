"""Transfer: classifiers on kinds of windows and on models that they were not trained on; only where
`transfer.enabled` asks for it.

Inputs: predictions of the classifiers of each kind (rules samples, cnns), checkpoints and predictions
of every model under the protocol `engram`, attention.
Outputs: <model>/engram/transfer/<taxonomy>.parquet, tables/transfer.csv and its figure.
"""

MOVED = [entry.trained.slug for entry in study_taxonomies.transferred(STUDY)]
MOVED_MODELS = list(MODELS) if STUDY["transfer"]["models"] and len(MODELS) > 1 else []
MOVED_RUNS = runs(MOVED, MOVED_MODELS, ["engram"])
TRANSFER_RESULTS = (
    [f"{RESULTS}/tables/transfer.csv", *per_figure("transfer")]
    if TRANSFER_RUNS or MOVED_RUNS
    else []
)


rule transfer_cnns:
    """Test the classifiers of every other model on one model's samples."""
    input:
        own=f"{MODEL}/engram/cnns/{{taxonomy}}/predictions.parquet",
        checkpoints=of_taxonomy("checkpoints.safetensors"),
        predictions=of_taxonomy("predictions.parquet"),
        labels=per_model("labels.parquet", MOVED_MODELS),
        candidates=per_model("candidates.parquet", MOVED_MODELS),
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "transfer_cnns",
            models=MOVED_MODELS,
            prefix=STUDY["prefix"],
            precision=STUDY["cnn"]["precision"],
        ),
        continuations=[ancient(path) for path in per_model("continuations.parquet", MOVED_MODELS)],
        attention=attention,
    output:
        predictions=f"{MODEL}/engram/transfer/{{taxonomy}}.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/engram/transfer_cnns/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/engram/transfer_cnns/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    resources:
        maps_mb=STUDY["cnn"]["memory_mb"],
    script:
        "../workflow/scripts/transfer_cnns.py"


rule score_transfer:
    input:
        predictions=[f"{RESULTS}/{PREDICTIONS}".format(**run) for run in TRANSFER_RUNS],
        reversed=[
            f"{RESULTS}/{PREDICTIONS}".format(**other_direction(run)) for run in TRANSFER_RUNS
        ],
        samples=[f"{RESULTS}/{SAMPLES}".format(**run) for run in TRANSFER_RUNS],
        transferred=[
            f"{RESULTS}/{run['model']}/engram/transfer/{run['taxonomy']}.parquet"
            for run in MOVED_RUNS
        ],
        own=[f"{RESULTS}/{PREDICTIONS}".format(**run) for run in MOVED_RUNS],
        settings=settings.stamped(
            "score_transfer",
            kinds=[
                {**run, "kinds": TRANSFERS[run["protocol"]][run["taxonomy"]]}
                for run in TRANSFER_RUNS
            ],
            models=MOVED_RUNS,
            **STATISTICS,
        ),
    output:
        table=table("transfer", "transfer", "transfer of classifiers"),
    log:
        f"{RESULTS}/logs/score_transfer.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_transfer.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/score_transfer.py"


rule plot_transfer:
    input:
        table=f"{RESULTS}/tables/transfer.csv",
        settings=settings.stamped("plot_transfer", style=STUDY["figures"]),
    output:
        figure=figure("transfer", "transfer_figure", "2 Scores", figure="transfer of classifiers"),
    log:
        f"{RESULTS}/logs/figures/transfer.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_transfer.py"
