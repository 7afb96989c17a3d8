"""Tables: what a person reads, gathered over models, protocols and taxonomies.

Inputs: predictions, sample lists, labels, verification.
Outputs: tables/*.csv.
"""

WITH_TRUTH = list(dict.fromkeys(NURSERY + DRILLED + TWINNED + COMPARED))
MATCHED = STUDY["samples"]["match"]["columns"] and "engram" in PROTOCOLS
OF_CLASSES = ["scores", "counts", "leakage", "shown_text", "verification"] if TAXONOMIES else []
TABLES = [
    *expand(f"{RESULTS}/tables/{{table}}.csv", table=OF_CLASSES),
    *([f"{RESULTS}/tables/balance.csv"] if TAXONOMIES and MATCHED else []),
    *([f"{RESULTS}/tables/truth.csv"] if TAXONOMIES and WITH_TRUTH else []),
    *([f"{RESULTS}/tables/recall_by_kind.csv"] if TAXONOMIES and NURSERY else []),
]
# Permuted labels are a control, as shuffled ones are.
# Like Δ, of a few taxonomies: each is a job, and a benchmark has dozens.
PERMUTED = LOCALIZED if STUDY["cnn"]["controls"] else []
TABLES += [f"{RESULTS}/tables/permutations.csv"] if PERMUTED else []
# REMIND is a row of the scores where the study has it.
REMINDED = LOCALIZED if STUDY["mechanisms"]["remind"]["enabled"] else []
# Runs of the tables that also have rows for kinds of text that are held out.
TESTED = [*PROTOCOLS, *HELD_OUT]
PREDICTIONS = "{model}/{protocol}/cnns/{taxonomy}/predictions.parquet"


rule score_cnns:
    input:
        predictions=per_run(PREDICTIONS, TAXONOMIES, protocols=TESTED),
        remind=per_run("{model}/{protocol}/mechanisms/{taxonomy}/remind.parquet", REMINDED),
        settings=settings.stamped(
            "score_cnns",
            runs=runs(TAXONOMIES, protocols=TESTED),
            remind=runs(REMINDED),
            held_out={
                name: {"held_out": f"{entry['column']}: {', '.join(map(str, entry['test']))}"}
                for name, entry in HELD_OUT.items()
            },
            **STATISTICS,
        ),
    output:
        scores=table("scores", "scores", "scores"),
    log:
        f"{RESULTS}/logs/score_cnns.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_cnns.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/score_cnns.py"


rule count_samples:
    input:
        samples=[f"{RESULTS}/{SAMPLES}".format(**run) for run in LISTED],
        settings=settings("count_samples", runs=LISTED, minimum=FEWEST),
    output:
        counts=table("counts", "counts", "counts"),
    log:
        f"{RESULTS}/logs/count_samples.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/count_samples.py"


rule balance_samples:
    """Say how far matched classes differ in what they are matched in."""
    input:
        samples=per_run("{model}/{protocol}/samples/{taxonomy}.parquet", TAXONOMIES),
        settings=settings("balance_samples", runs=runs(TAXONOMIES)),
    output:
        balance=table("balance", "balance", "matched classes"),
    log:
        f"{RESULTS}/logs/balance_samples.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/balance_samples.py"


rule compare_with_truth:
    input:
        labels=per_model("labels.parquet", WITH_TRUTH),
        verification=per_model("attention/verification.parquet", TWINNED),
        settings=settings(
            "compare_with_truth", models=WITH_TRUTH, twinned=TWINNED, compared=COMPARED
        ),
    output:
        truth=table("truth", "truth", "rule and truth"),
    log:
        f"{RESULTS}/logs/compare_with_truth.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/compare_with_truth.py"


rule describe_shown:
    """Say what the texts that the classes show have by themselves."""
    input:
        samples=per_run("{model}/{protocol}/samples/{taxonomy}.parquet", TAXONOMIES),
        pools=per_model("samples.parquet"),
        candidates=per_model("candidates.parquet"),
        continuations=per_model("continuations.parquet"),
        labels=per_model("labels.parquet"),
        verification=per_model("attention/verification.parquet"),
        settings=settings.stamped(
            "describe_shown",
            runs=runs(TAXONOMIES),
            models=list(MODELS),
            prefix=STUDY["prefix"],
            confidence=STUDY["statistics"]["confidence"],
        ),
    output:
        shown=table("shown_text", "shown_text", "text that the classes show"),
    log:
        f"{RESULTS}/logs/describe_shown.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/describe_shown.py"


rule check_verification:
    input:
        verification=per_model("attention/verification.parquet"),
        labels=per_model("labels.parquet"),
        continuations=per_model("continuations.parquet"),
        candidates=per_model("candidates.parquet"),
        settings=settings("check_verification", models=list(MODELS), prefix=STUDY["prefix"]),
    output:
        verification=table("verification", "agreement", "verification"),
    log:
        f"{RESULTS}/logs/check_verification.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/check_verification.py"


rule score_kinds:
    input:
        predictions=per_run(PREDICTIONS, TAXONOMIES, NURSERY),
        labels=per_model("labels.parquet", NURSERY),
        settings=settings.stamped(
            "score_kinds", runs=runs(TAXONOMIES, NURSERY), models=NURSERY, **STATISTICS
        ),
    output:
        recall=table("recall_by_kind", "recall_by_kind", "recall by kind of text"),
    log:
        f"{RESULTS}/logs/score_kinds.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/score_kinds.py"


rule gather_permutations:
    input:
        tables=per_run("{model}/{protocol}/cnns/{taxonomy}/permutations.csv", PERMUTED),
        settings=settings.stamped("gather_permutations", runs=runs(PERMUTED)),
    output:
        permutations=table("permutations", "permutations", "permuted labels"),
    log:
        f"{RESULTS}/logs/gather_permutations.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/gather_permutations.py"
