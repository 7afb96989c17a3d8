"""Candidates and their labels.

Inputs: the source's windows, the model.
Outputs: <model>/candidates.parquet, <model>/labels.parquet, code_classifier.json where the config names one.
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
        base=base_state,
        code=code("score_candidates"),
    script:
        "../workflow/scripts/score_candidates.py"


rule fetch_code_classifier:
    """The study's fastText model for `is_code`; runs only where the config names it, on the machine that runs Snakemake."""
    output:
        classifier=f"{RESULTS}/code_classifier.json",
    log:
        f"{RESULTS}/logs/fetch_code_classifier.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    params:
        **STUDY["code_classifier"],
        state=CODE_CLASSIFIER_STATE,
        code=code("fetch_code_classifier"),
    script:
        "../workflow/scripts/fetch_code_classifier.py"


rule label_candidates:
    input:
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        classifier=rules.fetch_code_classifier.output if STUDY["code_classifier"]["model"] else [],
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
