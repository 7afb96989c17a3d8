"""The explorer: single texts with all that the study says of them, in pages that open offline.

Inputs: sample lists, candidates, continuations, labels, attention store, predictions, saliency,
knock-out; of pairs: windows, decisions, scores, layers, Δ, candidates, attention store.
Outputs: explorer.html (samples of taxonomies), explorer_pairs.html (windows of crossed pairs),
figures/explorer_pairs.html (the same with fewer windows, for the report).
"""

EXPLORER = [f"{RESULTS}/explorer.html"] if TAXONOMIES else []
PAIR_EXPLORER = [f"{RESULTS}/explorer_pairs.html"] if PAIRS else []


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
            page=page_digests("explorer"),
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


rule build_pair_explorer:
    """Show single windows of crossed pairs, what both models make of them, and who was shown them."""
    input:
        windows=per_model("crossed/windows.parquet", PAIRS),
        decisions=per_model("crossed/decisions.parquet", PAIRS),
        scores=per_model("crossed/scores.csv", PAIRS),
        layers=per_model("crossed/layers.csv", PAIRS),
        delta=per_model("crossed/delta.h5", PAIRS),
        candidates=per_model("candidates.parquet", PAIRS),
        tokenizer=per_model("model/config.json", PAIRS),
        attention=per_model("crossed/attention/index.parquet", BOTH_OF_PAIRS),
        settings=settings(
            "build_pair_explorer",
            study=STUDY["study"],
            prefix=STUDY["prefix"],
            seed=STUDY["seed"],
            pairs=list(PAIRS.items()),
            explorer=STUDY["explorer"],
            page=page_digests("explorer"),
        ),
    output:
        page=f"{RESULTS}/explorer_pairs.html",
        # The report cannot show a large page; see engram.explorer.pairs.report_edition.
        edition=report(
            f"{RESULTS}/figures/explorer_pairs.html",
            caption="../workflow/report/explorer_pairs.rst",
            category=CROSSED_CATEGORY,
            labels={"figure": "explorer"},
        ),
    log:
        f"{RESULTS}/logs/build_pair_explorer.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_pair_explorer.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/build_pair_explorer.py"
