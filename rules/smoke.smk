"""`snakemake smoke --profile slurm`: one job without and one with a GPU that say whether the cluster is set up for a study.

Inputs: the site file, if any. Outputs: none that stay; everything is printed. No part of a default run.
"""

from uuid import uuid4

SMOKE = "results/.smoke"


rule smoke_head:
    output:
        head=temp(f"{SMOKE}/head.json"),
        token=temp(f"{SMOKE}/token"),
    log:
        f"{RESULTS}/logs/smoke_head.log",
    retries: 0
    localrule: True
    conda:
        "../envs/engram.yaml"
    params:
        places=existing_models(),
        asked=uuid4().hex,  # what an earlier run that failed has left counts for nothing
    script:
        "../workflow/scripts/smoke_head.py"


rule smoke_cpu:
    input:
        head=f"{SMOKE}/head.json",
        token=f"{SMOKE}/token",
    output:
        findings=temp(f"{SMOKE}/cpu.json"),
    log:
        f"{RESULTS}/logs/smoke_cpu.log",
    conda:
        "../envs/engram.yaml"
    params:
        gpu=False,
    script:
        "../workflow/scripts/smoke_node.py"


use rule smoke_cpu as smoke_gpu with:
    output:
        findings=temp(f"{SMOKE}/gpu.json"),
    log:
        f"{RESULTS}/logs/smoke_gpu.log",
    benchmark:
        f"{RESULTS}/benchmarks/smoke_gpu.tsv"
    resources:
        gpu=1,
    params:
        gpu=True,


rule smoke:
    input:
        head=f"{SMOKE}/head.json",
        cpu=f"{SMOKE}/cpu.json",
        gpu=f"{SMOKE}/gpu.json",
    log:
        f"{RESULTS}/logs/smoke.log",
    retries: 0
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/show_smoke.py"
