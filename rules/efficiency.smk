"""What the run asked for, what it used and what it cost, rule by rule, from the benchmark files of its jobs.

Inputs: all tables, and the explorer; the jobs that they come from have left results/<study>/benchmarks/.
Outputs: tables/efficiency.csv.
"""


rule table_efficiency:
    input:
        tables=[
            path for path in [*TABLES, *KNOCKOUT_TABLES, *LOCALIZATION] if path.endswith(".csv")
        ],
        explorer=f"{RESULTS}/explorer.html",
    output:
        efficiency=report(
            f"{RESULTS}/tables/efficiency.csv",
            caption="../workflow/report/efficiency_table.rst",
            category="6 Run",
            labels={"table": "efficiency and cost"},
        ),
    log:
        f"{RESULTS}/logs/table_efficiency.log",
    conda:
        "../envs/engram.yaml"
    params:
        code=code("table_efficiency"),
    script:
        "../workflow/scripts/table_efficiency.py"
