"""A stage's settings, handed on by a job: see the head of common.smk.

Inputs: settings/<stage>.json.
Outputs: settings/stamps/<stage>.json.
"""


rule stamp:
    """Hand a stage's settings on as the output of a job, for stages behind order-only edges."""
    input:
        settings=f"{RESULTS}/settings/{{stage}}.json",
    output:
        stamp=f"{RESULTS}/settings/stamps/{{stage}}.json",
    log:
        f"{RESULTS}/logs/stamp/{{stage}}.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    shell:
        "cp {input} {output} 2> {log}"
