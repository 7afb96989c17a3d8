"""CNNs: one job trains the whole grid of a (model, protocol, taxonomy), controls and baselines included.

Inputs: sample list, attention store; for the baselines candidates, labels, attention of permuted weights, hidden states.
Outputs: <model>/<protocol>/cnns/<taxonomy>/ (checkpoints.safetensors, history.csv, predictions.parquet).
"""


rule train_cnns:
    input:
        samples=ancient(f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet"),
        labels=ancient(f"{RESULTS}/{{model}}/labels.parquet"),
        candidates=ancient(f"{RESULTS}/{{model}}/candidates.parquet"),
        continuations=ancient(f"{RESULTS}/{{model}}/continuations.parquet"),
        shards=settled_shards,
        index=ancient(f"{RESULTS}/{{model}}/attention/index.parquet"),
        verification=ancient(f"{RESULTS}/{{model}}/attention/verification.parquet"),
        random=random_attention,
        hidden=hidden_states,
    output:
        checkpoints=f"{RESULTS}/{{model}}/{{protocol}}/cnns/{{taxonomy}}/checkpoints.safetensors",
        history=f"{RESULTS}/{{model}}/{{protocol}}/cnns/{{taxonomy}}/history.csv",
        predictions=f"{RESULTS}/{{model}}/{{protocol}}/cnns/{{taxonomy}}/predictions.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/train_cnns/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/train_cnns/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    resources:
        **({"gpu": 1} if STUDY["cnn"]["device"] == "cuda" else {}),
    params:
        taxonomy=taxonomy_name,
        classes=class_names,
        cnn=CNN,
        memory_mb=tuning(STUDY["cnn"]["memory_mb"]),
        parts=f"{PARTS}/cnns",
        # The baseline of scalars may not see the columns that define the classes.
        defining=lambda wildcards: sorted(TAXONOMIES[wildcards.taxonomy].columns()),
        lineage=samples_lineage,
        baselines=baselines_lineage,
        code=code("train_cnns"),
    script:
        "../workflow/scripts/train_cnns.py"
