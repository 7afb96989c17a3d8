"""The benchmark's tables and figures (paper, Tables 1 and 3-7): one job reads all predictions once.

Inputs: predictions of all taxonomies, sample lists, labels, class counts, resources/published/.
Outputs: tables/{benchmark,classes,confusions,rho,comparisons,attention_adds,protocols,calibration}.csv, tables/*.tex,
figures/.
"""

LATEX = ["benchmark", "rho", "attention_adds", "protocols"]
if TAXONOMIES:
    TABLES += [
        *expand(
            f"{RESULTS}/tables/{{table}}.csv",
            table=[
                "benchmark",
                "classes",
                "confusions",
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

SUMMED = [
    {"protocol": protocol, "taxonomy": taxonomy}
    for protocol in PROTOCOLS
    for taxonomy in (TAXONOMIES if len(MODELS) > 1 else [])
]
for of_run in SUMMED:
    FIGURES += per_figure("all/{protocol}/{taxonomy}/confusion", **of_run)


rule table_benchmark:
    input:
        predictions=per_run(PREDICTIONS, TAXONOMIES),
        samples=per_run("{model}/{protocol}/samples/{taxonomy}.parquet", TAXONOMIES),
        labels=per_model("labels.parquet"),
        candidates=per_model("candidates.parquet") if len(MODELS) > 1 else [],
        counts=f"{RESULTS}/tables/counts.csv",
        published=ancient(shipped("resources/published/taxonomy_scores.csv")),
        published_rho=ancient(shipped("resources/published/rho_scores.csv")),
        settings=settings.stamped(
            "table_benchmark",
            runs=runs(TAXONOMIES),
            models=list(MODELS),
            natural=NATURAL,
            prefix=STUDY["prefix"],
            taxonomies=[named.taxonomy.name for named in NAMED],
            categories=study_taxonomies.used_categories(STUDY),
            rho=STUDY["rho"],
            published=digests.file_digest(shipped("resources/published")),
            **STATISTICS,
        ),
    output:
        benchmark=table("benchmark", "benchmark_table", "benchmark"),
        classes=table("classes", "classes_table", "classes"),
        confusions=table("confusions", "confusions_table", "confusion matrices"),
        rho=table("rho", "rho_table", "thresholds of Guess"),
        comparisons=table("comparisons", "comparisons_table", "comparisons"),
        added=table("attention_adds", "attention_adds_table", "what attention adds"),
        protocols=table("protocols", "protocols_table", "protocols"),
        calibration=table("calibration", "calibration_table", "calibration"),
    log:
        f"{RESULTS}/logs/table_benchmark.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/table_benchmark.py"


rule export_latex:
    input:
        **{name: f"{RESULTS}/tables/{name}.csv" for name in LATEX},
        settings=settings.stamped("export_latex"),
    output:
        **{name: f"{RESULTS}/tables/{name}.tex" for name in LATEX},
    log:
        f"{RESULTS}/logs/export_latex.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/export_latex.py"


rule plot_confusions:
    """Plot what is summed over models, all taxonomies in one job."""
    input:
        table=f"{RESULTS}/tables/confusions.csv",
        settings=settings.stamped(
            "plot_confusions", runs=SUMMED, models=len(MODELS), style=STUDY["figures"]
        ),
    output:
        [
            file
            for run in SUMMED
            for file in figure(
                "all/{protocol}/{taxonomy}/confusion".format(**run),
                "confusions",
                "2 Scores",
                figure="confusion",
                model="all",
                **run,
            )
        ],
    log:
        f"{RESULTS}/logs/figures/confusions.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_confusions.py"


rule plot_ranking:
    input:
        table=f"{RESULTS}/tables/benchmark.csv",
        settings=settings.stamped(
            "plot_ranking", script="plot_table", plot="ranking", style=STUDY["figures"]
        ),
    output:
        figure=figure("ranking", "ranking", "2 Scores", figure="ranking"),
    log:
        f"{RESULTS}/logs/figures/ranking.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_table.py"


use rule plot_ranking as plot_reliability with:
    input:
        table=f"{RESULTS}/tables/calibration.csv",
        settings=settings.stamped(
            "plot_reliability", script="plot_table", plot="reliability", style=STUDY["figures"]
        ),
    output:
        figure=figure("reliability", "reliability", "2 Scores", figure="reliability"),
    log:
        f"{RESULTS}/logs/figures/reliability.log",


use rule plot_ranking as plot_comparisons with:
    input:
        table=f"{RESULTS}/tables/comparisons.csv",
        settings=settings.stamped(
            "plot_comparisons", script="plot_table", plot="comparisons", style=STUDY["figures"]
        ),
    output:
        figure=figure("comparisons", "comparisons", "2 Scores", figure="which taxonomies differ"),
    log:
        f"{RESULTS}/logs/figures/comparisons.log",


use rule plot_ranking as plot_attention_adds with:
    input:
        table=f"{RESULTS}/tables/attention_adds.csv",
        settings=settings.stamped(
            "plot_attention_adds",
            script="plot_table",
            plot="attention_adds",
            style=STUDY["figures"],
        ),
    output:
        figure=figure("attention_adds", "attention_adds", "2 Scores", figure="what attention adds"),
    log:
        f"{RESULTS}/logs/figures/attention_adds.log",


use rule plot_ranking as plot_rho with:
    input:
        table=f"{RESULTS}/tables/rho.csv",
        settings=settings.stamped(
            "plot_rho", script="plot_table", plot="rho", style=STUDY["figures"]
        ),
    output:
        figure=figure("rho", "rho", "2 Scores", figure="thresholds of Guess"),
    log:
        f"{RESULTS}/logs/figures/rho.log",


use rule plot_ranking as plot_protocols with:
    input:
        table=f"{RESULTS}/tables/protocols.csv",
        settings=settings.stamped(
            "plot_protocols", script="plot_table", plot="protocols", style=STUDY["figures"]
        ),
    output:
        figure=figure("protocols", "protocols", "2 Scores", figure="protocols"),
    log:
        f"{RESULTS}/logs/figures/protocols.log",
