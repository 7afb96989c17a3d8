"""`snakemake plan`: what the study costs, before any model runs.

Inputs: the sample lists, the models' shapes.
Outputs: tables/plan.csv, tables/plan_measures.csv, tables/plan_jobs.csv. No part of a default run.
"""


rule plan_study:
    input:
        samples=per_model("samples.parquet"),
        labels=per_model("labels.parquet"),
        configurations=[path for name in MODELS for path in configuration(name)],
        settings=settings(
            "plan_study",
            models={name: entry["model"] for name, entry in MODELS.items()},
            bos={name: MODELS[name]["bos"] for name in BROUGHT},
            configurations={name: configuration(name) for name in MODELS},
            mean_dtype=STUDY["attention"]["mean_dtype"],
            rates=STUDY["plan"],
            **WINDOW,
            shown=SHOWN,
            config=GIVEN,
        ),
    output:
        plan=f"{RESULTS}/tables/plan.csv",
        measures=f"{RESULTS}/tables/plan_measures.csv",
        jobs=f"{RESULTS}/tables/plan_jobs.csv",
    log:
        f"{RESULTS}/logs/plan_study.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plan_study.py"


rule plan:
    """Print the plan, whenever it is asked for."""
    input:
        plan=f"{RESULTS}/tables/plan.csv",
        measures=f"{RESULTS}/tables/plan_measures.csv",
        jobs=f"{RESULTS}/tables/plan_jobs.csv",
        settings=settings("plan", script="show_plan", rates=STUDY["plan"]),
    log:
        f"{RESULTS}/logs/plan.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/show_plan.py"
