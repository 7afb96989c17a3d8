"""Localization: saliency of the trained CNNs on held-out samples, whether it is real, and what it says in words.

Inputs: checkpoints of a taxonomy, sample list, attention store.
Outputs: <model>/<protocol>/saliency/<taxonomy>.h5, <model>/<protocol>/saliency_checks/<taxonomy>/, tables/delta_*.csv,
tables/saliency_checks.csv, figures saliency_checks and delta_maps_<method>.
"""

DELTA_TABLES = ["layers", "distances", "blocks", "regions"]
CHECKS = ["randomization", "agreement", "deletion", "validity"]
CHECKED = LOCALIZED if STUDY["saliency"]["checks"] else []
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
        method=STUDY["saliency"]["methods"][1:],
    ),
]


rule compute_saliency:
    input:
        checkpoints=f"{RESULTS}/{{model}}/{{protocol}}/cnns/{{taxonomy}}/checkpoints.safetensors",
        samples=ancient(f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet"),
        shards=settled_shards,
        index=ancient(f"{RESULTS}/{{model}}/attention/index.parquet"),
        verification=ancient(f"{RESULTS}/{{model}}/attention/verification.parquet"),
    output:
        saliency=f"{RESULTS}/{{model}}/{{protocol}}/saliency/{{taxonomy}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/compute_saliency/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/compute_saliency/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    params:
        taxonomy=taxonomy_name,
        classes=class_names,
        saliency={key: STUDY["saliency"][key] for key in ("methods", "samples_per_class")},
        prefix=STUDY["prefix"],
        lineage=samples_lineage,
        code=code("compute_saliency"),
    script:
        "../workflow/scripts/compute_saliency.py"


rule check_saliency:
    input:
        checkpoints=f"{RESULTS}/{{model}}/{{protocol}}/cnns/{{taxonomy}}/checkpoints.safetensors",
        samples=ancient(f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet"),
        shards=settled_shards,
        index=ancient(f"{RESULTS}/{{model}}/attention/index.parquet"),
        verification=ancient(f"{RESULTS}/{{model}}/attention/verification.parquet"),
    output:
        tables=expand(
            f"{RESULTS}/{{{{model}}}}/{{{{protocol}}}}/saliency_checks/{{{{taxonomy}}}}/{{table}}.csv",
            table=CHECKS,
        ),
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/check_saliency/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/check_saliency/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 2
    params:
        classes=class_names,
        saliency={key: STUDY["saliency"][key] for key in ("methods", "check_samples")},
        confidence=STUDY["statistics"]["confidence"],
        seed=STUDY["seed"],
        lineage=samples_lineage,
        code=code("check_saliency"),
    script:
        "../workflow/scripts/check_saliency.py"


rule collect_checks:
    input:
        validity=per_cnns("{model}/{protocol}/saliency_checks/{taxonomy}/validity.csv", CHECKED),
    output:
        checks=report(
            f"{RESULTS}/tables/saliency_checks.csv",
            caption="../workflow/report/saliency_validity.rst",
            category="3 Localization",
            labels={"table": "is the saliency real?"},
        ),
    log:
        f"{RESULTS}/logs/collect_checks.log",
    conda:
        "../envs/engram.yaml"
    params:
        code=code("collect_checks"),
    script:
        "../workflow/scripts/collect_checks.py"


rule plot_saliency_checks:
    input:
        tables=expand(
            f"{RESULTS}/{{{{model}}}}/{{{{protocol}}}}/saliency_checks/{{{{taxonomy}}}}/{{table}}.csv",
            table=CHECKS,
        ),
    output:
        figure=figure(
            "{model}/{protocol}/{taxonomy}/saliency_checks",
            "saliency_checks",
            "3 Localization",
            figure="is the saliency real?",
            model="{model}",
            protocol="{protocol}",
            taxonomy="{taxonomy}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/saliency_checks.log",
    conda:
        "../envs/engram.yaml"
    params:
        methods=STUDY["saliency"]["methods"],
        style=STUDY["figures"],
        code=code("plot_saliency_checks"),
    script:
        "../workflow/scripts/plot_saliency_checks.py"


rule summarize_saliency:
    input:
        saliency=per_cnns("{model}/{protocol}/saliency/{taxonomy}.h5", LOCALIZED),
    output:
        layers=report(
            f"{RESULTS}/tables/delta_layers.csv",
            caption="../workflow/report/delta_layers.rst",
            category="3 Localization",
            labels={"table": "Δ by layer"},
        ),
        distances=report(
            f"{RESULTS}/tables/delta_distances.csv",
            caption="../workflow/report/delta_distances.rst",
            category="3 Localization",
            labels={"table": "Δ by distance"},
        ),
        blocks=report(
            f"{RESULTS}/tables/delta_blocks.csv",
            caption="../workflow/report/delta_blocks.rst",
            category="3 Localization",
            labels={"table": "Δ by part of the map"},
        ),
        regions=report(
            f"{RESULTS}/tables/delta_regions.csv",
            caption="../workflow/report/delta_regions.rst",
            category="3 Localization",
            labels={"table": "top regions of Δ, in words"},
        ),
    log:
        f"{RESULTS}/logs/summarize_saliency.log",
    conda:
        "../envs/engram.yaml"
    params:
        methods=STUDY["saliency"]["methods"],
        statistics=STUDY["statistics"],
        seed=STUDY["seed"],
        code=code("summarize_saliency"),
    script:
        "../workflow/scripts/summarize_saliency.py"
