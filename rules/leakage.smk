"""Leakage: what the split of each protocol gives away.

Inputs: the sample lists, labels.
Outputs: tables/leakage.csv.
"""


rule measure_leakage:
    input:
        samples=expand(
            f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet", model=MODELS, protocol=PROTOCOLS
        ),
        labels=expand(f"{RESULTS}/{{model}}/labels.parquet", model=MODELS),
    output:
        leakage=report(
            f"{RESULTS}/tables/leakage.csv",
            caption="../workflow/report/leakage.rst",
            category="1 Tables",
            labels={"table": "leakage"},
        ),
    log:
        f"{RESULTS}/logs/measure_leakage.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_leakage.tsv"
    conda:
        "../envs/engram.yaml"
    params:
        code=code("measure_leakage"),
    script:
        "../workflow/scripts/measure_leakage.py"
