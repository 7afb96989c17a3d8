"""Training curves and scores for an experiment tracker, offline; only where `tracking` names one.

Inputs: histories of all CNNs, tables/scores.csv.
Outputs: tracking/<tracker>/, the tracker's own files; tracking/<tracker>.json, the runs in them.
"""

TRACKED = STUDY["tracking"] != "none" and bool(TAXONOMIES)
TRACKING = [f"{RESULTS}/tracking/{STUDY['tracking']}.json"] if TRACKED else []


rule track_study:
    input:
        histories=per_run("{model}/{protocol}/cnns/{taxonomy}/history.csv", TAXONOMIES),
        scores=f"{RESULTS}/tables/scores.csv",
        settings=settings.stamped(
            "track_study",
            tracker=STUDY["tracking"],
            study=STUDY["study"],
            runs=runs(TAXONOMIES),
            cnn=STUDY["cnn"],
        ),
    output:
        logged=f"{RESULTS}/tracking/{STUDY['tracking']}.json",
    log:
        f"{RESULTS}/logs/track_study.log",
    localrule: True
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/track_study.py"
