"""The benchmark's tables and figures (paper, Tables 1 and 3-7): one job reads all predictions once.

Inputs: predictions of all taxonomies, sample lists, labels, class counts, resources/published/.
Outputs: tables/{benchmark,classes,rho,comparisons,attention_adds,protocols,calibration}.csv, tables/*.tex, figures/.
"""

LATEX = ["benchmark", "rho", "attention_adds", "protocols"]
TABLES += [
    *expand(
        f"{RESULTS}/tables/{{table}}.csv",
        table=[
            "benchmark",
            "classes",
            "rho",
            "comparisons",
            "attention_adds",
            "protocols",
            "calibration",
        ],
    ),
    *expand(f"{RESULTS}/tables/{{table}}.tex", table=LATEX),
]
PLOTS = ["ranking", "reliability"]
if len(TAXONOMIES) > 1:
    PLOTS.append("comparisons")
if STUDY["cnn"]["controls"] or STUDY["cnn"]["baselines"]:
    PLOTS.append("attention_adds")
if any(STUDY["rho"].values()):
    PLOTS.append("rho")
if len(PROTOCOLS) > 1:
    PLOTS.append("protocols")
FIGURES += per_figure("{plot}", plot=PLOTS)


rule table_benchmark:
    input:
        predictions=per_cnns("{model}/{protocol}/cnns/{taxonomy}/predictions.parquet", TAXONOMIES),
        samples=expand(
            f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet", model=MODELS, protocol=PROTOCOLS
        ),
        labels=expand(f"{RESULTS}/{{model}}/labels.parquet", model=MODELS),
        counts=f"{RESULTS}/tables/counts.csv",
        published="resources/published/taxonomy_scores.csv",
        published_rho="resources/published/rho_scores.csv",
    output:
        benchmark=report(
            f"{RESULTS}/tables/benchmark.csv",
            caption="../workflow/report/benchmark_table.rst",
            category="1 Tables",
            labels={"table": "benchmark"},
        ),
        classes=report(
            f"{RESULTS}/tables/classes.csv",
            caption="../workflow/report/classes_table.rst",
            category="1 Tables",
            labels={"table": "classes"},
        ),
        rho=report(
            f"{RESULTS}/tables/rho.csv",
            caption="../workflow/report/rho_table.rst",
            category="1 Tables",
            labels={"table": "thresholds of Guess"},
        ),
        comparisons=report(
            f"{RESULTS}/tables/comparisons.csv",
            caption="../workflow/report/comparisons_table.rst",
            category="1 Tables",
            labels={"table": "comparisons"},
        ),
        added=report(
            f"{RESULTS}/tables/attention_adds.csv",
            caption="../workflow/report/attention_adds_table.rst",
            category="1 Tables",
            labels={"table": "what attention adds"},
        ),
        protocols=report(
            f"{RESULTS}/tables/protocols.csv",
            caption="../workflow/report/protocols_table.rst",
            category="1 Tables",
            labels={"table": "protocols"},
        ),
        calibration=report(
            f"{RESULTS}/tables/calibration.csv",
            caption="../workflow/report/calibration_table.rst",
            category="1 Tables",
            labels={"table": "calibration"},
        ),
    log:
        f"{RESULTS}/logs/table_benchmark.log",
    conda:
        "../envs/engram.yaml"
    params:
        taxonomies=[named.taxonomy.name for named in NAMED],
        categories=CATEGORIES,
        rho=STUDY["rho"],
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        code=code("table_benchmark"),
    script:
        "../workflow/scripts/table_benchmark.py"


rule export_latex:
    input:
        benchmark=f"{RESULTS}/tables/benchmark.csv",
        rho=f"{RESULTS}/tables/rho.csv",
        attention_adds=f"{RESULTS}/tables/attention_adds.csv",
        protocols=f"{RESULTS}/tables/protocols.csv",
    output:
        benchmark=f"{RESULTS}/tables/benchmark.tex",
        rho=f"{RESULTS}/tables/rho.tex",
        attention_adds=f"{RESULTS}/tables/attention_adds.tex",
        protocols=f"{RESULTS}/tables/protocols.tex",
    log:
        f"{RESULTS}/logs/export_latex.log",
    conda:
        "../envs/engram.yaml"
    params:
        code=code("export_latex"),
    script:
        "../workflow/scripts/export_latex.py"


rule plot_ranking:
    input:
        table=f"{RESULTS}/tables/benchmark.csv",
    output:
        figure=figure("ranking", "ranking", "2 Scores", figure="ranking"),
    log:
        f"{RESULTS}/logs/figures/ranking.log",
    conda:
        "../envs/engram.yaml"
    params:
        plot="ranking",
        style=STUDY["figures"],
        code=code("plot_table"),
    script:
        "../workflow/scripts/plot_table.py"


use rule plot_ranking as plot_reliability with:
    input:
        table=f"{RESULTS}/tables/calibration.csv",
    output:
        figure=figure("reliability", "reliability", "2 Scores", figure="reliability"),
    log:
        f"{RESULTS}/logs/figures/reliability.log",
    params:
        plot="reliability",
        style=STUDY["figures"],
        code=code("plot_table"),


use rule plot_ranking as plot_comparisons with:
    input:
        table=f"{RESULTS}/tables/comparisons.csv",
    output:
        figure=figure("comparisons", "comparisons", "2 Scores", figure="which taxonomies differ"),
    log:
        f"{RESULTS}/logs/figures/comparisons.log",
    params:
        plot="comparisons",
        style=STUDY["figures"],
        code=code("plot_table"),


use rule plot_ranking as plot_attention_adds with:
    input:
        table=f"{RESULTS}/tables/attention_adds.csv",
    output:
        figure=figure("attention_adds", "attention_adds", "2 Scores", figure="what attention adds"),
    log:
        f"{RESULTS}/logs/figures/attention_adds.log",
    params:
        plot="attention_adds",
        style=STUDY["figures"],
        code=code("plot_table"),


use rule plot_ranking as plot_rho with:
    input:
        table=f"{RESULTS}/tables/rho.csv",
    output:
        figure=figure("rho", "rho", "2 Scores", figure="thresholds of Guess"),
    log:
        f"{RESULTS}/logs/figures/rho.log",
    params:
        plot="rho",
        style=STUDY["figures"],
        code=code("plot_table"),


use rule plot_ranking as plot_protocols with:
    input:
        table=f"{RESULTS}/tables/protocols.csv",
    output:
        figure=figure("protocols", "protocols", "2 Scores", figure="protocols"),
    log:
        f"{RESULTS}/logs/figures/protocols.log",
    params:
        plot="protocols",
        style=STUDY["figures"],
        code=code("plot_table"),
