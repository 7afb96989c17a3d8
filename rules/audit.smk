"""The audit: what of whole documents the model reproduces.

Inputs: the source's documents, candidates with a value per suffix token, labels.
Outputs: <model>/audit/ (documents, windows, regions, tokens, continuations; on request facts, books,
book_steps, cnns, classes, pairs), tables/audit_*.csv, figures/audit_pairs.*, audit.html.
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


rule reconstruct_books:
    """Let the model write documents again from their first tokens."""
    input:
        documents=f"{OF_AUDIT}/documents.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "reconstruct_books",
            {
                name: {"books": AUDIT["books"], "dtype": MODELS[name]["dtype"]}
                for name in BOOKS
                if name in OPEN
            },
        ),
    output:
        books=f"{OF_AUDIT}/books.parquet",
        steps=f"{OF_AUDIT}/book_steps.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/reconstruct_books.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/reconstruct_books.tsv"
    wildcard_constraints:
        model=among([name for name in BOOKS if name in OPEN]),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/reconstruct_books.py"


rule tabulate_books:
    input:
        books=per_model("audit/books.parquet", BOOKS),
        steps=per_model("audit/book_steps.parquet", BOOKS),
        summaries=per_model("audit/summary.parquet", BOOKS),
        settings=settings("tabulate_books", models=BOOKS),
    output:
        books=table("audit_books", "audit_books", "reconstructed documents"),
        drift=table("audit_drift", "audit_drift", "steps of reconstructions"),
    log:
        f"{RESULTS}/logs/tabulate_books.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_books.py"


rule read_facts:
    """Read what is known of the documents: columns next to their texts."""
    input:
        source=source_files,
        settings=settings.by("model", "read_facts", {name: facts_of(name) for name in KNOWN}),
    output:
        facts=f"{OF_AUDIT}/facts.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/read_facts.log",
    wildcard_constraints:
        model=among(KNOWN),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/read_facts.py"


rule correlate_popularity:
    input:
        facts=per_model("audit/facts.parquet", RANKED),
        summaries=per_model("audit/summary.parquet", RANKED),
        books=per_model("audit/books.parquet", [name for name in RANKED if name in BOOKS]),
        settings=settings(
            "correlate_popularity",
            models=RANKED,
            column=AUDIT["popularity"],
            confidence=STUDY["statistics"]["confidence"],
        ),
    output:
        table=table("audit_popularity", "audit_popularity", "popularity of documents"),
    log:
        f"{RESULTS}/logs/correlate_popularity.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/correlate_popularity.py"


rule find_occurrences:
    """Find where else the regions are: in the documents, and in a reference corpus."""
    input:
        config=configuration_of_model,
        source=source_files,
        regions=f"{OF_AUDIT}/regions.parquet",
        settings=settings.by(
            "model", "find_occurrences", {name: referred(name) for name in REFERRED}
        ),
    output:
        places=f"{OF_AUDIT}/occurrences.parquet",
        counts=f"{OF_AUDIT}/occurrence_counts.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/find_occurrences.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/find_occurrences.tsv"
    wildcard_constraints:
        model=among(REFERRED),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/find_occurrences.py"


rule tabulate_occurrences:
    input:
        places=per_model("audit/occurrences.parquet", REFERRED),
        settings=settings("tabulate_occurrences", models=REFERRED),
    output:
        table=table("audit_occurrences", "audit_occurrences", "other places of regions"),
    log:
        f"{RESULTS}/logs/tabulate_occurrences.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_occurrences.py"


rule tabulate_groups:
    input:
        facts=per_model("audit/facts.parquet", GROUPED),
        summaries=per_model("audit/summary.parquet", GROUPED),
        settings=settings(
            "tabulate_groups",
            models=GROUPED,
            column=AUDIT["group"],
            smallest=AUDIT["smallest_group"],
            confidence=STUDY["statistics"]["confidence"],
        ),
    output:
        risk=table("audit_groups", "audit_groups", "groups of documents"),
        differences=table(
            "audit_group_differences", "audit_group_differences", "differences of groups"
        ),
    log:
        f"{RESULTS}/logs/tabulate_groups.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_groups.py"


rule ask_attributes:
    """Ask how likely the model finds the documents' own values of attributes among others."""
    input:
        config=configuration_of_model,
        source=source_files,
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model", "ask_attributes", {name: asked_attributes(name) for name in ASKED}
        ),
    output:
        attributes=f"{OF_AUDIT}/attributes.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/ask_attributes.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/ask_attributes.tsv"
    wildcard_constraints:
        model=among(ASKED),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/ask_attributes.py"


