"""Sample lists: one job draws the lists of all taxonomies of a model and protocol.

Inputs: <model>/labels.parquet.
Outputs: <model>/<protocol>/samples.parquet, <model>/<protocol>/counts.csv.
"""


rule draw_samples:
    input:
        labels=f"{RESULTS}/{{model}}/labels.parquet",
    output:
        samples=f"{RESULTS}/{{model}}/{{protocol}}/samples.parquet",
        counts=f"{RESULTS}/{{model}}/{{protocol}}/counts.csv",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/draw_samples.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/draw_samples.tsv"
    conda:
        "../envs/engram.yaml"
    params:
        taxonomies=[taxonomy.name for taxonomy in TAXONOMIES.values()],
        categories=CATEGORIES,
        samples=STUDY["samples"],
        search=STUDY["search"]["categories"],
        seed=STUDY["seed"],
        code=code("draw_samples"),
    script:
        "../workflow/scripts/draw_samples.py"
