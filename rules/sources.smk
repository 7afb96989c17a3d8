"""Sources other than the nursery: the model's folder, and the windows of the published data, a table or a corpus.

Inputs: what the model's entry names: a repository or folder, a data set, a table, documents.
Outputs: <model>/model/ (configuration, tokenizer, links to the weights), <model>/twin/ likewise, <model>/dataset.json
(where the published data lie), <model>/candidates.parquet, or <model>/windows.parquet where scores are still to be measured.
Downloads run on the machine that runs Snakemake: nodes of a cluster often have no network.
"""


rule fetch_model:
    """The studied model (`model`) or its twin (`twin`), from the hub, its cache, or a folder."""
    input:
        local=local_model,
    output:
        config=f"{RESULTS}/{{model}}/{{role}}/config.json",
    log:
        f"{RESULTS}/logs/{{model}}/fetch_{{role}}.log",
    wildcard_constraints:
        model=among(BROUGHT),
        role="model|twin",
    localrule: True
    conda:
        "../envs/engram.yaml"
    params:
        model=lambda wildcards: MODELS[wildcards.model][wildcards.role],
        revision=lambda wildcards: MODELS[wildcards.model][
            {"model": "revision", "twin": "twin_revision"}[wildcards.role]
        ],
        state=model_state,
        code=code("fetch_model"),
    script:
        "../workflow/scripts/fetch_model.py"


rule fetch_dataset:
    output:
        dataset=f"{RESULTS}/{{model}}/dataset.json",
    log:
        f"{RESULTS}/logs/{{model}}/fetch_dataset.log",
    wildcard_constraints:
        model=among(HUB),
    localrule: True
    conda:
        "../envs/engram.yaml"
    params:
        dataset=of_model("dataset"),
        revision=of_model("dataset_revision"),
        splits=of_model("splits"),
        state=source_state,
        code=code("fetch_dataset"),
    script:
        "../workflow/scripts/fetch_dataset.py"


rule read_scored:
    """Candidates of a source that brings scores: the published data, which need no model, or a table with them."""
    input:
        config=configuration_of_model,
        source=source_files,
    output:
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_scored.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/read_scored.tsv"
    wildcard_constraints:
        model=among(SCORED),
    conda:
        "../envs/engram.yaml"
    threads: 4
    params:
        entry=model_entry,
        prefix=STUDY["prefix"],
        suffix=STUDY["suffix"],
        seed=of_model("seed"),
        state=source_state,
        code=code("read_source"),
    script:
        "../workflow/scripts/read_source.py"


use rule read_scored as read_windows with:
    output:
        windows=f"{RESULTS}/{{model}}/windows.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_windows.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/read_windows.tsv"
    wildcard_constraints:
        model=among(MEASURED),


rule score_windows:
    """Candidates of a source without scores: a table, a corpus."""
    input:
        windows=f"{RESULTS}/{{model}}/windows.parquet",
        model=f"{RESULTS}/{{model}}/model/config.json",
    output:
        candidates=f"{RESULTS}/{{model}}/candidates.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/score_windows.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_windows.tsv"
    wildcard_constraints:
        model=among(MEASURED),
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    params:
        prefix=STUDY["prefix"],
        dtype=of_model("dtype"),
        batch_tokens=tuning(STUDY["attention"]["batch_tokens"]),
        code=code("score_windows"),
    script:
        "../workflow/scripts/score_windows.py"