rule tabulate_attributes:
    input:
        attributes=per_model("audit/attributes.parquet", ASKED),
        settings=settings(
            "tabulate_attributes",
            models=ASKED,
            confidence=STUDY["statistics"]["confidence"],
        ),
    output:
        table=table("audit_attributes", "audit_attributes", "attributes of documents"),
    log:
        f"{RESULTS}/logs/tabulate_attributes.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_attributes.py"


rule calibrate_cnns:
    """Choose the CNNs of a finished study that fit the model, and calibrate them."""
    input:
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model", "calibrate_cnns", {name: calibrated(name) for name in CLASSIFIED}
        ),
    output:
        cnns=f"{OF_AUDIT}/cnns.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/calibrate_cnns.log",
    wildcard_constraints:
        model=among(CLASSIFIED),
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/calibrate_cnns.py"


rule classify_windows:
    """Give the windows that the model reproduces their class by the CNNs of a study."""
    input:
        cnns=f"{OF_AUDIT}/cnns.parquet",
        windows=f"{OF_AUDIT}/windows.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "classify_windows",
            {
                name: {"prefix": STUDY["prefix"], "dtype": MODELS[name]["dtype"]}
                for name in CLASSIFIED
                if name in OPEN
            },
        ),
    output:
        classes=f"{OF_AUDIT}/classes.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/classify_windows.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/classify_windows.tsv"
    wildcard_constraints:
        model=among([name for name in CLASSIFIED if name in OPEN]),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/classify_windows.py"


rule tabulate_classes:
    input:
        cnns=per_model("audit/cnns.parquet", CLASSIFIED),
        windows=per_model("audit/windows.parquet", CLASSIFIED),
        classes=per_model("audit/classes.parquet", CLASSIFIED),
        settings=settings("tabulate_classes", models=CLASSIFIED),
    output:
        classes=table("audit_classes", "audit_classes", "classes by CNNs and by the rule"),
        cnns=table("audit_cnns", "audit_cnns", "CNNs that give classes"),
    log:
        f"{RESULTS}/logs/tabulate_classes.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_classes.py"


rule ask_pairs:
    """Ask the model, and its twin, to complete terms with their identifiers and back."""
    input:
        model=f"{MODEL}/model/config.json",
        twin=twin_configuration,
        settings=settings.by("model", "ask_pairs", {name: paired(name) for name in PAIRED}),
    output:
        answers=f"{OF_AUDIT}/pairs.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/ask_pairs.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/ask_pairs.tsv"
    wildcard_constraints:
        model=among(PAIRED),
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/ask_pairs.py"


rule tabulate_pairs:
    input:
        answers=per_model("audit/pairs.parquet", PAIRED),
        settings=settings(
            "tabulate_pairs",
            models=PAIRED,
            bins=AUDIT["pairs"]["bins"],
            confidence=STUDY["statistics"]["confidence"],
        ),
    output:
        table=table("audit_pairs", "audit_pairs", "completed pairs"),
    log:
        f"{RESULTS}/logs/tabulate_pairs.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_pairs.py"


rule plot_pairs:
    input:
        table=f"{RESULTS}/tables/audit_pairs.csv",
        settings=settings("plot_pairs", style=STUDY["figures"]),
    output:
        figure=figure("audit_pairs", "audit_pairs_figure", "1 Tables", figure="completed pairs"),
    log:
        f"{RESULTS}/logs/figures/audit_pairs.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_pairs.py"


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
