"""The nursery: drills the shipped base on windows it has never seen; trains a new base on request.

Inputs: resources/nursery/ (base model, tokenizer, windows, replayed text).
Outputs: <model>/model/ (the drilled model), <model>/drilled.parquet (windows with exposures);
<model>/crossed/design.parquet of every crossed pair, with its first model.
"""

OF_NURSERY = [name for name in CROSSED if name in NURSERY]

# Entropy in the course of the drilling, where it is asked for: it is measured while models train.
OF_COURSE = STUDY["mechanisms"]["entropy"] if STUDY["mechanisms"]["entropy"]["course"] else {}
WATCHED = (
    {"course": {key: OF_COURSE[key] for key in ("patch", "course_windows")}} if OF_COURSE else {}
)
COURSE = {"course": f"{MODEL}/entropy_course.parquet"} if OF_COURSE else {}
COURSES = NURSERY if OF_COURSE else []
COURSE_TABLES = [f"{RESULTS}/tables/entropy_course.csv"] if COURSES else []
COURSE_FIGURES = per_figure("{model}/entropy_course", model=COURSES)

BASE_RESULTS = str(Path("results/nursery_base", STUDY["nursery_base"]["name"]))


rule drill_nursery:
    input:
        base=base_file("model.safetensors"),
        windows=base_file("windows.parquet"),
        replay=base_file("replay.parquet"),
        earlier=earlier_checkpoint,
        settings=settings.by(
            "model", "drill_nursery", {name: drilled(name) | WATCHED for name in SCHEDULED}
        ),
    output:
        **COURSE,
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
        model=among(SCHEDULED),
    conda:
        "../envs/engram.yaml"
    threads: replicas
    resources:
        gpu=1,
    script:
        "../workflow/scripts/drill_nursery.py"


rule design_crossed:
    """Draw which windows which model of a pair is shown; the file lies with the pair's first model."""
    input:
        base=base_file("model.safetensors"),
        windows=base_file("windows.parquet"),
        settings=settings.by(
            "model",
            "design_crossed",
            {name: crossed_design(name) for name in PAIRS if name in NURSERY},
        ),
    output:
        design=f"{MODEL}/crossed/design.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/design_crossed.log",
    wildcard_constraints:
        model=among(OF_NURSERY),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/design_crossed.py"


rule drill_crossed:
    input:
        base=base_file("model.safetensors"),
        windows=base_file("windows.parquet"),
        replay=base_file("replay.parquet"),
        design=design_of,
        settings=settings.by(
            "model", "drill_crossed", {name: drilled(name) | WATCHED for name in OF_NURSERY}
        ),
    output:
        **COURSE,
        model=f"{MODEL}/model/model.safetensors",
        config=f"{MODEL}/model/config.json",
        tokenizer=f"{MODEL}/model/tokenizer.json",
        curve=f"{MODEL}/model/training.csv",
        drilled=f"{MODEL}/drilled.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/drill_crossed.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/drill_crossed.tsv"
    wildcard_constraints:
        model=among(OF_NURSERY),
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    script:
        "../workflow/scripts/drill_crossed.py"


rule tabulate_entropy_course:
    input:
        courses=per_model("entropy_course.parquet", COURSES),
        settings=settings(
            "tabulate_entropy_course",
            models=COURSES,
            confidence=STUDY["statistics"]["confidence"],
        ),
    output:
        table=table("entropy_course", "entropy_course", "entropy while drilling"),
    log:
        f"{RESULTS}/logs/tabulate_entropy_course.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_entropy_course.py"


rule plot_entropy_course:
    input:
        table=f"{RESULTS}/tables/entropy_course.csv",
        settings=settings("plot_entropy_course", style=STUDY["figures"]),
    output:
        figure=figure(
            "{model}/entropy_course",
            "entropy_course_figure",
            "5 Nursery",
            figure="entropy while drilling",
            model="{model}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/entropy_course.log",
    wildcard_constraints:
        model=among(COURSES),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_entropy_course.py"


rule nursery_base:
    """Train a base under results/nursery_base/; `make promote-base` makes it one that ships."""
    input:
        settings=settings(
            "nursery_base",
            script="train_nursery_base",
            base=STUDY["nursery_base"],
            shared=(
                digests.file_digest(STUDY["nursery_base"]["shared"])
                if STUDY["nursery_base"]["shared"]
                else ""
            ),
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
