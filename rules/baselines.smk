"""What the baselines see: attention of permuted weights, and hidden states; only where `cnn.baselines`
asks for it.

Inputs: as for the attention.
Outputs: <model>/random/ (the model with permuted weights, deleted after use, and its attention),
<model>/hidden_states.h5.
"""


rule permute_weights:
    input:
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "permute_weights",
            {
                name: {"dtype": entry["dtype"], "seed": STUDY["seed"]}
                for name, entry in MODELS.items()
            },
        ),
    output:
        config=f"{MODEL}/random/model/config.json",
        weights=temp(f"{MODEL}/random/model/model.safetensors"),
    log:
        f"{RESULTS}/logs/{{model}}/permute_weights.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/permute_weights.py"


use rule extract_attention as extract_random_attention with:
    input:
        samples=f"{MODEL}/samples.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        continuations=f"{MODEL}/continuations.parquet",
        model=f"{MODEL}/random/model/config.json",
        weights=f"{MODEL}/random/model/model.safetensors",
        version=f"{MODEL}/attention/version.json",
        settings=f"{settings.folder}/model/{{model}}/extract_attention.json",
    output:
        shard=f"{MODEL}/random/attention/shard-{{shard}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_random_attention-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_random_attention-{{shard}}.tsv"


use rule index_attention as index_random_attention with:
    input:
        shards=random_shards,
        twin=[],
        texts=[],
        settings=f"{settings.folder}/model/{{model}}/index_attention.json",
    output:
        index=f"{MODEL}/random/attention/index.parquet",
        verification=f"{MODEL}/random/attention/verification.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/index_random_attention.log",


rule extract_hidden_states:
    input:
        samples=f"{MODEL}/samples.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        continuations=f"{MODEL}/continuations.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "extract_hidden_states",
            {name: {"dtype": entry["dtype"]} for name, entry in MODELS.items()},
        ),
    output:
        states=f"{MODEL}/hidden_states.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_hidden_states.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_hidden_states.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/extract_hidden_states.py"
