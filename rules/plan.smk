"""`snakemake plan`: what the study costs, before any model runs.

Inputs: the sample lists, the models' shapes.
Outputs: tables/plan.csv, tables/plan_jobs.csv. No part of a default run.
"""


rule plan_study:
    input:
        samples=expand(
            f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet", model=MODELS, protocol=PROTOCOLS
        ),
        labels=expand(f"{RESULTS}/{{model}}/labels.parquet", model=MODELS),
        configurations=[path for name in MODELS for path in configuration(name)],
    output:
        plan=f"{RESULTS}/tables/plan.csv",
        jobs=f"{RESULTS}/tables/plan_jobs.csv",
    log:
        f"{RESULTS}/logs/plan_study.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    params:
        models={name: entry["model"] for name, entry in MODELS.items()},
        window=(STUDY["prefix"], STUDY["suffix"]),
        mean_dtype=STUDY["attention"]["mean_dtype"],
        rates=STUDY["plan"],
        snakefile=f"{workflow.basedir}/Snakefile",
        config=GIVEN,
        code=code("plan_study"),
    script:
        "../workflow/scripts/plan_study.py"


rule plan:
    """Prints the plan, whenever it is asked for."""
    input:
        plan=f"{RESULTS}/tables/plan.csv",
        jobs=f"{RESULTS}/tables/plan_jobs.csv",
    log:
        f"{RESULTS}/logs/plan.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    params:
        rates=STUDY["plan"],
    script:
        "../workflow/scripts/show_plan.py"
