"""`snakemake attention_example`: attention of a handful of sequences with all heads (the paper's
Figure 3).

Inputs: sample lists, candidates, continuations, the model.
Outputs: <model>/attention_examples.h5, figures/<model>/attention_heads-<i>. No part of a default
run.
"""

FIRST_TAXONOMY = next(iter(TAXONOMIES.values()))
EXAMPLES = range(len(STUDY["attention"]["examples"]) or len(FIRST_TAXONOMY.class_names))


rule export_attention:
    input:
        samples=f"{MODEL}/{PROTOCOLS[0]}/samples/{FIRST_TAXONOMY.slug}.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        continuations=f"{MODEL}/continuations.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "export_attention",
            {
                name: {
                    "chosen": STUDY["attention"]["examples"],
                    "prefix": STUDY["prefix"],
                    "dtype": entry["dtype"],
                }
                for name, entry in MODELS.items()
            },
        ),
    output:
        examples=f"{MODEL}/attention_examples.h5",
    log:
        f"{RESULTS}/logs/{{model}}/export_attention.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/export_attention.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
    script:
        "../workflow/scripts/export_attention.py"


rule plot_attention_heads:
    input:
        examples=f"{MODEL}/attention_examples.h5",
        settings=settings("plot_attention_heads", style=STUDY["figures"]),
    output:
        figure=figure(
            "{model}/attention_heads-{example}",
            "attention_heads",
            "3 Localization",
            figure="single heads",
            model="{model}",
        ),
    log:
        f"{RESULTS}/logs/figures/{{model}}/attention_heads-{{example}}.log",
    wildcard_constraints:
        example=r"\d+",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_attention_heads.py"


rule attention_example:
    input:
        per_figure("{model}/attention_heads-{example}", model=MODELS, example=EXAMPLES),
