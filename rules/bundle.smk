"""Run there, finish here: `snakemake bundle` where the study ran, `python -m engram bundle` where its bundle was unpacked.

Inputs: everything that a default run makes.
Outputs: results/<study>.bundle.tar. No part of a default run.
"""


rule bundle:
    input:
        rules.all.input,
        settings=settings.stamped("bundle_study", config=GIVEN),
    output:
        bundle=f"{RESULTS}.bundle.tar",
    log:
        f"{RESULTS}/logs/bundle_study.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/bundle_study.py"
