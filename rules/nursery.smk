"""The nursery: drills the shipped base on windows it has never seen, and trains a new base on request.

Inputs: resources/nursery/ (base model, tokenizer, windows, replayed text).
Outputs: <model>/model/ (the drilled model), <model>/drilled.parquet (windows with exposures).
"""

BASE_RESULTS = "results/nursery_base"


rule drill_nursery:
    input:
        base=base_file("model.safetensors"),
        windows=base_file("windows.parquet"),
        replay=base_file("replay.parquet"),
    output:
        model=f"{RESULTS}/{{model}}/model/model.safetensors",
        config=f"{RESULTS}/{{model}}/model/config.json",
        tokenizer=f"{RESULTS}/{{model}}/model/tokenizer.json",
        curve=f"{RESULTS}/{{model}}/model/training.csv",
        drilled=f"{RESULTS}/{{model}}/drilled.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/drill_nursery.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/drill_nursery.tsv"
    wildcard_constraints:
        model=among(NURSERY),
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        drilling=of_model("drilling"),
        windows=of_model("windows"),
        seed=of_model("seed"),
        prefix=STUDY["prefix"],
        suffix=STUDY["suffix"],
        state=drilling_state,
        code=code("drill_nursery"),
    script:
        "../workflow/scripts/drill_nursery.py"


rule nursery_base:
    """Trains a new base under results/nursery_base/; `make promote-base` makes it the shipped one."""
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
    threads: 8
    resources:
        gpu=1,
    params:
        base=STUDY["nursery_base"],
        seed=STUDY["seed"],
        prefix=STUDY["prefix"],
        suffix=STUDY["suffix"],
        state=f"{PARTS}/nursery_base",
    script:
        "../workflow/scripts/train_nursery_base.py"
