"""Localization: saliency of the trained CNNs on held-out samples, whether it is real, and what it says
in words.

Inputs: checkpoints of a taxonomy, sample list, attention store.
Outputs: <model>/<protocol>/saliency/<taxonomy>.h5, <model>/<protocol>/saliency_checks/<taxonomy>/,
tables/delta_*.csv, tables/saliency_checks.csv, figures saliency_checks and delta_maps_<method>.
"""

DELTA_TABLES = ["layers", "distances", "blocks", "regions"]
CHECKS = ["randomization", "agreement", "deletion", "validity"]
CHECKED = LOCALIZED if STUDY["saliency"]["checks"] else []
METHODS = STUDY["saliency"]["methods"]
STATISTICS = {"statistics": STUDY["statistics"], "seed": STUDY["seed"]}
LOCALIZATION = [
    *expand(f"{RESULTS}/tables/delta_{{table}}.csv", table=DELTA_TABLES if LOCALIZED else []),
    *([f"{RESULTS}/tables/saliency_checks.csv"] if CHECKED else []),
    *per_figure(
        "{model}/{protocol}/{taxonomy}/saliency_checks",
        model=MODELS,
        protocol=PROTOCOLS,
        taxonomy=CHECKED,
    ),
    *per_figure(
        "{model}/{protocol}/{taxonomy}/delta_maps_{method}",
        model=MODELS,
        protocol=PROTOCOLS,
        taxonomy=LOCALIZED,
        method=METHODS[1:],
    ),
]


rule compute_saliency:
    input:
        checkpoints=f"{PROTOCOL}/cnns/{{taxonomy}}/checkpoints.safetensors",
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        settings=settings.stamped(
            "compute_saliency",
            prefix=STUDY["prefix"],
            methods=METHODS,
            samples_per_class=STUDY["saliency"]["samples_per_class"],
            **VERIFIED,
        ),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
        attention=attention,
    output:
        saliency=f"{PROTOCOL}/saliency/{{taxonomy}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/compute_saliency/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/compute_saliency/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    script:
        "../workflow/scripts/compute_saliency.py"


rule check_saliency:
    input:
        checkpoints=f"{PROTOCOL}/cnns/{{taxonomy}}/checkpoints.safetensors",
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        settings=settings.stamped(
            "check_saliency",
            methods=METHODS,
            check_samples=STUDY["saliency"]["check_samples"],
            confidence=STUDY["statistics"]["confidence"],
            seed=STUDY["seed"],
            **VERIFIED,
        ),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
        attention=attention,
    output:
        tables=expand(
            f"{PROTOCOL}/saliency_checks/{{taxonomy}}/{{table}}.csv",
            table=CHECKS,
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/check_saliency/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/check_saliency/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    script:
        "../workflow/scripts/check_saliency.py"


rule collect_checks:
    input:
        validity=per_run("{model}/{protocol}/saliency_checks/{taxonomy}/validity.csv", CHECKED),
        settings=settings.stamped("collect_checks", runs=runs(CHECKED)),
    output:
        checks=table(
            "saliency_checks", "saliency_validity", "is the saliency real?", "3 Localization"
        ),
    log:
        f"{RESULTS}/logs/collect_checks.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/collect_checks.py"


rule plot_saliency_checks:
    input:
        tables=expand(
            f"{PROTOCOL}/saliency_checks/{{taxonomy}}/{{table}}.csv",
            table=CHECKS,
            allow_missing=True,
        ),
        settings=settings.stamped("plot_saliency_checks", methods=METHODS, style=STUDY["figures"]),
    output:
        figure=figure_of_run(
            "saliency_checks", "saliency_checks", "3 Localization", "is the saliency real?"
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/saliency_checks.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_saliency_checks.py"


rule summarize_saliency:
    input:
        saliency=per_run("{model}/{protocol}/saliency/{taxonomy}.h5", LOCALIZED),
        settings=settings.stamped(
            "summarize_saliency", runs=runs(LOCALIZED), methods=METHODS, **STATISTICS
        ),
    output:
        layers=table("delta_layers", "delta_layers", "Δ by layer", "3 Localization"),
        distances=table("delta_distances", "delta_distances", "Δ by distance", "3 Localization"),
        blocks=table("delta_blocks", "delta_blocks", "Δ by part of the map", "3 Localization"),
        regions=table(
            "delta_regions", "delta_regions", "top regions of Δ, in words", "3 Localization"
        ),
    log:
        f"{RESULTS}/logs/summarize_saliency.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/summarize_saliency.py"
