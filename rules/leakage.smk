"""Leakage: what the split of each protocol gives away.

Inputs: the sample lists, labels, candidates.
Outputs: tables/leakage.csv.
"""


rule measure_leakage:
    input:
        samples=[f"{RESULTS}/{SAMPLES}".format(**run) for run in LISTED],
        labels=per_model("labels.parquet"),
        candidates=per_model("candidates.parquet"),
        settings=settings(
            "measure_leakage",
            runs=LISTED,
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
