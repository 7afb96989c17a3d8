"""Candidates and their labels.

Inputs: the source's windows, the model.
Outputs: <model>/candidates.parquet, <model>/labels.parquet, code_classifier.json where the config
names a classifier, <model>/prior.parquet with `prior.prefixes`.
"""

CLASSIFIER = STUDY["code_classifier"]
UNRELATED = STUDY["prior"]["prefixes"]
CLASSIFIER_FILES = (CLASSIFIER["model"], Path(CLASSIFIER["model"], CLASSIFIER["file"]))


rule score_candidates:
    input:
        drilled=f"{MODEL}/drilled.parquet",
        model=f"{MODEL}/model/model.safetensors",
        twin=base_file("model.safetensors"),
        counterpart=counterpart_weights,
        settings=settings.by(
            "model",
            "score_candidates",
            {name: {**scored_as(name), "base": base_digest(name)} for name in NURSERY},
        ),
    output:
        candidates=f"{MODEL}/candidates.parquet",
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
    script:
        "../workflow/scripts/score_candidates.py"


rule fetch_code_classifier:
    """Find the fastText model for `is_code`; only where the config names one."""
    input:
        settings=settings(
            "fetch_code_classifier", **CLASSIFIER, state=state.file_state(*CLASSIFIER_FILES)
        ),
    output:
        classifier=f"{RESULTS}/code_classifier.json",
    log:
        f"{RESULTS}/logs/fetch_code_classifier.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/fetch_code_classifier.py"


rule measure_prior:
    """Ask the model for every suffix after unrelated prefixes; only where the config wants a prior."""
    input:
        candidates=f"{MODEL}/candidates.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "measure_prior",
            {
                name: {
                    "prefix": STUDY["prefix"],
                    "prefixes": UNRELATED,
                    "seed": STUDY["seed"],
                    "dtype": entry["dtype"],
                }
                for name, entry in MODELS.items()
            },
        ),
    output:
        prior=f"{MODEL}/prior.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/measure_prior.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/measure_prior.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_prior.py"


rule label_candidates:
    input:
        candidates=f"{MODEL}/candidates.parquet",
        counterpart=counterpart_scores,
        classifier=rules.fetch_code_classifier.output if CLASSIFIER["model"] else [],
        prior=rules.measure_prior.output if UNRELATED else [],
        settings=settings(
            "label_candidates", prefix=STUDY["prefix"], classified=bool(CLASSIFIER["model"])
        ),
    output:
        labels=f"{MODEL}/labels.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/label_candidates.log",
    conda:
        "../envs/engram.yaml"
    threads: 4
    script:
        "../workflow/scripts/label_candidates.py"
