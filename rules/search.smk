"""Taxonomy search: one grid on the finest partition of the configured categories, finalists, one test.

Inputs: sample list of that partition, labels, attention store.
Outputs: <model>/engram/search.csv, tables/search.csv. Only where `search` of the config names
categories.
"""

SEARCHED_MODELS = list(MODELS) if SEARCHED else []
if SEARCHED:
    TABLES.append(f"{RESULTS}/tables/search.csv")


rule search_taxonomies:
    input:
        samples=f"{MODEL}/engram/samples/search.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        continuations=f"{MODEL}/continuations.parquet",
        verification=f"{MODEL}/attention/verification.parquet",
        attention=f"{MODEL}/attention/index.parquet",
        shards=shards,
        settings=settings(
            "search_taxonomies",
            categories=study_taxonomies.used_categories(STUDY),
            search=STUDY["search"],
            samples=DRAWN,
            cnn={key: value for key, value in STUDY["cnn"].items() if key != "memory_mb"},
            **STATISTICS,
        ),
    output:
        search=f"{MODEL}/engram/search.csv",
    log:
        f"{RESULTS}/logs/{{model}}/search_taxonomies.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/search_taxonomies.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    resources:
        maps_mb=STUDY["cnn"]["memory_mb"],
        fewest_samples=FEWEST,
    script:
        "../workflow/scripts/search_taxonomies.py"


rule gather_search:
    input:
        searches=per_model("engram/search.csv", SEARCHED_MODELS),
        settings=settings("gather_search", models=SEARCHED_MODELS),
    output:
        search=table("search", "search_table", "taxonomy search"),
    log:
        f"{RESULTS}/logs/gather_search.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/gather_search.py"
