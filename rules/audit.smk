"""The audit: what of whole documents the model reproduces.

Inputs: the source's documents, candidates with a value per suffix token, labels.
Outputs: <model>/audit/ (documents, windows, regions, tokens, continuations), tables/audit_documents.csv,
tables/audit_regions.csv, audit.html. What is off by default is in audit_options.smk.
"""

# Models whose files hold texts, and those of which positions and scores alone are written.
REDACTED = AUDITED if AUDIT["redact"] else []
OPEN = [name for name in AUDITED if name not in REDACTED]
# Parts of the audit that are off by default, by the models that have them.
BOOKS = AUDITED if AUDIT["books"]["enabled"] else []
RANKED = AUDITED if AUDIT["popularity"] else []
GROUPED = AUDITED if AUDIT["group"] else []
ASKED = AUDITED if AUDIT["attributes"] else []
REFERRED = AUDITED if AUDIT["reference"] else []
KNOWN = AUDITED if RANKED or GROUPED else []
CLASSIFIED = AUDITED if AUDIT["cnns"] else []
PAIRED = AUDITED if AUDIT["pairs"]["table"] else []
AUDIT_TABLES = [
    f"{RESULTS}/tables/audit_{name}.csv"
    for name, models in {
        "documents": AUDITED,
        "regions": AUDITED,
        "books": BOOKS,
        "drift": BOOKS,
        "popularity": RANKED,
        "groups": GROUPED,
        "group_differences": GROUPED,
        "attributes": ASKED,
        "occurrences": REFERRED,
        "classes": CLASSIFIED,
        "cnns": CLASSIFIED,
        "pairs": PAIRED,
    }.items()
    if models
]
# Tables that the page shows as they are, with what it calls them.
SHOWN_TABLES = {
    name: title
    for name, title, models in (
        ("audit_books", "Reconstructed documents", BOOKS),
        ("audit_popularity", "Correlation with popularity", RANKED),
        ("audit_groups", "Groups", GROUPED),
        ("audit_group_differences", "Differences of groups", GROUPED),
        ("audit_attributes", "Attributes", ASKED),
        ("audit_occurrences", "Other places of regions", REFERRED),
        ("audit_classes", "Classes by CNNs and by the rule", CLASSIFIED),
        ("audit_cnns", "CNNs that give classes", CLASSIFIED),
        ("audit_pairs", "Completed pairs", PAIRED),
    )
    if models
}
AUDIT_RESULTS = [
    *AUDIT_TABLES,
    *([f"{RESULTS}/audit.html"] if AUDITED else []),
    *(per_figure("audit_pairs") if PAIRED else []),
]
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
                for name in OPEN
            },
        ),
    output:
        documents=f"{OF_AUDIT}/documents.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_documents.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/read_documents.tsv"
    wildcard_constraints:
        model=among(OPEN),
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
        tokens=f"{OF_AUDIT}/tokens.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/find_regions.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/find_regions.tsv"
    wildcard_constraints:
        model=among(OPEN),
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
                for name in OPEN
            },
        ),
    output:
        continuations=f"{OF_AUDIT}/continuations.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/continue_regions.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/continue_regions.tsv"
    wildcard_constraints:
        model=among(OPEN),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/continue_regions.py"


rule audit_redacted:
    """Audit documents in memory, and write positions and scores alone."""
    input:
        config=configuration_of_model,
        source=source_files,
        model=f"{MODEL}/model/config.json",
        classifier=rules.fetch_code_classifier.output if CLASSIFIER["model"] else [],
        cnns=f"{OF_AUDIT}/cnns.parquet" if CLASSIFIED else [],
        settings=settings.by(
            "model", "audit_redacted", {name: redacted_audit(name) for name in REDACTED}
        ),
    output:
        **{
            name: f"{OF_AUDIT}/{file}.parquet"
            for name, file, wanted in (
                ("books", "books", BOOKS),
                ("steps", "book_steps", BOOKS),
                ("classes", "classes", CLASSIFIED),
            )
            if wanted
        },
        documents=f"{OF_AUDIT}/summary.parquet",
        windows=f"{OF_AUDIT}/windows.parquet",
        regions=f"{OF_AUDIT}/regions.parquet",
        tokens=f"{OF_AUDIT}/tokens.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/audit_redacted.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/audit_redacted.tsv"
    wildcard_constraints:
        model=among(REDACTED),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/audit_redacted.py"


rule tabulate_audit:
    input:
        documents=per_model("audit/summary.parquet", AUDITED),
        regions=per_model("audit/regions.parquet", AUDITED),
        continuations=per_model("audit/continuations.parquet", OPEN),
        classes=per_model("audit/classes.parquet", CLASSIFIED),
        settings=settings("tabulate_audit", models=AUDITED, prefix=STUDY["prefix"]),
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
        documents=per_model("audit/documents.parquet", OPEN),
        tokens=per_model("audit/tokens.parquet", AUDITED),
        summaries=per_model("audit/summary.parquet", AUDITED),
        windows=per_model("audit/windows.parquet", AUDITED),
        regions=per_model("audit/regions.parquet", AUDITED),
        continuations=per_model("audit/continuations.parquet", OPEN),
        books=per_model("audit/books.parquet", BOOKS),
        steps=per_model("audit/book_steps.parquet", BOOKS),
        counts=per_model("audit/occurrence_counts.parquet", REFERRED),
        places=per_model("audit/occurrences.parquet", REFERRED),
        classes=per_model("audit/classes.parquet", CLASSIFIED),
        tables=[f"{RESULTS}/tables/{name}.csv" for name in SHOWN_TABLES],
        settings=settings(
            "build_audit",
            study=STUDY["study"],
            prefix=STUDY["prefix"],
            suffix=STUDY["suffix"],
            models=[[name, MODELS[name]["stride"]] for name in AUDITED],
            audit=AUDIT,
            tables=SHOWN_TABLES,
            page=page_digests("audit"),
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
