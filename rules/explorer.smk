"""The explorer: single samples with all that the study says of them, in one page that opens offline.

Inputs: sample lists, candidates, continuations, labels, attention store, predictions, saliency, knock-out.
Outputs: explorer.html.
"""


rule build_explorer:
    input:
        candidates=expand(
            f"{RESULTS}/{{model}}/{{file}}.parquet",
            model=MODELS,
            file=["candidates", "labels", "continuations"],
        ),
        samples=expand(
            f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet", model=MODELS, protocol=PROTOCOLS
        ),
        tokenizer=expand(f"{RESULTS}/{{model}}/model/config.json", model=MODELS),
        shards=[path for model in MODELS for path in shard_files(model, "attention")],
        attention=expand(
            f"{RESULTS}/{{model}}/attention/{{file}}.parquet",
            model=MODELS,
            file=["index", "verification"],
        ),
        predictions=per_cnns("{model}/{protocol}/cnns/{taxonomy}/predictions.parquet", TAXONOMIES),
        saliency=per_cnns("{model}/{protocol}/saliency/{taxonomy}.h5", LOCALIZED),
        knockout=[
            *per_cnns("{model}/{protocol}/knockout/{taxonomy}.csv", KNOCKED_OUT),
            *per_cnns("{model}/{protocol}/knockout/{taxonomy}.parquet", KNOCKED_OUT),
        ],
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
    params:
        study=STUDY["study"],
        prefix=STUDY["prefix"],
        shards={name: model["shards"] for name, model in MODELS.items()},
        protocols=PROTOCOLS,
        taxonomies={
            slug: (taxonomy.name, taxonomy.class_names) for slug, taxonomy in TAXONOMIES.items()
        },
        localized=LOCALIZED,
        methods=STUDY["saliency"]["methods"],
        knocked_out=KNOCKED_OUT,
        explorer=STUDY["explorer"],
        palette=STUDY["figures"]["palette"],
        sources=digests.file_digest(f"{workflow.basedir}/workflow/explorer"),
        code=code("build_explorer"),
    script:
        "../workflow/scripts/build_explorer.py"
