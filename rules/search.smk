"""Taxonomy search: one grid on the finest partition of the configured categories, finalists, one test.

Inputs: sample list (with the atoms), labels, attention store.
Outputs: <model>/engram/search.csv, tables/search.csv. Only where the config's `search` names categories.
"""

SEARCHED = list(MODELS) if STUDY["search"]["categories"] else []
if SEARCHED:
    TABLES.append(f"{RESULTS}/tables/search.csv")


rule search_taxonomies:
    input:
        samples=f"{RESULTS}/{{model}}/engram/samples.parquet",
        labels=f"{RESULTS}/{{model}}/labels.parquet",
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        continuations=f"{RESULTS}/{{model}}/continuations.parquet",
        shards=shards,
        index=f"{RESULTS}/{{model}}/attention/index.parquet",
        verification=f"{RESULTS}/{{model}}/attention/verification.parquet",
    output:
        search=f"{RESULTS}/{{model}}/engram/search.csv",
    log:
        f"{RESULTS}/logs/{{model}}/search_taxonomies.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/search_taxonomies.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    params:
        categories=CATEGORIES,
        search=STUDY["search"],
        samples=STUDY["samples"],
        cnn=CNN,
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        memory_mb=tuning(STUDY["cnn"]["memory_mb"]),
        parts=f"{PARTS}/cnns",
        code=code("search_taxonomies"),
    script:
        "../workflow/scripts/search_taxonomies.py"


rule gather_search:
    input:
        searches=expand(f"{RESULTS}/{{model}}/engram/search.csv", model=SEARCHED),
    output:
        search=report(
            f"{RESULTS}/tables/search.csv",
            caption="../workflow/report/search_table.rst",
            category="1 Tables",
            labels={"table": "taxonomy search"},
        ),
    log:
        f"{RESULTS}/logs/gather_search.log",
    conda:
        "../envs/engram.yaml"
    params:
        code=code("gather_search"),
    script:
        "../workflow/scripts/gather_search.py"
