"""Run there, finish here: `snakemake bundle` where the study ran, `python -m engram bundle` where its bundle was unpacked.

Inputs: everything that a default run makes.
Outputs: results/<study>.bundle.tar. No part of a default run.
"""

from engram.run.bundle import refuse_cluster_rules


onstart:
    # Not in the job: Snakemake deletes the outputs of a job that fails.
    try:
        refuse_cluster_rules(
            (job.rule.name for job in workflow.dag.needrun_jobs()), Path(RESULTS)
        )
    except EngramError as error:
        raise WorkflowError(str(error))


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
