"""CNNs: one job trains the whole grid of a (model, protocol, taxonomy), controls and baselines
included.

Inputs: sample list, attention store; for the baselines candidates, labels, attention of permuted
weights, hidden states.
Outputs: <model>/<protocol>/cnns/<taxonomy>/ (checkpoints.safetensors, history.csv,
predictions.parquet, permutations.csv).
"""

BASELINE_STAGES = {
    "random_weights": ["permute_weights"],
    "hidden_states": ["extract_hidden_states"],
}
# Files of baselines hold all taxonomies and lie behind order-only edges.
BASELINE_CODE = {
    stage: CODE[stage] for name in BASELINES for stage in BASELINE_STAGES.get(name, [])
}
VERIFIED = {"verification": CODE["index_attention"]}


rule train_cnns:
    input:
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "train_cnns",
            cnn={key: value for key, value in STUDY["cnn"].items() if key != "memory_mb"},
            seed=STUDY["seed"],
            baselines=BASELINE_CODE,
            **VERIFIED,
        ),
        continuations=ancient(f"{MODEL}/continuations.parquet"),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
        attention=attention,
        random=random_attention,
        hidden=hidden_states,
    output:
        checkpoints=f"{PROTOCOL}/cnns/{{taxonomy}}/checkpoints.safetensors",
        history=f"{PROTOCOL}/cnns/{{taxonomy}}/history.csv",
        predictions=f"{PROTOCOL}/cnns/{{taxonomy}}/predictions.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/train_cnns/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/train_cnns/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    resources:
        **({"gpu": 1} if STUDY["cnn"]["device"] == "cuda" else {}),
        maps_mb=STUDY["cnn"]["memory_mb"],
    script:
        "../workflow/scripts/train_cnns.py"


rule permute_labels:
    """Score a cheap classifier on the labels and on a thousand permuted ones."""
    input:
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "permute_labels", seed=STUDY["seed"], baselines=BASELINE_CODE, **VERIFIED
        ),
        continuations=ancient(f"{MODEL}/continuations.parquet"),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
        attention=attention,
        random=random_attention,
    output:
        table=f"{PROTOCOL}/cnns/{{taxonomy}}/permutations.csv",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/permute_labels/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/permute_labels/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    resources:
        maps_mb=STUDY["cnn"]["memory_mb"],
    script:
        "../workflow/scripts/permute_labels.py"
