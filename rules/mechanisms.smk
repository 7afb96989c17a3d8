"""Mechanisms: noise on the residual stream, the logit lens, single heads and shorter contexts.

Inputs: the model and the samples of the localized taxonomies. Off unless `mechanisms.enabled`.
Outputs: <model>/<protocol>/mechanisms/<taxonomy>/, a table per measure: means of every class, with
intervals.
"""

MECHANISM_TABLES = (
    per_run("{model}/{protocol}/mechanisms/{taxonomy}/perturbation.csv", LOCALIZED)
    if STUDY["mechanisms"]["enabled"]
    else []
)


rule measure_mechanisms:
    input:
        model=f"{MODEL}/model/config.json",
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "measure_mechanisms",
            mechanisms={
                key: value for key, value in STUDY["mechanisms"].items() if key != "enabled"
            },
            prefix=STUDY["prefix"],
            **VERIFIED,
            **STATISTICS,
        ),
        continuations=ancient(f"{MODEL}/continuations.parquet"),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
    output:
        perturbation=f"{PROTOCOL}/mechanisms/{{taxonomy}}/perturbation.csv",
        recovery=f"{PROTOCOL}/mechanisms/{{taxonomy}}/recovery.csv",
        lens=f"{PROTOCOL}/mechanisms/{{taxonomy}}/lens.csv",
        winning=f"{PROTOCOL}/mechanisms/{{taxonomy}}/winning.csv",
        heads=f"{PROTOCOL}/mechanisms/{{taxonomy}}/heads.csv",
        overlap=f"{PROTOCOL}/mechanisms/{{taxonomy}}/overlap.csv",
        compression=f"{PROTOCOL}/mechanisms/{{taxonomy}}/compression.csv",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/measure_mechanisms/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/measure_mechanisms/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_mechanisms.py"
