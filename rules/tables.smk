"""Tables and provenance: what a person reads, gathered over models, protocols and taxonomies.

Inputs: predictions, counts, labels, verification.
Outputs: tables/*.csv, run.json.
"""

WITH_TRUTH = NURSERY + TWINNED
TABLES = [
    *expand(
        f"{RESULTS}/tables/{{table}}.csv", table=["scores", "counts", "leakage", "verification"]
    ),
    *([f"{RESULTS}/tables/truth.csv"] if WITH_TRUTH else []),
    *([f"{RESULTS}/tables/recall_by_kind.csv"] if NURSERY else []),
]


rule score_cnns:
    input:
        predictions=per_cnns("{model}/{protocol}/cnns/{taxonomy}/predictions.parquet", TAXONOMIES),
    output:
        scores=report(
            f"{RESULTS}/tables/scores.csv",
            caption="../workflow/report/scores.rst",
            category="1 Tables",
            labels={"table": "scores"},
        ),
    log:
        f"{RESULTS}/logs/score_cnns.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_cnns.tsv"
    conda:
        "../envs/engram.yaml"
    params:
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        code=code("score_cnns"),
    script:
        "../workflow/scripts/score_cnns.py"


rule count_samples:
    input:
        counts=expand(
            f"{RESULTS}/{{model}}/{{protocol}}/counts.csv", model=MODELS, protocol=PROTOCOLS
        ),
    output:
        counts=report(
            f"{RESULTS}/tables/counts.csv",
            caption="../workflow/report/counts.rst",
            category="1 Tables",
            labels={"table": "counts"},
        ),
    log:
        f"{RESULTS}/logs/count_samples.log",
    conda:
        "../envs/engram.yaml"
    params:
        code=code("count_samples"),
    script:
        "../workflow/scripts/count_samples.py"


rule compare_with_truth:
    input:
        labels=expand(f"{RESULTS}/{{model}}/labels.parquet", model=WITH_TRUTH),
        verification=expand(f"{RESULTS}/{{model}}/attention/verification.parquet", model=TWINNED),
    output:
        truth=report(
            f"{RESULTS}/tables/truth.csv",
            caption="../workflow/report/truth.rst",
            category="1 Tables",
            labels={"table": "rule and truth"},
        ),
    log:
        f"{RESULTS}/logs/compare_with_truth.log",
    conda:
        "../envs/engram.yaml"
    params:
        models=WITH_TRUTH,
        twinned=TWINNED,
        code=code("compare_with_truth"),
    script:
        "../workflow/scripts/compare_with_truth.py"


rule check_verification:
    input:
        verification=expand(f"{RESULTS}/{{model}}/attention/verification.parquet", model=MODELS),
        labels=expand(f"{RESULTS}/{{model}}/labels.parquet", model=MODELS),
        continuations=expand(f"{RESULTS}/{{model}}/continuations.parquet", model=MODELS),
        candidates=expand(f"{RESULTS}/{{model}}/candidates.parquet", model=MODELS),
    output:
        verification=report(
            f"{RESULTS}/tables/verification.csv",
            caption="../workflow/report/agreement.rst",
            category="1 Tables",
            labels={"table": "verification"},
        ),
    log:
        f"{RESULTS}/logs/check_verification.log",
    conda:
        "../envs/engram.yaml"
    params:
        models=list(MODELS),
        prefix=STUDY["prefix"],
        code=code("check_verification"),
    script:
        "../workflow/scripts/check_verification.py"


rule score_kinds:
    input:
        predictions=per_cnns(
            "{model}/{protocol}/cnns/{taxonomy}/predictions.parquet", TAXONOMIES, NURSERY
        ),
        labels=expand(f"{RESULTS}/{{model}}/labels.parquet", model=NURSERY),
    output:
        recall=report(
            f"{RESULTS}/tables/recall_by_kind.csv",
            caption="../workflow/report/recall_by_kind.rst",
            category="1 Tables",
            labels={"table": "recall by kind of text"},
        ),
    log:
        f"{RESULTS}/logs/score_kinds.log",
    conda:
        "../envs/engram.yaml"
    params:
        models=NURSERY,
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        code=code("score_kinds"),
    script:
        "../workflow/scripts/score_kinds.py"


rule describe_run:
    input:
        labels=expand(f"{RESULTS}/{{model}}/labels.parquet", model=MODELS),
        tables=TABLES,
    output:
        run=f"{RESULTS}/run.json",
    log:
        f"{RESULTS}/logs/describe_run.log",
    conda:
        "../envs/engram.yaml"
    params:
        config=STUDY,
        code=CODE,
        models=list(MODELS),
    script:
        "../workflow/scripts/describe_run.py"
