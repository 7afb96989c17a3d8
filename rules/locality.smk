"""Is recall local? Heads are knocked out, and an attack on the prefix's embeddings tries to bring
recall back.

Inputs: the model and the samples of the localized taxonomies that have the classes
`mechanisms.locality.recalled` and `.guessed`. Off unless `mechanisms.locality.enabled`.
Outputs: <model>/<protocol>/locality/<taxonomy>/: removal.csv (what is left as heads are removed),
curves.csv (what comes back, step by step), comparison.csv (recalled and never-seen texts),
overlap.csv (localization from the found embeddings); a figure.
"""

ATTACK = STUDY["mechanisms"]["locality"]
ATTACKED = study_taxonomies.attacked(STUDY)
LOCALITY_TABLES = per_run("{model}/{protocol}/locality/{taxonomy}/comparison.csv", ATTACKED)
LOCALITY_FIGURES = per_figure(
    "{model}/{protocol}/{taxonomy}/embedding_attack",
    model=MODELS,
    protocol=PROTOCOLS,
    taxonomy=ATTACKED,
)


rule attack_prefixes:
    input:
        model=f"{MODEL}/model/config.json",
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "attack_prefixes",
            locality={key: value for key, value in ATTACK.items() if key != "enabled"},
            prefix=STUDY["prefix"],
            **VERIFIED,
            **STATISTICS,
        ),
        continuations=ancient(f"{MODEL}/continuations.parquet"),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
    output:
        removal=f"{PROTOCOL}/locality/{{taxonomy}}/removal.csv",
        curves=f"{PROTOCOL}/locality/{{taxonomy}}/curves.csv",
        comparison=f"{PROTOCOL}/locality/{{taxonomy}}/comparison.csv",
        overlap=f"{PROTOCOL}/locality/{{taxonomy}}/overlap.csv",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/attack_prefixes/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/attack_prefixes/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/attack_prefixes.py"


rule plot_embedding_attack:
    input:
        curves=f"{PROTOCOL}/locality/{{taxonomy}}/curves.csv",
        settings=settings.stamped("plot_embedding_attack", style=STUDY["figures"]),
    output:
        figure=figure_of_run(
            "embedding_attack", "embedding_attack", "4 Knock-out", "attack on the prefix"
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/embedding_attack.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_embedding_attack.py"
