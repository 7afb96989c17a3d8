"""Sample lists: one for each taxonomy of a model and protocol, so that a new taxonomy touches no other.

Inputs: <model>/labels.parquet.
Outputs: <model>/<protocol>/samples/<taxonomy>.parquet, and search.parquet of the taxonomy search;
<model>/samples.parquet, the samples of all lists.
"""

# How few samples are too few stops a study and changes no list; nor does the text that they show.
NOT_DRAWN = ("minimum", "shown")
DRAWN = {key: value for key, value in STUDY["samples"].items() if key not in NOT_DRAWN}
FEWEST = STUDY["samples"]["minimum"]


rule draw_samples:
    input:
        labels=f"{MODEL}/labels.parquet",
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
    conda:
        "../envs/engram.yaml"
    resources:
        fewest_samples=FEWEST,
    script:
        "../workflow/scripts/draw_samples.py"


rule draw_search:
    """Draw the samples of the finest partition that the search's categories make."""
    input:
        labels=f"{MODEL}/labels.parquet",
        settings=settings(
            "draw_search",
            samples=DRAWN,
            seed=STUDY["seed"],
            search=STUDY["search"]["categories"],
            categories=study_config.used_categories(STUDY),
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
