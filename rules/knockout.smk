"""Knock-out, or direct localization: attention is removed from the language model itself.

Inputs: the model, saliency and samples of the taxonomies in `knockout.taxonomies`.
Outputs: <model>/<protocol>/knockout/<taxonomy>.csv (every condition with its effect per class) and
.parquet (per sample), tables/double_dissociation.csv, tables/causal_agreement.csv, figures.
Finished conditions are kept in results/.parts/, so that a killed job computes none again.
"""

KNOCKOUT_TABLES = expand(
    f"{RESULTS}/tables/{{table}}.csv",
    table=["double_dissociation", "causal_agreement"] if KNOCKED_OUT else [],
)
KNOCKOUT_PLOTS = ["layers", "heads", "regions", "curves"]
KNOCKOUT_FIGURES = per_figure(
    "{model}/{protocol}/{taxonomy}/knockout_{plot}",
    model=MODELS,
    protocol=PROTOCOLS,
    taxonomy=KNOCKED_OUT,
    plot=KNOCKOUT_PLOTS,
)
NOT_MEASURED = ("enabled", "taxonomies")


rule knock_out:
    input:
        saliency=f"{PROTOCOL}/saliency/{{taxonomy}}.h5",
        model=f"{MODEL}/model/config.json",
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "knock_out",
            knockout={
                key: value for key, value in STUDY["knockout"].items() if key not in NOT_MEASURED
            },
            method=METHODS[0],
            prefix=STUDY["prefix"],
            **VERIFIED,
            **STATISTICS,
        ),
        continuations=ancient(f"{MODEL}/continuations.parquet"),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
    output:
        effects=f"{PROTOCOL}/knockout/{{taxonomy}}.csv",
        results=f"{PROTOCOL}/knockout/{{taxonomy}}.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/knock_out/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/knock_out/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/knock_out.py"


rule tabulate_knockouts:
    input:
        results=per_run("{model}/{protocol}/knockout/{taxonomy}.parquet", KNOCKED_OUT),
        saliency=per_run("{model}/{protocol}/saliency/{taxonomy}.h5", KNOCKED_OUT),
        settings=settings.stamped(
            "tabulate_knockouts", runs=runs(KNOCKED_OUT), method=METHODS[0], **STATISTICS
        ),
    output:
        dissociation=table(
            "double_dissociation", "double_dissociation", "double dissociation", "4 Knock-out"
        ),
        agreement=table(
            "causal_agreement", "causal_agreement", "Δ and causal effect", "4 Knock-out"
        ),
    log:
        f"{RESULTS}/logs/tabulate_knockouts.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_knockouts.py"


rule plot_knockout_layers:
    input:
        effects=f"{PROTOCOL}/knockout/{{taxonomy}}.csv",
        settings=settings.stamped(
            "plot_knockout_layers", script="plot_knockout", plot="layers", style=STUDY["figures"]
        ),
    output:
        figure=figure_of_run(
            "knockout_layers", "knockout_layers", "4 Knock-out", "each layer removed"
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_layers.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_knockout.py"


use rule plot_knockout_layers as plot_knockout_heads with:
    input:
        effects=f"{PROTOCOL}/knockout/{{taxonomy}}.csv",
        settings=settings.stamped(
            "plot_knockout_heads", script="plot_knockout", plot="heads", style=STUDY["figures"]
        ),
    output:
        figure=figure_of_run("knockout_heads", "knockout_heads", "4 Knock-out", "each head removed"),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_heads.log",


use rule plot_knockout_layers as plot_knockout_regions with:
    input:
        effects=f"{PROTOCOL}/knockout/{{taxonomy}}.csv",
        settings=settings.stamped(
            "plot_knockout_regions", script="plot_knockout", plot="regions", style=STUDY["figures"]
        ),
    output:
        figure=figure_of_run(
            "knockout_regions", "knockout_regions", "4 Knock-out", "regions of Δ removed"
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_regions.log",


use rule plot_knockout_layers as plot_knockout_curves with:
    input:
        effects=f"{PROTOCOL}/knockout/{{taxonomy}}.csv",
        settings=settings.stamped(
            "plot_knockout_curves", script="plot_knockout", plot="curves", style=STUDY["figures"]
        ),
    output:
        figure=figure_of_run(
            "knockout_curves", "knockout_curves", "4 Knock-out", "one after another removed"
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_curves.log",
