"""The explorer: single samples with all that the study says of them, in one page that opens offline.

Inputs: sample lists, candidates, continuations, labels, attention store, predictions, saliency,
knock-out.
Outputs: explorer.html.
"""

# The explorer shows the samples of taxonomies.
EXPLORER = [f"{RESULTS}/explorer.html"] if TAXONOMIES else []


rule build_explorer:
    input:
        candidates=[
            path
            for file in ("candidates", "labels", "continuations")
            for path in per_model(f"{file}.parquet")
        ],
        samples=per_run("{model}/{protocol}/samples/{taxonomy}.parquet", TAXONOMIES),
        tokenizer=per_model("model/config.json"),
        shards=[path for model in MODELS for path in shard_files(model)],
        attention=[
            path
            for file in ("index", "verification")
            for path in per_model(f"attention/{file}.parquet")
        ],
        predictions=per_run(PREDICTIONS, TAXONOMIES),
        saliency=per_run("{model}/{protocol}/saliency/{taxonomy}.h5", LOCALIZED),
        knockout=[
            *per_run("{model}/{protocol}/knockout/{taxonomy}.csv", KNOCKED_OUT),
            *per_run("{model}/{protocol}/knockout/{taxonomy}.parquet", KNOCKED_OUT),
        ],
        settings=settings.stamped(
            "build_explorer",
            study=STUDY["study"],
            prefix=STUDY["prefix"],
            models=list(MODELS),
            protocols=PROTOCOLS,
            taxonomies={
                slug: [taxonomy.name, taxonomy.class_names]
                for slug, taxonomy in TAXONOMIES.items()
            },
            localized=LOCALIZED,
            methods=METHODS,
            knocked_out=KNOCKED_OUT,
            explorer=STUDY["explorer"],
            palette=STUDY["figures"]["palette"],
            page=digests.file_digest(shipped("workflow/explorer")),
        ),
    output:
        page=report(
            f"{RESULTS}/explorer.html",
            caption="../workflow/report/explorer.rst",
            category="3 Localization",
            labels={"figure": "explorer"},
        ),
    log:
        f"{RESULTS}/logs/build_explorer.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_explorer.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/build_explorer.py"
