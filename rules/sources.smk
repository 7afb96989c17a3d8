"""Sources other than the nursery: the model's folder, and the windows of the published data, a table,
a corpus or Python packages.

Inputs: what the model's entry names: a repository or folder, a data set, a table, documents.
Outputs: <model>/model/ (configuration, tokenizer, links to the weights), <model>/twin/ and
<model>/counterpart/ likewise, <model>/dataset.json (where the published data lie),
<model>/releases.json (where the packages lie), <model>/candidates.parquet, or
<model>/windows.parquet where scores are still to be measured; <model>/counterpart.parquet, the
counterpart's scores of the candidates.
Downloads run on the machine that runs Snakemake: nodes of a cluster often have no network.
"""

settings.by("model", "fetch_model", fetched("model", "revision"))
settings.by("model", "fetch_twin", fetched("twin", "twin_revision"), script="fetch_model")
settings.by(
    "model",
    "fetch_counterpart",
    fetched("counterpart", "counterpart_revision"),
    script="fetch_model",
)


rule fetch_model:
    """Fetch the studied model (`model`), its twin or its counterpart: from the hub, its cache, or a
    folder.
    """
    input:
        local=local_model,
        settings=f"{settings.folder}/model/{{model}}/fetch_{{role}}.json",
    output:
        config=f"{MODEL}/{{role}}/config.json",
    log:
        f"{RESULTS}/logs/{{model}}/fetch_{{role}}.log",
    wildcard_constraints:
        model=among(BROUGHT),
        role="model|twin|counterpart",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/fetch_model.py"


rule fetch_dataset:
    input:
        settings=settings.by(
            "model",
            "fetch_dataset",
            {
                name: {
                    "dataset": MODELS[name]["dataset"],
                    "revision": MODELS[name]["dataset_revision"],
                    "splits": MODELS[name]["splits"],
                    "state": source_state(name),
                }
                for name in HUB
            },
        ),
    output:
        dataset=f"{MODEL}/dataset.json",
    log:
        f"{RESULTS}/logs/{{model}}/fetch_dataset.log",
    wildcard_constraints:
        model=among(HUB),
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/fetch_dataset.py"


rule fetch_releases:
    """Download the wheels of packages that are younger than the model; nothing is installed."""
    input:
        settings=settings.by(
            "model",
            "fetch_releases",
            {name: {"releases": MODELS[name]["releases"]} for name in PACKAGED},
        ),
    output:
        releases=f"{MODEL}/releases.json",
    log:
        f"{RESULTS}/logs/{{model}}/fetch_releases.log",
    wildcard_constraints:
        model=among(PACKAGED),
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/fetch_releases.py"


rule read_scored:
    """Read candidates that come with scores: the published data, which need no model, or a table."""
    input:
        config=configuration_of_model,
        source=source_files,
        settings=settings.by("model", "read_scored", read(SCORED), script="read_source"),
    output:
        candidates=f"{MODEL}/candidates.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_scored.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/read_scored.tsv"
    wildcard_constraints:
        model=among(SCORED),
    conda:
        "../envs/engram.yaml"
    threads: 4
    script:
        "../workflow/scripts/read_source.py"


use rule read_scored as read_windows with:
    input:
        config=configuration_of_model,
        source=source_files,
        settings=settings.by("model", "read_windows", read(MEASURED), script="read_source"),
    output:
        windows=f"{MODEL}/windows.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_windows.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/read_windows.tsv"
    wildcard_constraints:
        model=among(MEASURED),


rule score_windows:
    """Score the candidates of a source without scores: a table, a corpus, packages."""
    input:
        windows=f"{MODEL}/windows.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "score_windows",
            {name: scored(name) for name in MEASURED},
        ),
    output:
        candidates=f"{MODEL}/candidates.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_windows.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_windows.tsv"
    wildcard_constraints:
        model=among(MEASURED),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/score_windows.py"


rule score_counterpart:
    """Score the windows with the model's counterpart, which was not shown the inserted text."""
    input:
        windows=windows_of,
        model=f"{MODEL}/model/config.json",
        counterpart=f"{MODEL}/counterpart/config.json",
        settings=settings.by(
            "model",
            "score_counterpart",
            {
                name: {
                    "prefix": STUDY["prefix"],
                    "dtype": MODELS[name]["dtype"],
                    "state": state.model_state(MODELS[name]["counterpart"]),
                }
                for name in COMPARED
            },
        ),
    output:
        scores=f"{MODEL}/counterpart.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_counterpart.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_counterpart.tsv"
    wildcard_constraints:
        model=among(COMPARED),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/score_counterpart.py"
