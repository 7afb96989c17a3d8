"""Figures of the report, each in every configured format.

Inputs: tables, predictions, histories, saliency, attention, labels.
Outputs: figures/.
"""

FIGURES = [
    *per_figure("headline"),
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
        plot=["attention_examples", "delta_maps", "layer_profile"],
    ),
]


rule plot_headline:
    input:
        scores=f"{RESULTS}/tables/scores.csv",
    output:
        figure=figure("headline", "headline", "2 Scores", figure="headline"),
    log:
        f"{RESULTS}/logs/figures/headline.log",
    conda:
        "../envs/engram.yaml"
    params:
        style=STUDY["figures"],
        code=code("plot_headline"),
    script:
        "../workflow/scripts/plot_headline.py"


rule plot_cnns:
    """All taxonomies of a model and protocol: with a job for each, these would be most of the paper's plan, and Python's start most of them."""
    input:
        predictions=[
            f"{RESULTS}/{{model}}/{{protocol}}/cnns/{taxonomy}/predictions.parquet"
            for taxonomy in TAXONOMIES
        ],
        histories=[
            f"{RESULTS}/{{model}}/{{protocol}}/cnns/{taxonomy}/history.csv"
            for taxonomy in TAXONOMIES
        ],
    output:
        confusions=figures_of_cnns("confusion", "2 Scores", "confusion"),
        curves=figures_of_cnns("training_curves", "5 Training", "CNN training"),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/plot_cnns.log",
    conda:
        "../envs/engram.yaml"
    params:
        style=STUDY["figures"],
        code=code("plot_cnns"),
    script:
        "../workflow/scripts/plot_cnns.py"


rule plot_attention_examples:
    input:
        samples=f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet",
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
        continuations=f"{RESULTS}/{{model}}/continuations.parquet",
        shards=shards,
        index=f"{RESULTS}/{{model}}/attention/index.parquet",
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/attention_examples",
            "attention_examples",
            "3 Localization",
            figure="attention of examples",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/attention_examples.log",
    conda:
        "../envs/engram.yaml"
    params:
        taxonomy=taxonomy_name,
        categories=own_categories,
        prefix=STUDY["prefix"],
        style=STUDY["figures"],
        code=code("plot_attention_examples"),
    script:
        "../workflow/scripts/plot_attention_examples.py"


rule plot_delta_maps:
    input:
        saliency=f"{RESULTS}/{{model}}/{{protocol}}/saliency/{{taxonomy}}.h5",
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/delta_maps",
            "delta_maps",
            "3 Localization",
            figure="Δ maps",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/delta_maps.log",
    conda:
        "../envs/engram.yaml"
    params:
        prefix=STUDY["prefix"],
        method=STUDY["saliency"]["methods"][0],
        style=STUDY["figures"],
        code=code("plot_delta_maps"),
    script:
        "../workflow/scripts/plot_delta_maps.py"


use rule plot_delta_maps as plot_delta_maps_by_method with:
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/delta_maps_{method}",
            "delta_maps",
            "3 Localization",
            figure="Δ maps by {method}",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/delta_maps_{{method}}.log",
    wildcard_constraints:
        method=among(STUDY["saliency"]["methods"]),
    params:
        prefix=STUDY["prefix"],
        method="{method}",
        style=STUDY["figures"],
        code=code("plot_delta_maps"),


rule plot_layer_profile:
    input:
        saliency=f"{RESULTS}/{{model}}/{{protocol}}/saliency/{{taxonomy}}.h5",
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/layer_profile",
            "layer_profile",
            "3 Localization",
            figure="Δ by layer",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/layer_profile.log",
    conda:
        "../envs/engram.yaml"
    params:
        method=STUDY["saliency"]["methods"][0],
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        style=STUDY["figures"],
        code=code("plot_layer_profile"),
    script:
        "../workflow/scripts/plot_layer_profile.py"


rule plot_exposures:
    input:
        labels=f"{RESULTS}/{{model}}/labels.parquet",
    output:
        figure=figure(
            "{model}/memorization_vs_exposures",
            "memorization_vs_exposures",
            "4 Nursery",
            figure="memorization by exposures",
            model="{model}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/memorization_vs_exposures.log",
    conda:
        "../envs/engram.yaml"
    params:
        style=STUDY["figures"],
        code=code("plot_exposures"),
    script:
        "../workflow/scripts/plot_exposures.py"


rule plot_nursery_training:
    input:
        base=base_file("training.csv"),
        drilling=f"{RESULTS}/{{model}}/model/training.csv",
    output:
        figure=figure(
            "{model}/nursery_training",
            "nursery_training",
            "4 Nursery",
            figure="training of the nursery",
            model="{model}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/nursery_training.log",
    conda:
        "../envs/engram.yaml"
    params:
        style=STUDY["figures"],
        code=code("plot_nursery_training"),
    script:
        "../workflow/scripts/plot_nursery_training.py"


rule plot_taxonomy_flow:
    input:
        labels=f"{RESULTS}/{{model}}/labels.parquet",
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
    params:
        flow=STUDY["flow"],
        categories=CATEGORIES,
        style=STUDY["figures"],
        code=code("plot_taxonomy_flow"),
    script:
        "../workflow/scripts/plot_taxonomy_flow.py"
