"""Sample lists: one for each taxonomy of a model and protocol, so that a new taxonomy touches no other.

Inputs: <model>/labels.parquet.
Outputs: <model>/<protocol>/samples/<taxonomy>.parquet, those of transfers included, and search.parquet of the taxonomy search;
<model>/samples.parquet, the samples of all lists; <model>/clusters.parquet, where documents or
clusters stay in one split.
"""

# How few samples are too few stops a study and changes no list; nor does the text that they show.
NOT_DRAWN = ("minimum", "shown", "held_out")
DRAWN = {key: value for key, value in STUDY["samples"].items() if key not in NOT_DRAWN}
CLUSTERED = DRAWN["split_by"] != "content_group"
FEWEST = STUDY["samples"]["minimum"]


rule cluster_candidates:
    """Find which windows must stay in one split; only where `samples.split_by` asks for it."""
    input:
        candidates=f"{MODEL}/candidates.parquet",
        settings=settings("cluster_candidates", prefix=STUDY["prefix"], split_by=DRAWN["split_by"]),
    output:
        clusters=f"{MODEL}/clusters.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/cluster_candidates.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/cluster_candidates.py"


rule draw_samples:
    input:
        labels=f"{MODEL}/labels.parquet",
        clusters=rules.cluster_candidates.output if CLUSTERED else [],
        taxonomy=settings.by(
            "taxonomy",
            "definition",
            {slug: defined(taxonomy) for slug, taxonomy in TAXONOMIES.items()},
            script="draw_samples",
        ),
        settings=settings("draw_samples", samples=DRAWN, seed=STUDY["seed"]),
    output:
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/draw_samples/{{taxonomy}}.log",
    wildcard_constraints:
        protocol=among(PROTOCOLS),
    conda:
        "../envs/engram.yaml"
    resources:
        fewest_samples=FEWEST,
    script:
        "../workflow/scripts/draw_samples.py"


use rule draw_samples as draw_held_out with:
    input:
        labels=f"{MODEL}/labels.parquet",
        clusters=rules.cluster_candidates.output if CLUSTERED else [],
        taxonomy=f"{settings.folder}/taxonomy/{{taxonomy}}/definition.json",
        settings=settings.by(
            "protocol",
            "draw_held_out",
            {
                name: {"samples": DRAWN, "seed": STUDY["seed"], "held_out": entry}
                for name, entry in HELD_OUT.items()
            },
            script="draw_samples",
        ),
    output:
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/draw_held_out/{{taxonomy}}.log",
    wildcard_constraints:
        protocol=among(HELD_OUT),


rule draw_transfer:
    """Draw the samples of classifiers that are trained on one kind of windows and tested on two."""
    input:
        labels=f"{MODEL}/labels.parquet",
        clusters=rules.cluster_candidates.output if CLUSTERED else [],
        settings=transfer_settings(),
    output:
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/draw_transfer/{{taxonomy}}.log",
    wildcard_constraints:
        protocol=among(TRANSFERS),
    conda:
        "../envs/engram.yaml"
    resources:
        fewest_samples=FEWEST,
    script:
        "../workflow/scripts/draw_transfer.py"


rule draw_search:
    """Draw the samples of the finest partition that the search's categories make."""
    input:
        labels=f"{MODEL}/labels.parquet",
        clusters=rules.cluster_candidates.output if CLUSTERED else [],
        settings=settings(
            "draw_search",
            samples=DRAWN,
            seed=STUDY["seed"],
            search=STUDY["search"]["categories"],
            categories=study_taxonomies.used_categories(STUDY),
        ),
    output:
        samples=f"{MODEL}/engram/samples/search.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/engram/draw_search.log",
    conda:
        "../envs/engram.yaml"
    resources:
        fewest_samples=FEWEST,
    script:
        "../workflow/scripts/draw_search.py"


rule gather_samples:
    """Join the lists, so that the stages that send samples through the model read one file."""
    input:
        lists=sample_lists,
        # The names, because a list that is left out triggers nothing.
        settings=settings("gather_samples", lists=sorted(list_names())),
    output:
        samples=f"{MODEL}/samples.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/gather_samples.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/gather_samples.py"
