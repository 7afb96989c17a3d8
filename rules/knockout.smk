"""Knock-out, or direct localization: attention is removed from the language model itself.

Inputs: the model, saliency and samples of the taxonomies in `knockout.taxonomies`.
Outputs: <model>/<protocol>/knockout/<taxonomy>.csv (every condition with its effect per class) and .parquet (per sample),
tables/double_dissociation.csv, tables/causal_agreement.csv, figures. Finished conditions are kept in results/.parts/, so
that a killed job computes none again.
"""

KNOCKED_OUT = study_config.knocked_out(STUDY)
KNOCKOUT_TABLES = (
    expand(f"{RESULTS}/tables/{{table}}.csv", table=["double_dissociation", "causal_agreement"])
    if KNOCKED_OUT
    else []
)
KNOCKOUT_PLOTS = ["knockout_layers", "knockout_heads", "knockout_regions", "knockout_curves"]
KNOCKOUT_FIGURES = per_figure(
    "{model}/{protocol}/{taxonomy}/{plot}",
    model=MODELS,
    protocol=PROTOCOLS,
    taxonomy=KNOCKED_OUT,
    plot=KNOCKOUT_PLOTS,
)


rule knock_out:
    input:
        saliency=f"{RESULTS}/{{model}}/{{protocol}}/saliency/{{taxonomy}}.h5",
        model=f"{RESULTS}/{{model}}/model/config.json",
        samples=ancient(f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet"),
        labels=ancient(f"{RESULTS}/{{model}}/labels.parquet"),
        candidates=ancient(f"{RESULTS}/{{model}}/candidates.parquet"),
        continuations=ancient(f"{RESULTS}/{{model}}/continuations.parquet"),
        verification=ancient(f"{RESULTS}/{{model}}/attention/verification.parquet"),
    output:
        effects=f"{RESULTS}/{{model}}/{{protocol}}/knockout/{{taxonomy}}.csv",
        results=f"{RESULTS}/{{model}}/{{protocol}}/knockout/{{taxonomy}}.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/knock_out/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/knock_out/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        taxonomy=taxonomy_name,
        classes=class_names,
        knockout={
            key: value
            for key, value in STUDY["knockout"].items()
            if key not in ("enabled", "taxonomies")
        },
        method=STUDY["saliency"]["methods"][0],
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        prefix=STUDY["prefix"],
        dtype=of_model("dtype"),
        batch_tokens=tuning(STUDY["attention"]["batch_tokens"]),
        parts=f"{PARTS}/knockout",
        lineage=samples_lineage,
        code=code("knock_out"),
    script:
        "../workflow/scripts/knock_out.py"


rule tabulate_knockouts:
    input:
        results=per_cnns("{model}/{protocol}/knockout/{taxonomy}.parquet", KNOCKED_OUT),
        saliency=per_cnns("{model}/{protocol}/saliency/{taxonomy}.h5", KNOCKED_OUT),
    output:
        dissociation=report(
            f"{RESULTS}/tables/double_dissociation.csv",
            caption="../workflow/report/double_dissociation.rst",
            category="1 Tables",
            labels={"table": "double dissociation"},
        ),
        agreement=report(
            f"{RESULTS}/tables/causal_agreement.csv",
            caption="../workflow/report/causal_agreement.rst",
            category="1 Tables",
            labels={"table": "Δ and causal effect"},
        ),
    log:
        f"{RESULTS}/logs/tabulate_knockouts.log",
    conda:
        "../envs/engram.yaml"
    params:
        runs=expand(
            "{model}/{protocol}/{taxonomy}", model=MODELS, protocol=PROTOCOLS, taxonomy=KNOCKED_OUT
        ),
        method=STUDY["saliency"]["methods"][0],
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        code=code("tabulate_knockouts"),
    script:
        "../workflow/scripts/tabulate_knockouts.py"


rule plot_knockout_layers:
    input:
        effects=f"{RESULTS}/{{model}}/{{protocol}}/knockout/{{taxonomy}}.csv",
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/knockout_layers",
            "knockout_layers",
            "5 Knock-out",
            figure="each layer removed",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_layers.log",
    conda:
        "../envs/engram.yaml"
    params:
        plot="layers",
        style=STUDY["figures"],
        code=code("plot_knockout"),
    script:
        "../workflow/scripts/plot_knockout.py"


use rule plot_knockout_layers as plot_knockout_heads with:
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/knockout_heads",
            "knockout_heads",
            "5 Knock-out",
            figure="each head removed",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_heads.log",
    params:
        plot="heads",
        style=STUDY["figures"],
        code=code("plot_knockout"),


use rule plot_knockout_layers as plot_knockout_regions with:
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/knockout_regions",
            "knockout_regions",
            "5 Knock-out",
            figure="regions of Δ removed",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_regions.log",
    params:
        plot="regions",
        style=STUDY["figures"],
        code=code("plot_knockout"),


use rule plot_knockout_layers as plot_knockout_curves with:
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/knockout_curves",
            "knockout_curves",
            "5 Knock-out",
            figure="one after another removed",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/knockout_curves.log",
    params:
        plot="curves",
        style=STUDY["figures"],
        code=code("plot_knockout"),
