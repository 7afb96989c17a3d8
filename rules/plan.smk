"""`snakemake plan`: what the study costs, before any model runs.

Inputs: the sample lists, the models' shapes, the documents of an audit. Of models from packages, of
models that are drilled here unless the nursery's, and of models that are known by name, the plan is
an upper bound until their windows have scores; it needs no list, and of a known name no shape.
Outputs: tables/plan.csv, tables/plan_measures.csv, tables/plan_jobs.csv, tables/plan_audit.csv. No
part of a default run.
"""

# A study that is only an audit has no samples to count.
ONLY_AUDIT = AUDITED == list(MODELS) and not TAXONOMIES


BOUNDS = {name: bounded for name in MODELS if (bounded := bound(name))}
PLANNED = [name for name in MODELS if name not in BOUNDS]
SHAPED = {name: planned_configuration(name, name in BOUNDS) for name in MODELS}


rule plan_study:
    input:
        samples=per_model("samples.parquet", PLANNED),
        labels=per_model("labels.parquet", PLANNED),
        configurations=list(dict.fromkeys(path for paths in SHAPED.values() for path in paths)),
        settings=settings(
            "plan_study",
            models={name: entry["model"] for name, entry in MODELS.items()},
            bos={name: MODELS[name]["bos"] for name in (*BROUGHT, *DRILLED)},
            configurations=SHAPED,
            bounds=BOUNDS,
            paired={name: designed(name) for name in CROSSED},
            mean_dtype=STUDY["attention"]["mean_dtype"],
            block=STUDY["attention"]["block"],
            rates=STUDY["plan"],
            **WINDOW,
            shown=SHOWN,
            prefixes=UNRELATED,
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


rule plan_audit:
    input:
        configurations=per_model("model/config.json", AUDITED),
        settings=settings(
            "plan_audit",
            models=[
                {
                    **{key: MODELS[name][key] for key in ("name", "stride", "bos")},
                    **{key: MODELS[name][key] for key in ("documents", "pattern", "text_column")},
                    "state": source_state(name),
                }
                for name in AUDITED
            ],
            **WINDOW,
            books=AUDIT["books"],
            redact=AUDIT["redact"],
            unrelated=UNRELATED,
            rates=STUDY["plan"],
        ),
    output:
        plan=f"{RESULTS}/tables/plan_audit.csv",
    log:
        f"{RESULTS}/logs/plan_audit.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plan_audit.py"


rule plan:
    """Print the plan, whenever it is asked for."""
    input:
        plan=[] if ONLY_AUDIT else rules.plan_study.output.plan,
        measures=[] if ONLY_AUDIT else rules.plan_study.output.measures,
        jobs=[] if ONLY_AUDIT else rules.plan_study.output.jobs,
        audit=rules.plan_audit.output.plan if AUDITED else [],
        settings=settings("plan", script="show_plan", rates=STUDY["plan"]),
    log:
        f"{RESULTS}/logs/plan.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/show_plan.py"
