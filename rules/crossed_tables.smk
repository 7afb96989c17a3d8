"""Crossed exposures, all pairs together: tables, figures, and what opens the report.

Inputs: <first model>/crossed/ and <model>/crossed/ of crossed.smk.
Outputs: tables/crossed_*.csv, figures/crossed_*.
"""


rule tabulate_crossed_mechanisms:
    """Gather the pairs: what measures inside both models differ by, exposed − unexposed."""
    input:
        windows=per_model("crossed/windows.parquet", PAIRS),
        measures=per_model("crossed/mechanisms.parquet", BOTH_OF_PAIRS),
        settings=settings(
            "tabulate_crossed_mechanisms",
            seeds=[MODELS[name]["seed"] for name in PAIRS],
            redraws=ANALYSIS["redraws"],
            **{key: GATHERED[key] for key in ("pairs", "confidence")},
        ),
    output:
        mechanisms=table(
            "crossed_mechanisms", "crossed_mechanisms", "inside both models", CROSSED_CATEGORY
        ),
    log:
        f"{RESULTS}/logs/tabulate_crossed_mechanisms.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_crossed_mechanisms.py"


rule tabulate_crossed:
    """Gather the pairs: the effects of exposure, the scores over pairs and bases, the checks."""
    input:
        windows=per_model("crossed/windows.parquet", PAIRS),
        scores=of_scorers("scores.csv"),
        decisions=of_scorers("decisions.parquet"),
        null=of_scorers("null.parquet"),
        matched=of_scorers("matched.csv"),
        checks=of_scorers("checks.csv"),
        settings=settings("tabulate_crossed", **GATHERED),
    output:
        effects=table("crossed_effects", "crossed_effects", "effects", CROSSED_CATEGORY),
        scores=table("crossed_scores", "crossed_scores", "scores", CROSSED_CATEGORY),
        matched=table("crossed_matched", "crossed_matched", "matched", CROSSED_CATEGORY),
        checks=table("crossed_checks", "crossed_checks", "checks", CROSSED_CATEGORY),
    log:
        f"{RESULTS}/logs/tabulate_crossed.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_crossed.py"


rule transfer_pairs:
    """Test the scorers of every pair on the windows of every other pair."""
    input:
        windows=per_model("crossed/windows.parquet", PAIRS),
        attention=per_model("crossed/attention/index.parquet", BOTH_OF_PAIRS),
        hidden_states=layers_of_pairs("hidden_states"),
        feed_forward=layers_of_pairs("feed_forward"),
        settings=settings(
            "transfer_pairs",
            seeds=[MODELS[name]["seed"] for name in PAIRS],
            **{key: ANALYSIS[key] for key in ("inputs", "redraws")},
            **GATHERED,
        ),
    output:
        transfer=table("crossed_transfer", "crossed_transfer", "transfer", CROSSED_CATEGORY),
    log:
        f"{RESULTS}/logs/transfer_pairs.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_pairs.tsv"
    conda:
        "../envs/engram.yaml"
    threads: 4
    script:
        "../workflow/scripts/transfer_pairs.py"


rule tabulate_crossed_regions:
    """Gather the pairs: layers and bands, knock-outs."""
    input:
        layers=per_model("crossed/layers.csv", PAIRS),
        knockout=per_model("crossed/knockout.parquet", PAIRS),
        settings=settings("tabulate_crossed_regions", **GATHERED),
    output:
        layers=table("crossed_layers", "crossed_layers", "layers", CROSSED_CATEGORY),
        knockout=table("crossed_knockout", "crossed_knockout", "knock-out", CROSSED_CATEGORY),
    log:
        f"{RESULTS}/logs/tabulate_crossed_regions.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/tabulate_crossed_regions.py"


rule plot_crossed_scores:
    input:
        table=f"{RESULTS}/tables/crossed_scores.csv",
        settings=settings(
            "plot_crossed_scores", script="plot_crossed", plot="scores", style=STUDY["figures"]
        ),
    output:
        figure=figure(
            "crossed_scores",
            "crossed_scores_figure",
            CROSSED_CATEGORY,
            figure="which model was shown it?",
        ),
    log:
        f"{RESULTS}/logs/figures/crossed_scores.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_crossed.py"


rule open_report:
    """Write what opens the report: the main result in two sentences, and its picture."""
    input:
        scores=f"{RESULTS}/tables/crossed_scores.csv",
        figure=f"{RESULTS}/figures/crossed_scores.{FORMATS[0]}",
        settings=settings("open_report"),
    output:
        opening=f"{RESULTS}/figures/crossed_opening.rst",
    log:
        f"{RESULTS}/logs/open_report.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/open_report.py"


use rule plot_crossed_scores as plot_crossed_effects with:
    input:
        table=f"{RESULTS}/tables/crossed_effects.csv",
        settings=settings(
            "plot_crossed_effects", script="plot_crossed", plot="effects", style=STUDY["figures"]
        ),
    output:
        figure=figure(
            "crossed_effects",
            "crossed_effects_figure",
            CROSSED_CATEGORY,
            figure="what exposure did",
        ),
    log:
        f"{RESULTS}/logs/figures/crossed_effects.log",


use rule plot_crossed_scores as plot_crossed_transfer with:
    input:
        table=f"{RESULTS}/tables/crossed_transfer.csv",
        settings=settings(
            "plot_crossed_transfer",
            script="plot_crossed",
            plot="transfer",
            style=STUDY["figures"],
        ),
    output:
        figure=figure(
            "crossed_transfer",
            "crossed_transfer_figure",
            CROSSED_CATEGORY,
            figure="scorers in other pairs",
        ),
    log:
        f"{RESULTS}/logs/figures/crossed_transfer.log",


use rule plot_crossed_scores as plot_crossed_layers with:
    input:
        table=f"{RESULTS}/tables/crossed_layers.csv",
        settings=settings(
            "plot_crossed_layers", script="plot_crossed", plot="layers", style=STUDY["figures"]
        ),
    output:
        figure=figure(
            "crossed_layers", "crossed_layers_figure", CROSSED_CATEGORY, figure="layers and bands"
        ),
    log:
        f"{RESULTS}/logs/figures/crossed_layers.log",


use rule plot_crossed_scores as plot_crossed_knockout with:
    input:
        table=f"{RESULTS}/tables/crossed_knockout.csv",
        settings=settings(
            "plot_crossed_knockout", script="plot_crossed", plot="knockout", style=STUDY["figures"]
        ),
    output:
        figure=figure(
            "crossed_knockout",
            "crossed_knockout_figure",
            CROSSED_CATEGORY,
            figure="regions removed",
        ),
    log:
        f"{RESULTS}/logs/figures/crossed_knockout.log",


use rule plot_crossed_scores as plot_crossed_mechanisms with:
    input:
        table=f"{RESULTS}/tables/crossed_mechanisms.csv",
        settings=settings(
            "plot_crossed_mechanisms",
            script="plot_crossed",
            plot="mechanisms",
            style=STUDY["figures"],
        ),
    output:
        figure=figure(
            "crossed_mechanisms",
            "crossed_mechanisms_figure",
            CROSSED_CATEGORY,
            figure="inside both models",
        ),
    log:
        f"{RESULTS}/logs/figures/crossed_mechanisms.log",
