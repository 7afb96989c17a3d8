"""Attention of every sampled sequence, once per model.

Inputs: the sample lists, candidates, the model.
Outputs: <model>/continuations.parquet, <model>/attention/ (shards, index.parquet, verification.parquet). Finished rows
are kept in results/.parts/, so that a killed job or a grown pool recomputes nothing.
"""


rule continue_prefixes:
    input:
        samples=expand(f"{RESULTS}/{{{{model}}}}/{{protocol}}/samples.parquet", protocol=PROTOCOLS),
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        model=f"{RESULTS}/{{model}}/model/config.json",
    output:
        continuations=f"{RESULTS}/{{model}}/continuations.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/continue_prefixes.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/continue_prefixes.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        prefix=STUDY["prefix"],
        suffix=STUDY["suffix"],
        dtype=of_model("dtype"),
        batch_tokens=tuning(STUDY["attention"]["batch_tokens"]),
        end_of_text=STUDY["attention"]["end_of_text"],
        code=code("continue_prefixes"),
    script:
        "../workflow/scripts/continue_prefixes.py"


rule extract_attention:
    input:
        samples=expand(f"{RESULTS}/{{{{model}}}}/{{protocol}}/samples.parquet", protocol=PROTOCOLS),
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        continuations=f"{RESULTS}/{{model}}/continuations.parquet",
        model=f"{RESULTS}/{{model}}/model/config.json",
    output:
        shard=f"{RESULTS}/{{model}}/attention/shard-{{shard}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_attention-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_attention-{{shard}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        prefix=STUDY["prefix"],
        dtype=of_model("dtype"),
        mean_dtype=STUDY["attention"]["mean_dtype"],
        batch_tokens=tuning(STUDY["attention"]["batch_tokens"]),
        shards=of_model("shards"),
        parts=PARTS,
        code=code("extract_attention"),
    script:
        "../workflow/scripts/extract_attention.py"


rule score_twin:
    input:
        samples=expand(f"{RESULTS}/{{{{model}}}}/{{protocol}}/samples.parquet", protocol=PROTOCOLS),
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        model=f"{RESULTS}/{{model}}/model/config.json",
        twin=f"{RESULTS}/{{model}}/twin/config.json",
    output:
        twin=f"{RESULTS}/{{model}}/attention/twin.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_twin.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_twin.tsv"
    wildcard_constraints:
        model=among(TWINNED),
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        prefix=STUDY["prefix"],
        dtype=of_model("dtype"),
        batch_tokens=tuning(STUDY["attention"]["batch_tokens"]),
        twin=model_state,
        code=code("score_twin"),
    script:
        "../workflow/scripts/score_twin.py"


rule index_attention:
    input:
        shards=shards,
        twin=twin_scores,
    output:
        index=f"{RESULTS}/{{model}}/attention/index.parquet",
        verification=f"{RESULTS}/{{model}}/attention/verification.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/index_attention.log",
    conda:
        "../envs/engram.yaml"
    params:
        code=code("index_attention"),
    script:
        "../workflow/scripts/index_attention.py"
