# Engram: did a language model guess, recall, or not memorize? The study in running order.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.0")


# Rules, code and data of one checkout belong together, whatever else is installed, and wherever
# Snakemake runs.
HERE = Path(str(workflow.current_basedir)).resolve()
if (HERE / "workflow" / "engram").is_dir():
    sys.path.insert(0, str(HERE / "workflow"))


# A study file (`--configfile studies/paper.yaml`) stands alone: Snakemake would merge it with the
# default study.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml" if Path("config.yaml").exists() else f"{HERE}/config.yaml"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/stamp.smk"
include: "rules/nursery.smk"
include: "rules/sources.smk"
include: "rules/labels.smk"
include: "rules/bases.smk"
include: "rules/samples.smk"
include: "rules/plan.smk"
include: "rules/attention.smk"
include: "rules/baselines.smk"


if TAXONOMIES:

    include: "rules/examples.smk"


include: "rules/cnns.smk"
include: "rules/localization.smk"
include: "rules/knockout.smk"
include: "rules/mechanisms.smk"
include: "rules/steering.smk"
include: "rules/locality.smk"
include: "rules/crossed.smk"
include: "rules/crossed_tables.smk"
include: "rules/leakage.smk"
include: "rules/tables.smk"
include: "rules/matched.smk"
include: "rules/transfer.smk"
include: "rules/figures.smk"
include: "rules/explorer.smk"
include: "rules/audit_settings.smk"
include: "rules/audit.smk"
include: "rules/audit_options.smk"
include: "rules/benchmark.smk"
include: "rules/search.smk"
include: "rules/series.smk"
include: "rules/run.smk"
include: "rules/tracking.smk"
include: "rules/local.smk"
include: "rules/smoke.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        MATCHED_RESULTS,
        TRANSFER_RESULTS,
        LOCALIZATION,
        KNOCKOUT_TABLES,
        KNOCKOUT_FIGURES,
        MECHANISM_TABLES,
        COURSE_TABLES,
        COURSE_FIGURES,
        STEERING_TABLES,
        STEERING_FIGURES,
        LOCALITY_TABLES,
        LOCALITY_FIGURES,
        CROSSED_TABLES,
        CROSSED_FIGURES,
        CROSSED_OPENING,
        EXPLORER,
        PAIR_EXPLORER,
        AUDIT_RESULTS,
        TRACKING,
        f"{RESULTS}/tables/efficiency.csv",
        f"{RESULTS}/run.json",


include: "rules/bundle.smk"


if WRITES and (outdated := refresh(Path(RESULTS), Path(".snakemake"))):
    logger.warning(
        f"{RESULTS}: Snakemake has no memory of this study, and the records of its jobs say that "
        f"{len(outdated)} results were made from other versions of their inputs, "
        f"{next(iter(outdated))} for instance; they are made again."
    )

# Captions of the report name the code that made a table or figure.
config["code"] = {each.name: CODE[Path(each.script).stem] for each in workflow.rules if each.script}


if workflow.is_main_process and settings.outdated:
    logger.warning(
        f"{settings.folder}: this folder is locked by a run, so the plan is that of the run's "
        f"settings; the config says otherwise for {len(settings.outdated)} stages."
    )


onstart:
    # Not in a job: Snakemake deletes the outputs of a job that fails.
    try:
        tracking.require(STUDY["tracking"])
        bundle.refuse_cluster_rules(
            (job.rule.name for job in workflow.dag.needrun_jobs()), Path(RESULTS)
        )
    except EngramError as error:
        raise WorkflowError(str(error))
    settings.start()
