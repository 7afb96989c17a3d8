"""Parts of the audit that are off by default: books, facts of documents, other places of regions, groups,
attributes, classes by a study's CNNs, pairs of terms and identifiers.

Inputs: documents, windows and regions of audit.smk; tables that the config names.
Outputs: <model>/audit/ (books, book_steps, facts, occurrences, attributes, cnns, classes, pairs),
tables/audit_*.csv, figures/audit_pairs.*.
"""


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
