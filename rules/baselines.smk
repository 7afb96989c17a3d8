"""What the baselines see: attention of random weights, and hidden states. Made only where `cnn.baselines` asks for it.

Inputs: as for the attention.
Outputs: <model>/random/ (the model with permuted weights, deleted after use, and its attention), <model>/hidden_states.h5.
"""


rule permute_weights:
    input:
        model=f"{RESULTS}/{{model}}/model/config.json",
    output:
        config=f"{RESULTS}/{{model}}/random/model/config.json",
        weights=temp(f"{RESULTS}/{{model}}/random/model/model.safetensors"),
    log:
        f"{RESULTS}/logs/{{model}}/permute_weights.log",
    conda:
        "../envs/engram.yaml"
    params:
        dtype=of_model("dtype"),
        seed=STUDY["seed"],
        code=code("permute_weights"),
    script:
        "../workflow/scripts/permute_weights.py"


use rule extract_attention as extract_random_attention with:
    input:
        samples=expand(f"{RESULTS}/{{{{model}}}}/{{protocol}}/samples.parquet", protocol=PROTOCOLS),
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        continuations=f"{RESULTS}/{{model}}/continuations.parquet",
        model=f"{RESULTS}/{{model}}/random/model/config.json",
        weights=f"{RESULTS}/{{model}}/random/model/model.safetensors",
    output:
        shard=f"{RESULTS}/{{model}}/random/attention/shard-{{shard}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_random_attention-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_random_attention-{{shard}}.tsv"


use rule index_attention as index_random_attention with:
    input:
        shards=random_shards,
        twin=[],
    output:
        index=f"{RESULTS}/{{model}}/random/attention/index.parquet",
        verification=f"{RESULTS}/{{model}}/random/attention/verification.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/index_random_attention.log",


rule extract_hidden_states:
    input:
        samples=expand(f"{RESULTS}/{{{{model}}}}/{{protocol}}/samples.parquet", protocol=PROTOCOLS),
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        continuations=f"{RESULTS}/{{model}}/continuations.parquet",
        model=f"{RESULTS}/{{model}}/model/config.json",
    output:
        states=f"{RESULTS}/{{model}}/hidden_states.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_hidden_states.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_hidden_states.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        dtype=of_model("dtype"),
        batch_tokens=tuning(STUDY["attention"]["batch_tokens"]),
        code=code("extract_hidden_states"),
    script:
        "../workflow/scripts/extract_hidden_states.py"
