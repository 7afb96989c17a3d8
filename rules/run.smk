"""What the run was: its provenance, and what it asked for, used and cost, rule by rule.

Inputs: all tables, and the explorer's pages; the jobs that they come from have left
results/<study>/benchmarks/.
Outputs: run.json, tables/efficiency.csv.
"""

ALL_TABLES = [
    path
    for path in [
        *CROSSED_TABLES,
        *TABLES,
        *MATCHED_RESULTS,
        *KNOCKOUT_TABLES,
        *LOCALIZATION,
        *AUDIT_TABLES,
    ]
    if path.endswith(".csv")
]


rule describe_run:
    input:
        labels=[
            f"{RESULTS}/{name}/{'audit/windows' if name in REDACTED else 'labels'}.parquet"
            for name in MODELS
        ],
        tables=ALL_TABLES,
        settings=settings.stamped("describe_run", config=STUDY, stages=CODE, models=list(MODELS)),
    output:
        run=f"{RESULTS}/run.json",
    log:
        f"{RESULTS}/logs/describe_run.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/describe_run.py"


rule table_efficiency:
    input:
        tables=ALL_TABLES,
        explorer=[*EXPLORER, *PAIR_EXPLORER],
        settings=settings.stamped("table_efficiency"),
    output:
        efficiency=table("efficiency", "efficiency_table", "efficiency and cost", "7 Run"),
    log:
        f"{RESULTS}/logs/table_efficiency.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/table_efficiency.py"
