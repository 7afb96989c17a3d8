"""Crossed exposures: two models of one base, each drilled on one half of the same windows.

Inputs: the pairs' designs, candidates, models.
Outputs: <model>/crossed/attention/, <model>/crossed/hidden_states.h5 and
<model>/crossed/feed_forward.h5 (both models of a pair, on the true text), <first model>/crossed/
(scores, CNNs, checks, Δ and knock-outs of a pair). Where `crossed.mechanisms` is on,
<model>/crossed/mechanisms.parquet too (both models). Tables and figures are in crossed_tables.smk.
"""

from dataclasses import asdict

from engram.crossed.mechanism_inputs import MechanismInputs

ANALYSIS = STUDY["crossed"]
SCORED_BY = {key: ANALYSIS[key] for key in ("inputs", "redraws", "bins", "confidence")}
PAIR_CNNS = {
    "cnn": ANALYSIS["cnn"],
    **{key: ANALYSIS[key] for key in ("redraws", "bins", "confidence")},
}
LOCATED_BY = {
    "bands": STUDY["knockout"]["bands"],
    **{key: ANALYSIS[key] for key in ("splits", "draws", "confidence")},
}
TRANSFER = ["transfer"] if len(PAIRS) > 1 else []
MECHANISMS = ["mechanisms"] if ANALYSIS["mechanisms"]["enabled"] else []
# What is measured inside both models, wherever it is asked for.
INSIDE = asdict(MechanismInputs.of(ANALYSIS["mechanisms"], STUDY["mechanisms"], seed=STUDY["seed"]))
CROSSED_NAMES = ["effects", "scores", "matched", "checks", *TRANSFER, "layers", "knockout"]
CROSSED_NAMES += MECHANISMS
CROSSED_TABLES = expand(
    f"{RESULTS}/tables/crossed_{{table}}.csv", table=CROSSED_NAMES if PAIRS else []
)
CROSSED_PLOTS = ["scores", "effects", *TRANSFER, "layers", "knockout", *MECHANISMS]
CROSSED_FIGURES = per_figure("crossed_{plot}", plot=CROSSED_PLOTS if PAIRS else [])
CROSSED_OPENING = [f"{RESULTS}/figures/crossed_opening.rst"] if PAIRS else []
CROSSED_CATEGORY = "0 Crossed exposures"
BOTH_OF_PAIRS = [name for pair in PAIRS.items() for name in pair]


use rule extract_attention as extract_crossed_attention with:
    input:
        samples=design_of,
        candidates=f"{MODEL}/candidates.parquet",
        continuations=[],
        model=f"{MODEL}/model/config.json",
        version=f"{MODEL}/attention/version.json",
        settings=f"{settings.folder}/model/{{model}}/extract_attention.json",
    output:
        shard=f"{MODEL}/crossed/attention/shard-{{shard}}.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_crossed_attention-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_crossed_attention-{{shard}}.tsv"


use rule index_attention as index_crossed_attention with:
    input:
        shards=crossed_shards,
        twin=[],
        texts=[],
        settings=f"{settings.folder}/model/{{model}}/index_attention.json",
    output:
        index=f"{MODEL}/crossed/attention/index.parquet",
        verification=f"{MODEL}/crossed/attention/verification.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/index_crossed_attention.log",


use rule extract_hidden_states as extract_crossed_hidden_states with:
    input:
        samples=design_of,
        candidates=f"{MODEL}/candidates.parquet",
        continuations=[],
        model=f"{MODEL}/model/config.json",
        settings=f"{settings.folder}/model/{{model}}/extract_hidden_states.json",
    output:
        states=f"{MODEL}/crossed/hidden_states.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_crossed_hidden_states.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_crossed_hidden_states.tsv"


rule extract_crossed_feed_forward:
    """Store what the feed-forward blocks add to the hidden states, on the windows of a pair."""
    input:
        samples=design_of,
        candidates=f"{MODEL}/candidates.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "extract_feed_forward",
            {name: {"dtype": MODELS[name]["dtype"]} for name in CROSSED},
        ),
    output:
        states=f"{MODEL}/crossed/feed_forward.h5",
    log:
        f"{RESULTS}/logs/{{model}}/extract_crossed_feed_forward.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/extract_crossed_feed_forward.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/extract_feed_forward.py"


rule score_pair:
    """Ask which of two maps of a text is the exposed model's, of every input."""
    input:
        design=f"{MODEL}/crossed/design.parquet",
        candidates=of_pair("candidates.parquet"),
        attention=of_pair("crossed/attention/index.parquet"),
        hidden_states=layers_of_pair("hidden_states"),
        feed_forward=layers_of_pair("feed_forward"),
        settings=settings.by("model", "score_pair", with_seeds(SCORED_BY)),
    output:
        windows=f"{MODEL}/crossed/windows.parquet",
        scores=f"{MODEL}/crossed/scores.csv",
        decisions=f"{MODEL}/crossed/decisions.parquet",
        null=f"{MODEL}/crossed/null.parquet",
        matched=f"{MODEL}/crossed/matched.csv",
        checks=f"{MODEL}/crossed/checks.csv",
    log:
        f"{RESULTS}/logs/{{model}}/score_pair.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_pair.tsv"
    wildcard_constraints:
        model=among(PAIRS),
    conda:
        "../envs/engram.yaml"
    threads: 4
    script:
        "../workflow/scripts/score_pair.py"


