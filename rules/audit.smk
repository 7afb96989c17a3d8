"""The audit: what of whole documents the model reproduces.

Inputs: the source's documents, candidates with a value per suffix token, labels.
Outputs: <model>/audit/ (documents, windows, regions, continuations), tables/audit_documents.csv,
tables/audit_regions.csv, audit.html.
"""

AUDIT_TABLES = (
    [f"{RESULTS}/tables/audit_documents.csv", f"{RESULTS}/tables/audit_regions.csv"]
    if AUDITED
    else []
)
AUDIT_RESULTS = [*AUDIT_TABLES, *([f"{RESULTS}/audit.html"] if AUDITED else [])]
OF_AUDIT = f"{MODEL}/audit"


rule read_documents:
    input:
        config=configuration_of_model,
        source=source_files,
        settings=settings.by(
            "model",
            "read_documents",
            {
                name: {
                    **{key: MODELS[name][key] for key in ("documents", "pattern", "text_column")},
                    "state": source_state(name),
                }
                for name in AUDITED
            },
        ),
    output:
        documents=f"{OF_AUDIT}/documents.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_documents.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/read_documents.tsv"
    wildcard_constraints:
        model=among(AUDITED),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/read_documents.py"


rule find_regions:
    """Measure the windows, and find the regions that the model reproduces."""
    input:
        documents=f"{OF_AUDIT}/documents.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        labels=f"{MODEL}/labels.parquet",
        settings=settings(
            "find_regions",
            prefix=STUDY["prefix"],
            audit={key: AUDIT[key] for key in ("probabilities", "thresholds", "taxonomy")},
            categories=STUDY["categories"],
        ),
    output:
        documents=f"{OF_AUDIT}/summary.parquet",
        windows=f"{OF_AUDIT}/windows.parquet",
        regions=f"{OF_AUDIT}/regions.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/find_regions.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/find_regions.tsv"
    wildcard_constraints:
        model=among(AUDITED),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/find_regions.py"


rule continue_regions:
    """Let the model write on its own from the first prefix of every region."""
    input:
        documents=f"{OF_AUDIT}/documents.parquet",
        regions=f"{OF_AUDIT}/regions.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "continue_regions",
            {
                name: {
                    "prefix": STUDY["prefix"],
                    "continuation": AUDIT["continuation"],
                    "dtype": MODELS[name]["dtype"],
                }
                for name in AUDITED
            },
        ),
    output:
        continuations=f"{OF_AUDIT}/continuations.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/continue_regions.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/continue_regions.tsv"
    wildcard_constraints:
        model=among(AUDITED),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/continue_regions.py"


rule tabulate_audit:
    input:
        documents=per_model("audit/summary.parquet", AUDITED),
        regions=per_model("audit/regions.parquet", AUDITED),
        continuations=per_model("audit/continuations.parquet", AUDITED),
        settings=settings("tabulate_audit", models=AUDITED),
    output:
        documents=table("audit_documents", "audit_documents", "audited documents"),
        regions=table("audit_regions", "audit_regions", "reproduced regions"),
    log:
        f"{RESULTS}/logs/tabulate_audit.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_audit.py"


rule build_audit:
    input:
        documents=per_model("audit/documents.parquet", AUDITED),
        candidates=per_model("candidates.parquet", AUDITED),
        summaries=per_model("audit/summary.parquet", AUDITED),
        windows=per_model("audit/windows.parquet", AUDITED),
        regions=per_model("audit/regions.parquet", AUDITED),
        continuations=per_model("audit/continuations.parquet", AUDITED),
        settings=settings(
            "build_audit",
            study=STUDY["study"],
            prefix=STUDY["prefix"],
            suffix=STUDY["suffix"],
            models=[[name, MODELS[name]["stride"]] for name in AUDITED],
            audit=AUDIT,
            page=digests.file_digest(shipped("workflow/audit")),
        ),
    output:
        page=report(
            f"{RESULTS}/audit.html",
            caption="../workflow/report/audit.rst",
            category="1 Tables",
            labels={"table": "audit of documents"},
        ),
    log:
        f"{RESULTS}/logs/build_audit.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_audit.tsv"
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/build_audit.py"
