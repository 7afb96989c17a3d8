"""Leakage: what the split of each protocol gives away.

Inputs: the sample lists, labels, candidates.
Outputs: tables/leakage.csv.
"""


rule measure_leakage:
    input:
        samples=per_run(
            "{model}/{protocol}/samples/{taxonomy}.parquet",
            TAXONOMIES,
            protocols=[*PROTOCOLS, *HELD_OUT],
        ),
        labels=per_model("labels.parquet"),
        candidates=per_model("candidates.parquet"),
        settings=settings(
            "measure_leakage",
            runs=runs(TAXONOMIES, protocols=[*PROTOCOLS, *HELD_OUT]),
            models=list(MODELS),
        ),
    output:
        leakage=table("leakage", "leakage", "leakage"),
    log:
        f"{RESULTS}/logs/measure_leakage.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_leakage.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/measure_leakage.py"
