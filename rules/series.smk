"""Series: rates of memorization against model size or training step, where the models have a
`family`.

Inputs: labels and configurations of the models of all families.
Outputs: tables/series_{rates,fits,slopes,scores,texts,distances,agreement,shared}.csv,
figures/series_{rates,scores}.
"""

SERIES = {name: model["family"] for name, model in MODELS.items() if model["family"]}
PAGE_OF_SERIES = "8 Series"
if SERIES:
    TABLES += expand(
        f"{RESULTS}/tables/series_{{table}}.csv",
        table=["rates", "fits", "slopes", "scores", "texts", "distances", "agreement", "shared"],
    )
    FIGURES += per_figure("series_{plot}", plot=["rates", "scores"])
STEPPED = STUDY["series"]["axis"] == "step"
# Of models whose windows were searched with an early exit, the share that is scored in full counts.
EARLY_EXITS = {
    name: {**MODELS[name]["early_exit"], "seed": MODELS[name]["seed"]}
    for name in SERIES
    if MODELS[name]["early_exit"]["tokens"]
}
OF_SERIES = {
    "taxonomies": [defined(each) for each in study_taxonomies.series_taxonomies(STUDY)],
    "series": {
        key: value for key, value in STUDY["series"].items() if key not in ("axis", "taxonomies")
    },
}


rule fit_series:
    input:
        labels=per_model("labels.parquet", SERIES),
        candidates=per_model("candidates.parquet", SERIES),
        configurations=[path for name in SERIES for path in configuration(name)],
        settings=settings(
            "fit_series",
            models={
                name: {
                    "family": family,
                    "model": MODELS[name]["model"],
                    "configuration": configuration(name),
                    **({"step": training_step(MODELS[name])} if STEPPED else {}),
                    **({"early_exit": EARLY_EXITS[name]} if name in EARLY_EXITS else {}),
                }
                for name, family in SERIES.items()
            },
            taxonomies=OF_SERIES["taxonomies"],
            series={key: STUDY["series"][key] for key in ("where", "half_low", "half_high")},
            prefix=STUDY["prefix"],
            **({"axis": "step"} if STEPPED else {}),
            **STATISTICS,
        ),
    output:
        rates=table("series_rates", "series_rates", "rates", PAGE_OF_SERIES),
        fits=table("series_fits", "series_fits", "lines over size or step", PAGE_OF_SERIES),
        slopes=table("series_slopes", "series_slopes", "slopes compared", PAGE_OF_SERIES),
        scores=table("series_scores", "series_scores", "memorization scores", PAGE_OF_SERIES),
    log:
        f"{RESULTS}/logs/fit_series.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_series.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/fit_series.py"


rule describe_series:
    """Describe the texts of buckets and classes, and compare the windows that models memorize."""
    input:
        labels=per_model("labels.parquet", SERIES),
        candidates=per_model("candidates.parquet", SERIES),
        settings=settings(
            "describe_series",
            families=SERIES,
            **({"early_exits": EARLY_EXITS} if EARLY_EXITS else {}),
            prefix=STUDY["prefix"],
            **OF_SERIES,
            **STATISTICS,
        ),
    output:
        texts=table("series_texts", "series_texts", "frequency and domain", PAGE_OF_SERIES),
        distances=table("series_distances", "series_distances", "distances", PAGE_OF_SERIES),
        agreement=table("series_agreement", "series_agreement", "agreement", PAGE_OF_SERIES),
        shared=table("series_shared", "series_shared", "memorized by several", PAGE_OF_SERIES),
    log:
        f"{RESULTS}/logs/describe_series.log",
    benchmark:
        f"{RESULTS}/benchmarks/describe_series.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/describe_series.py"


rule plot_series:
    input:
        rates=f"{RESULTS}/tables/series_rates.csv",
        fits=f"{RESULTS}/tables/series_fits.csv",
        scores=f"{RESULTS}/tables/series_scores.csv",
        settings=settings("plot_series", style=STUDY["figures"]),
    output:
        rates=figure(
            "series_rates",
            "series_rates_figure",
            PAGE_OF_SERIES,
            figure="rates against size or step",
        ),
        scores=figure(
            "series_scores", "series_scores_figure", PAGE_OF_SERIES, figure="memorization scores"
        ),
    log:
        f"{RESULTS}/logs/figures/series.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_series.py"
