"""Figures of the report, each in every configured format.

Inputs: tables, predictions, histories, saliency, attention, labels.
Outputs: figures/.
"""

FIGURES = [
    *(per_figure("headline") if TAXONOMIES else []),
    *per_figure("{model}/memorization_vs_exposures", model=NURSERY),
    *per_figure("{model}/nursery_training", model=NURSERY),
    *(per_figure("{model}/taxonomy_flow", model=MODELS) if STUDY["flow"] else []),
    *per_figure(
        "{model}/{protocol}/{taxonomy}/{plot}",
        model=MODELS,
        protocol=PROTOCOLS,
        taxonomy=TAXONOMIES,
        plot=["confusion", "training_curves"],
    ),
    *per_figure(
        "{model}/{protocol}/{taxonomy}/{plot}",
        model=MODELS,
        protocol=PROTOCOLS,
        taxonomy=LOCALIZED,
        plot=["attention_examples", "delta_maps", "layer_profile", "delta_peaks"],
    ),
]


rule plot_headline:
    input:
        scores=f"{RESULTS}/tables/scores.csv",
        settings=settings.stamped("plot_headline", style=STUDY["figures"]),
    output:
        figure=figure("headline", "headline", "2 Scores", figure="headline"),
    log:
        f"{RESULTS}/logs/figures/headline.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_headline.py"


rule plot_cnns:
    """Plot all taxonomies of a model and protocol: a job each would be most of the paper's plan."""
    input:
        predictions=expand(
            f"{PROTOCOL}/cnns/{{taxonomy}}/predictions.parquet",
            taxonomy=TAXONOMIES,
            allow_missing=True,
        ),
        histories=expand(
            f"{PROTOCOL}/cnns/{{taxonomy}}/history.csv", taxonomy=TAXONOMIES, allow_missing=True
        ),
        settings=settings.stamped("plot_cnns", style=STUDY["figures"]),
    output:
        confusions=figures_of_cnns("confusion", "2 Scores", "confusion"),
        curves=figures_of_cnns("training_curves", "6 Training", "CNN training"),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/plot_cnns.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_cnns.py"


rule plot_attention_examples:
    input:
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        continuations=f"{MODEL}/continuations.parquet",
        attention=f"{MODEL}/attention/index.parquet",
        shards=shards,
        settings=settings("plot_attention_examples", prefix=STUDY["prefix"], style=STUDY["figures"]),
    output:
        figure=figure_of_run(
            "attention_examples", "attention_examples", "3 Localization", "attention of examples"
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/attention_examples.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_attention_examples.py"


rule plot_delta_maps:
    input:
        saliency=f"{PROTOCOL}/saliency/{{taxonomy}}.h5",
        settings=settings.stamped(
            "plot_delta_maps", prefix=STUDY["prefix"], method=METHODS[0], style=STUDY["figures"]
        ),
    output:
        figure=figure_of_run("delta_maps", "delta_maps", "3 Localization", "Δ maps"),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/delta_maps.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_delta_maps.py"


use rule plot_delta_maps as plot_delta_maps_by_method with:
    input:
        saliency=f"{PROTOCOL}/saliency/{{taxonomy}}.h5",
        settings=settings.stamped(
            "plot_delta_maps_by_method",
            script="plot_delta_maps",
            prefix=STUDY["prefix"],
            style=STUDY["figures"],
        ),
    output:
        figure=figure_of_run(
            "delta_maps_{method}", "delta_maps", "3 Localization", "Δ maps by {method}"
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/delta_maps_{{method}}.log",
    wildcard_constraints:
        method=among(METHODS),


rule plot_layer_profile:
    input:
        saliency=f"{PROTOCOL}/saliency/{{taxonomy}}.h5",
        settings=settings.stamped(
            "plot_layer_profile",
            method=METHODS[0],
            layers=STUDY["saliency"]["shown_layers"],
            style=STUDY["figures"],
            **STATISTICS,
        ),
    output:
        figure=figure_of_run("layer_profile", "layer_profile", "3 Localization", "Δ by layer"),
        peaks=figure_of_run("delta_peaks", "delta_peaks", "3 Localization", "Δ of one layer"),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/layer_profile.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_layer_profile.py"


rule plot_exposures:
    input:
        labels=f"{MODEL}/labels.parquet",
        settings=settings("plot_exposures", style=STUDY["figures"]),
    output:
        figure=figure(
            "{model}/memorization_vs_exposures",
            "memorization_vs_exposures",
            "5 Nursery",
            figure="memorization by exposures",
            model="{model}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/memorization_vs_exposures.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_exposures.py"


rule plot_nursery_training:
    input:
        base=base_curve,
        drilling=f"{MODEL}/model/training.csv",
        settings=settings.by(
            "model",
            "plot_nursery_training",
            {
                name: {
                    "style": STUDY["figures"],
                    "base": "" if from_scratch(name) else base_digest(name),
                }
                for name in NURSERY
            },
        ),
    output:
        figure=figure(
            "{model}/nursery_training",
            "nursery_training",
            "5 Nursery",
            figure="training of the nursery",
            model="{model}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/nursery_training.log",
    wildcard_constraints:
        model=among(NURSERY),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_nursery_training.py"


rule plot_taxonomy_flow:
    input:
        labels=f"{MODEL}/labels.parquet",
        settings=settings(
            "plot_taxonomy_flow",
            flow=STUDY["flow"],
            categories=study_taxonomies.used_categories(STUDY),
            style=STUDY["figures"],
        ),
    output:
        figure=figure(
            "{model}/taxonomy_flow",
            "taxonomy_flow",
            "2 Scores",
            figure="old and new classes",
            model="{model}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/taxonomy_flow.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_taxonomy_flow.py"
