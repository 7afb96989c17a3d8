"""Attention of every sampled sequence, once per model.

Inputs: the sample lists, candidates, the model.
Outputs: <model>/continuations.parquet, <model>/attention/ (version.json, shards, index.parquet,
verification.parquet). Finished rows are kept in results/.parts/, so that a killed job or a grown
pool recomputes nothing.
"""


use rule stamp as version_attention with:
    input:
        settings=settings.by(
            "model",
            "attention",
            {name: extracted(name) for name in MODELS},
            script="extract_attention",
        ),
    output:
        version=f"{MODEL}/attention/version.json",
    log:
        f"{RESULTS}/logs/{{model}}/version_attention.log",


rule continue_prefixes:
    input:
        samples=f"{MODEL}/samples.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "continue_prefixes",
            {
                name: {
                    **WINDOW,
                    "dtype": entry["dtype"],
                    "shown": SHOWN,
                    **{key: STUDY["attention"][key] for key in CONTINUED},
                }
                for name, entry in MODELS.items()
            },
        ),
    output:
        continuations=f"{MODEL}/continuations.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/continue_prefixes.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/continue_prefixes.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/continue_prefixes.py"


rule extract_attention:
    input:
        samples=f"{MODEL}/samples.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        continuations=f"{MODEL}/continuations.parquet",
        model=f"{MODEL}/model/config.json",
        version=f"{MODEL}/attention/version.json",
        settings=settings.by(
            "model",
            "extract_attention",
            {
                name: {
                    "prefix": STUDY["prefix"],
                    "dtype": entry["dtype"],
                    "mean_dtype": STUDY["attention"]["mean_dtype"],
                    "block": STUDY["attention"]["block"],
                    "shards": entry["shards"],
                }
                for name, entry in MODELS.items()
            },
        ),
    output:
        shard=f"{MODEL}/attention/shard-{{shard}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_attention-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_attention-{{shard}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
        kernel=KERNEL,
    script:
        "../workflow/scripts/extract_attention.py"


rule score_twin:
    input:
        samples=f"{MODEL}/samples.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        model=f"{MODEL}/model/config.json",
        twin=f"{MODEL}/twin/config.json",
        settings=settings.by(
            "model",
            "score_twin",
            {
                name: {
                    "prefix": STUDY["prefix"],
                    "dtype": MODELS[name]["dtype"],
                    "state": state.model_state(MODELS[name]["twin"]),
                }
                for name in TWINNED
            },
        ),
    output:
        twin=f"{MODEL}/attention/twin.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_twin.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_twin.tsv"
    wildcard_constraints:
        model=among(TWINNED),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/score_twin.py"


rule index_attention:
    input:
        shards=shards,
        twin=twin_scores,
        texts=true_texts,
        settings=settings.by(
            "model",
            "index_attention",
            {
                name: {"twin": name in TWINNED, "shown": SHOWN, "prefix": STUDY["prefix"]}
                for name in MODELS
            },
        ),
    output:
        index=f"{MODEL}/attention/index.parquet",
        verification=f"{MODEL}/attention/verification.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/index_attention.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/index_attention.py"