rule train_pair_cnns:
    """Train CNNs for a pair: do they find what the linear scorer finds?"""
    input:
        windows=f"{MODEL}/crossed/windows.parquet",
        attention=of_pair("crossed/attention/index.parquet"),
        settings=settings.by("model", "train_pair_cnns", with_seeds(PAIR_CNNS)),
    output:
        scores=f"{MODEL}/crossed/cnn/scores.csv",
        decisions=f"{MODEL}/crossed/cnn/decisions.parquet",
        null=f"{MODEL}/crossed/cnn/null.parquet",
        matched=f"{MODEL}/crossed/cnn/matched.csv",
        checks=f"{MODEL}/crossed/cnn/checks.csv",
    log:
        f"{RESULTS}/logs/{{model}}/train_pair_cnns.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/train_pair_cnns.tsv"
    wildcard_constraints:
        model=among(PAIRS),
    conda:
        "../envs/engram.yaml"
    threads: 4
    script:
        "../workflow/scripts/train_pair_cnns.py"


rule localize_pair:
    """Find the layers and bands by which the paired scorer knows the exposed model."""
    input:
        windows=f"{MODEL}/crossed/windows.parquet",
        attention=of_pair("crossed/attention/index.parquet"),
        settings=settings.by("model", "localize_pair", with_seeds(LOCATED_BY)),
    output:
        layers=f"{MODEL}/crossed/layers.csv",
        delta=f"{MODEL}/crossed/delta.h5",
    log:
        f"{RESULTS}/logs/{{model}}/localize_pair.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/localize_pair.tsv"
    wildcard_constraints:
        model=among(PAIRS),
    conda:
        "../envs/engram.yaml"
    threads: 4
    script:
        "../workflow/scripts/localize_pair.py"


rule knock_out_pair:
    """Remove regions of Δ from both models on the same text: a difference in differences."""
    input:
        windows=f"{MODEL}/crossed/windows.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        delta=f"{MODEL}/crossed/delta.h5",
        models=of_pair("model/config.json"),
        weights=of_pair("model/model.safetensors"),
        settings=settings.by(
            "model", "knock_out_pair", {name: knocked_out_pair(name) for name in PAIRS}
        ),
    output:
        knockout=f"{MODEL}/crossed/knockout.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/knock_out_pair.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/knock_out_pair.tsv"
    wildcard_constraints:
        model=among(PAIRS),
    conda:
        "../envs/engram.yaml"
    threads: 4
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/knock_out_pair.py"


rule measure_crossed_mechanisms:
    """Measure entropy, REMIND and what else is asked for in one model, on the windows of a pair."""
    input:
        samples=design_of,
        candidates=f"{MODEL}/candidates.parquet",
        model=f"{MODEL}/model/config.json",
        settings=settings.by(
            "model",
            "measure_crossed_mechanisms",
            {
                name: {
                    "inputs": INSIDE,
                    "dtype": MODELS[name]["dtype"],
                    "prefix": STUDY["prefix"],
                }
                for name in CROSSED
            },
        ),
    output:
        measures=f"{MODEL}/crossed/mechanisms.parquet",
    log:
        f"{RESULTS}/logs/{{model}}/measure_crossed_mechanisms.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/measure_crossed_mechanisms.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/measure_crossed_mechanisms.py"


rule score_pair_mechanisms:
    """Ask which of two models was shown a text, of what was measured inside both."""
    input:
        windows=f"{MODEL}/crossed/windows.parquet",
        measures=of_pair("crossed/mechanisms.parquet"),
        settings=settings.by(
            "model",
            "score_pair_mechanisms",
            with_seeds({key: ANALYSIS[key] for key in ("redraws", "bins", "confidence")}),
        ),
    output:
        scores=f"{MODEL}/crossed/mechanisms/scores.csv",
        decisions=f"{MODEL}/crossed/mechanisms/decisions.parquet",
        null=f"{MODEL}/crossed/mechanisms/null.parquet",
        matched=f"{MODEL}/crossed/mechanisms/matched.csv",
        checks=f"{MODEL}/crossed/mechanisms/checks.csv",
    log:
        f"{RESULTS}/logs/{{model}}/score_pair_mechanisms.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/score_pair_mechanisms.tsv"
    wildcard_constraints:
        model=among(PAIRS),
    conda:
        "../envs/engram.yaml"
    threads: 4
    script:
        "../workflow/scripts/score_pair_mechanisms.py"
