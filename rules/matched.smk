"""Matched comparison: classes distinguished on test samples that are equally predictable; only where
`matched.pairs` asks for it.

Inputs: the samples' texts, the model, predictions, labels.
Outputs: <model>/predictability.parquet, tables/matched_comparison.csv and its figure.
"""

COMPARED_RUNS = [
    {"model": model, **pair}
    for model in MODELS
    for pair in study_taxonomies.compared_classes(STUDY)
    if "engram" in PROTOCOLS
]
MATCHED_RESULTS = (
    [f"{RESULTS}/tables/matched_comparison.csv", *per_figure("matched_comparison")]
    if COMPARED_RUNS
    else []
)


rule measure_predictability:
    """Ask the model how predictable the texts of all samples are."""
    input:
        samples=f"{MODEL}/samples.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        continuations=f"{MODEL}/continuations.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "measure_predictability",
            {
                name: {"dtype": entry["dtype"], "prefix": STUDY["prefix"]}
                for name, entry in MODELS.items()
            },
        ),
    output:
        predictability=f"{MODEL}/predictability.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/measure_predictability.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/measure_predictability.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_predictability.py"


rule compare_matched:
    input:
        predictability=per_model("predictability.parquet"),
        labels=per_model("labels.parquet"),
        predictions=[
            f"{RESULTS}/{run['model']}/engram/cnns/{run['taxonomy']}/predictions.parquet"
            for run in COMPARED_RUNS
        ],
        settings=settings.stamped(
            "compare_matched",
            models=list(MODELS),
            runs=COMPARED_RUNS,
            matched={key: value for key, value in STUDY["matched"].items() if key != "pairs"},
            **STATISTICS,
        ),
    output:
        comparison=table("matched_comparison", "matched", "matched comparison"),
    log:
        f"{RESULTS}/logs/compare_matched.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_matched.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/compare_matched.py"


rule plot_matched:
    input:
        table=f"{RESULTS}/tables/matched_comparison.csv",
        settings=settings.stamped("plot_matched", style=STUDY["figures"]),
    output:
        figure=figure(
            "matched_comparison", "matched_figure", "2 Scores", figure="matched comparison"
        ),
    log:
        f"{RESULTS}/logs/figures/matched_comparison.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_matched.py"
