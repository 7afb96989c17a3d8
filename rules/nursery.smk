"""The nursery: drills the shipped base on windows it has never seen; trains a new base on request.

Inputs: resources/nursery/ (base model, tokenizer, windows, replayed text).
Outputs: <model>/model/ (the drilled model), <model>/drilled.parquet (windows with exposures).
"""

BASE_RESULTS = "results/nursery_base"


rule drill_nursery:
    input:
        base=base_file("model.safetensors"),
        windows=base_file("windows.parquet"),
        replay=base_file("replay.parquet"),
        settings=settings.by("model", "drill_nursery", {name: drilled(name) for name in NURSERY}),
    output:
        model=f"{MODEL}/model/model.safetensors",
        config=f"{MODEL}/model/config.json",
        tokenizer=f"{MODEL}/model/tokenizer.json",
        curve=f"{MODEL}/model/training.csv",
        drilled=f"{MODEL}/drilled.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/drill_nursery.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/drill_nursery.tsv"
    wildcard_constraints:
        model=among(NURSERY),
    conda:
        "../envs/engram.yaml"
    threads: replicas
    resources:
        gpu=1,
    script:
        "../workflow/scripts/drill_nursery.py"


rule nursery_base:
    """Train a new base under results/nursery_base/; `make promote-base` makes it the shipped one."""
    input:
        settings=settings(
            "nursery_base",
            script="train_nursery_base",
            base=STUDY["nursery_base"],
            seed=STUDY["seed"],
            **WINDOW,
        ),
    output:
        model=f"{BASE_RESULTS}/model.safetensors",
        config=f"{BASE_RESULTS}/config.json",
        tokenizer=f"{BASE_RESULTS}/tokenizer.json",
        windows=f"{BASE_RESULTS}/windows.parquet",
        replay=f"{BASE_RESULTS}/replay.parquet",
        curve=f"{BASE_RESULTS}/training.csv",
        provenance=f"{BASE_RESULTS}/base.json",
    log:
        f"{BASE_RESULTS}/train.log",
    benchmark:
        f"{BASE_RESULTS}/train.tsv"
    conda:
        "../envs/engram.yaml"
    threads: STUDY["nursery_base"]["training"]["workers"]
    resources:
        gpu=1,
    script:
        "../workflow/scripts/train_nursery_base.py"
