"""Candidates and their labels.

Inputs: the source's windows, the model.
Outputs: <model>/candidates.parquet, <model>/labels.parquet.
"""


rule score_candidates:
    input:
        drilled=f"{RESULTS}/{{model}}/drilled.parquet",
        model=f"{RESULTS}/{{model}}/model/model.safetensors",
        twin=base_file("model.safetensors"),
    output:
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_candidates.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_candidates.tsv"
    wildcard_constraints:
        model=among(NURSERY),
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        prefix=STUDY["prefix"],
        dtype=of_model("dtype"),
        code=code("score_candidates"),
    script:
        "../workflow/scripts/score_candidates.py"


rule label_candidates:
    input:
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
    output:
        labels=f"{RESULTS}/{{model}}/labels.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/label_candidates.log",
    conda:
        "../envs/engram.yaml"
    threads: 4
    params:
        prefix=STUDY["prefix"],
        code=code("label_candidates"),
    script:
        "../workflow/scripts/label_candidates.py"
