"""Mechanisms: noise on the residual stream, the logit lens, single heads and shorter contexts;
entropy of representations; REMIND; feed-forward blocks and neurons.

Inputs: the model and the samples of the localized taxonomies. Off unless `mechanisms.enabled`, and
for measures with a section of their own `mechanisms.<measure>.enabled`.
Outputs: <model>/<protocol>/mechanisms/<taxonomy>/, a table per measure: means of every class, with
intervals; values of single samples as parquet.
"""

FURTHER = [name for name, value in STUDY["mechanisms"].items() if isinstance(value, dict)]
# Measures of single samples; steering and locality have rules and folders of their own.
PER_SAMPLE = [name for name in FURTHER if name not in ("steering", "locality")]
MECHANISM_TABLES = per_run(
    "{model}/{protocol}/mechanisms/{taxonomy}/perturbation.csv",
    LOCALIZED if STUDY["mechanisms"]["enabled"] else [],
) + [
    table
    for name in PER_SAMPLE
    if STUDY["mechanisms"][name]["enabled"]
    for table in per_run(f"{{model}}/{{protocol}}/mechanisms/{{taxonomy}}/{name}.csv", LOCALIZED)
]
# What the rules of single measures read, next to their settings.
OF_SAMPLES = {
    "model": f"{MODEL}/model/config.json",
    "samples": f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
    "labels": f"{MODEL}/labels.parquet",
    "candidates": f"{MODEL}/candidates.parquet",
    "version": f"{MODEL}/attention/version.json",
    "continuations": ancient(f"{MODEL}/continuations.parquet"),
    "verification": ancient(f"{MODEL}/attention/verification.parquet"),
}


rule measure_mechanisms:
    input:
        model=f"{MODEL}/model/config.json",
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "measure_mechanisms",
            mechanisms={
                key: value
                for key, value in STUDY["mechanisms"].items()
                if key not in ("enabled", *FURTHER)
            },
            prefix=STUDY["prefix"],
            **VERIFIED,
            **STATISTICS,
        ),
        continuations=ancient(f"{MODEL}/continuations.parquet"),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
    output:
        perturbation=f"{PROTOCOL}/mechanisms/{{taxonomy}}/perturbation.csv",
        recovery=f"{PROTOCOL}/mechanisms/{{taxonomy}}/recovery.csv",
        lens=f"{PROTOCOL}/mechanisms/{{taxonomy}}/lens.csv",
        winning=f"{PROTOCOL}/mechanisms/{{taxonomy}}/winning.csv",
        heads=f"{PROTOCOL}/mechanisms/{{taxonomy}}/heads.csv",
        overlap=f"{PROTOCOL}/mechanisms/{{taxonomy}}/overlap.csv",
        compression=f"{PROTOCOL}/mechanisms/{{taxonomy}}/compression.csv",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/measure_mechanisms/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/measure_mechanisms/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_mechanisms.py"


rule measure_entropy:
    input:
        **OF_SAMPLES,
        settings=measure_settings("entropy"),
    output:
        table=f"{PROTOCOL}/mechanisms/{{taxonomy}}/entropy.csv",
        samples=f"{PROTOCOL}/mechanisms/{{taxonomy}}/entropy.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/measure_entropy/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/measure_entropy/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_entropy.py"


rule measure_remind:
    input:
        **OF_SAMPLES,
        settings=measure_settings("remind"),
    output:
        table=f"{PROTOCOL}/mechanisms/{{taxonomy}}/remind.csv",
        samples=f"{PROTOCOL}/mechanisms/{{taxonomy}}/remind.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/measure_remind/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/measure_remind/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_remind.py"


rule measure_feed_forward:
    input:
        **OF_SAMPLES,
        settings=measure_settings("feed_forward"),
    output:
        blocks=f"{PROTOCOL}/mechanisms/{{taxonomy}}/feed_forward.csv",
        neurons=f"{PROTOCOL}/mechanisms/{{taxonomy}}/neurons.csv",
        samples=f"{PROTOCOL}/mechanisms/{{taxonomy}}/feed_forward.parquet",
        chosen=f"{PROTOCOL}/mechanisms/{{taxonomy}}/neurons.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/measure_feed_forward/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/measure_feed_forward/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_feed_forward.py"
