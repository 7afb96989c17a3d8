"""Localization: saliency of the trained CNNs on held-out samples.

Inputs: checkpoints and predictions of a taxonomy, attention store.
Outputs: <model>/<protocol>/saliency/<taxonomy>.h5.
"""


rule compute_saliency:
    input:
        checkpoints=f"{RESULTS}/{{model}}/{{protocol}}/cnns/{{taxonomy}}/checkpoints.safetensors",
        samples=ancient(f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet"),
        shards=settled_shards,
        index=ancient(f"{RESULTS}/{{model}}/attention/index.parquet"),
        verification=ancient(f"{RESULTS}/{{model}}/attention/verification.parquet"),
    output:
        saliency=f"{RESULTS}/{{model}}/{{protocol}}/saliency/{{taxonomy}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/compute_saliency/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/compute_saliency/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    params:
        taxonomy=taxonomy_name,
        classes=class_names,
        saliency={key: STUDY["saliency"][key] for key in ("methods", "samples_per_class")},
        prefix=STUDY["prefix"],
        lineage=samples_lineage,
        code=code("compute_saliency"),
    script:
        "../workflow/scripts/compute_saliency.py"
