"""What crossed pairs found: bullets and tables of README.md and docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from cells import (
    filled,
    hundredths,
    interval,
    listed,
    markdown,
    nats,
    only,
    points,
    score,
    select,
    short,
    span,
    table,
)

STRATA = {
    "natural": "natural",
    "low": "natural, low overlap",
    "high": "natural, high overlap",
    "guessed": "natural, guessed before",
    "templates": "templates",
}
OF_DESIGN = ("low", "high", "guessed", "templates")
ARMS = ("exposed", "unexposed", "effect")
ALL_PAIRS = "all pairs"
CROSSED_INPUTS = {
    "attention_mean": "attention, mean over heads",
    "attention_max": "attention, max over heads",
    "cnn_attention_mean": "attention, mean over heads (CNN)",
    "suffix_log_prob": "log-probability of the suffix",
    "hidden_states": "hidden states",
    "feed_forward": "feed-forward outputs",
}
MEASURED_INPUTS = {
    "entropy": "entropy of representations, per layer",
    "lens": "logit lens",
    "remind": "REMIND, 15 features",
    "loss": "loss",
    "zlib": "loss, per byte of zlib",
    "min_k": "Min-K %",
    "min_k_plus_plus": "Min-K %++",
}
"""Inputs with `crossed.mechanisms`."""


def paired(study: str, name: str, **values: object) -> pd.Series:
    """Return the row of a crossed study's scores for an input on all test windows by assigned dose,
    natural text and all pairs unless `values` say something else."""
    wanted = {"pair": "all pairs", "trained_on": "all", "tested_on": "natural"}
    rows = select(table(f"{study}/scores"), selection="assigned", input=name)
    return only(rows, **{"dose": 0} | wanted | values)


def crossed_effects(study: str, strata: tuple[str, ...] = OF_DESIGN, most: bool = False) -> str:
    """Return what exposure did, by kind of text and dose, over all pairs; only for windows of the
    highest dose if `most` is set."""
    rows = []
    every = select(table(f"{study}/effects"), split="all")
    effects = select(every, pair=ALL_PAIRS if ALL_PAIRS in set(every["pair"]) else "first")
    if most:
        effects = select(effects, dose=effects["dose"].max())
    for stratum in strata:
        name = STRATA[stratum]
        for row in select(effects, stratum=stratum).to_dict("records"):
            if row["dose"]:
                shares = (interval(pd.Series(row), kind, points) for kind in ARMS)
                cells = [f"{row['dose']}", f"{row['windows']}, {row['clusters']}", *shares]
                rows.append([name, *cells])
    head = ["text", "showings", "windows, clusters", *(f"{kind}, %" for kind in ARMS)]
    return markdown(head, rows)


def crossed_scores(study: str, labels: Mapping[str, str] = CROSSED_INPUTS) -> str:
    """Return how often the exposed model is named, by input and kind of text, over all pairs; with
    a second interval over bases where there are several."""
    rows = []
    scores = table(f"{study}/scores")
    several = scores["bases"].max() > 1
    inputs, tested = set(scores["input"]), set(scores["tested_on"])
    shown = [name for name in ("natural", "guessed", "templates") if name in tested]
    for name, label in labels.items():
        if name not in inputs:
            continue
        for stratum in shown:
            row = paired(study, name, tested_on=stratum)
            rows.append(
                [
                    label if stratum == "natural" else "",
                    stratum,
                    f"{row['windows']}",
                    interval(row, "accuracy", short),
                    *([_over_bases(study, name, stratum)] if several else []),
                    short(row["null_95"]),
                    f"{row['p']:.3f}".replace("0.", ".", 1),
                ]
            )
    bases = ["over bases"] if several else []
    head = ["the scorer sees", "text", "n", "accuracy", *bases, "redrawn arms, 95 %", "p"]
    return markdown(head, rows)


def crossed_transfer(study: str) -> str:
    """Return how often scorers of one pair name the exposed model of another one, by input and kind
    of text, means over pairs of one base and of two."""
    rows = []
    means = select(table(f"{study}/transfer"), tested_in="all pairs")
    kinds = list(dict.fromkeys(means["bases"]))
    for name, label in CROSSED_INPUTS.items():
        for stratum in ("natural", "templates"):
            own = select(means, input=name, trained_on=stratum, tested_on=stratum)
            if len(own):
                cells = [
                    f"{interval(row, 'accuracy', short)} ({short(row['null_95'])})"
                    for row in (only(own, bases=kind) for kind in kinds)
                ]
                rows.append([label, stratum, *cells])
    return markdown(["the scorer sees", "text", *(f"{kind}" for kind in kinds)], rows)


def _over_bases(study: str, name: str, stratum: str) -> str:
    row = paired(study, name, pair="all bases", tested_on=stratum)
    return f"[{short(row['accuracy_low'])}, {short(row['accuracy_high'])}]"


def crossed_knockout(study: str) -> str:
    """Return what the regions of Δ cost either model beyond regions of equal attention, over all
    pairs, with a second interval over bases where there are several."""
    rows = []
    every = select(table(f"{study}/knockout"), control="mass")
    costs = select(every, pair=every["pair"].iloc[0])  # `all pairs`, or the only one
    several = "all bases" in set(every["pair"])
    for row in costs.to_dict("records"):
        cost = pd.Series(row)
        rows.append(
            [
                STRATA.get(row["stratum"], row["stratum"]),
                f"{100 * row['size']:g} %",
                f"{row['windows']}",
                nats(row["exposed"]),
                nats(row["unexposed"]),
                interval(cost, "difference", nats),
            ]
        )
        if several:
            names = {"stratum": row["stratum"], "size": row["size"]}
            of_bases = only(every, pair="all bases", **names)
            ends = (nats(of_bases[f"difference_{end}"]) for end in ("low", "high"))
            rows[-1].append(f"[{', '.join(ends)}]")
        rows[-1].append(score(row["rank"]))
    head = ["text", "cells", "windows", "exposed loses", "unexposed loses", "difference"]
    head += ["over bases"] * several + ["rank"]
    return markdown(head, rows)


def low_overlap(study: str) -> pd.DataFrame:
    """Return the costs of the region of 5 % on natural text of low overlap, a row for every pair,
    beyond regions of equal attention."""
    costs = select(table(f"{study}/knockout"), control="mass", size=0.05, stratum="low")
    return costs[~costs["pair"].isin([ALL_PAIRS, "all bases"])]


def differences(costs: pd.DataFrame) -> str:
    """Return the differences of some pairs with their intervals, in words."""
    return listed(interval(row, "difference", nats) for _, row in costs.iterrows())


def crossed_matched(study: str, stratum: str) -> str:
    """Return how well each input separates the arms within bins of the log-probability's own
    difference, on windows of a stratum of the only pair."""
    matched = select(table(f"{study}/matched"), trained_on="all", tested_on=stratum)
    rows = [
        [label, f"{row['windows']}, {row['fewer_arm']}", short(row["matched_auroc"])]
        for name, label in CROSSED_INPUTS.items()
        for row in select(matched, input=name).to_dict("records")
    ]
    return markdown(["the scorer sees", "windows, of the rarer arm", "AUROC"], rows)


def crossed_entropy(study: str) -> str:
    """Return by how much the entropy of representations differs between the exposed model and its
    counterpart on the same windows, by depth, in hundredths of a nat."""
    rows = []
    means = select(table(f"{study}/mechanisms"), measure="entropy", value="entropy")
    means = select(means, pair=ALL_PAIRS if ALL_PAIRS in set(means["pair"]) else "first")
    shown = [name for name in ("natural", "guessed", "templates") if name in set(means["stratum"])]
    for depth in sorted(means["depth"].unique()):
        cells = [
            interval(only(means, depth=depth, stratum=stratum), "difference", hundredths)
            for stratum in shown
        ]
        rows.append([f"{depth:.0f}", *cells])
    return markdown(["depth", *shown], rows)


def _real_model() -> str:
    """Return what the pair of a real language model found, as a bullet."""
    study, guessed = "smollm2-crossed", {"tested_on": "guessed"}
    every = paired(study, "cnn_attention_mean")
    cnn = paired(study, "cnn_attention_mean", **guessed)
    loss = paired(study, "suffix_log_prob", **guessed)
    states = paired(study, "hidden_states", **guessed)
    return f"""\
- **In a real model, too.** In SmolLM2-135M (`studies/smollm2-crossed.yaml`), the CNN names the
  exposed copy in {percent(every)} of windows (n = {every["windows"]}), and in {percent(cnn)} of
  those the model guesses anyway; there, the loss does in {percent(loss)}, hidden states in
  {percent(states)}."""


def percent(row: pd.Series) -> str:
    """Return an accuracy with its interval: `89 [85, 92] %`."""
    return f"{interval(row, 'accuracy', points)} %"


def findings() -> str:
    """Return what `studies/crossed.yaml` found over all of its pairs, as bullets."""
    study = "crossed"
    effects = select(table(f"{study}/effects"), split="all", stratum="natural", pair="all pairs")
    most = only(effects, dose=effects["dose"].max())
    text = select(table(f"{study}/checks"), check="arm from the text")
    templates = {"tested_on": "templates"}
    mean = paired(study, "attention_mean")
    cnn = paired(study, "cnn_attention_mean")
    cnn_on_templates = paired(study, "cnn_attention_mean", **templates)
    on_templates = paired(study, "attention_mean", **templates)
    loss, states = paired(study, "suffix_log_prob"), paired(study, "hidden_states")
    transfer = select(table(f"{study}/transfer"), tested_in="all pairs", input="attention_mean")
    other = only(transfer, bases="other base", trained_on="natural", tested_on="natural")
    same = only(transfer, bases="same base", trained_on="natural", tested_on="natural")
    low = low_overlap(study)
    of_first = low["pair"].str.startswith("first-")
    of_others = low.loc[~of_first, "difference"]

    return filled(f"""\
- **Showing a text makes a model reproduce it.** After {most["dose"]} showings, a model extracts
  {interval(most, "exposed", points)} % of natural windows; its counterpart,
  {interval(most, "unexposed", points)} %.
- **Attention carries a trace of it.** From both copies' attention on a held-out window, the
  paper's CNN names the one that was shown it in {percent(cnn)} of natural windows
  (n = {cnn["windows"]:,}; 95 % of redrawn arms give at most {points(cnn["null_95"])} %) and
  {percent(cnn_on_templates)} of templates; a linear scorer in {percent(mean)} and
  {percent(on_templates)}.
- **Part of the trace is common to different models.** In other pairs, a linear scorer names the
  exposed copy in {percent(same)} of natural windows if they share its base, {percent(other)} if
  not.
- **Whether recall needs it is open.** Without the 5 % of cells of largest Δ, the exposed
  copy loses {differences(low[of_first])} nats more than its counterpart in the first base's
  pairs, {span(of_others, nats)} in the others (low-overlap natural text,
  net of random cells with equal attention).
- **The loss reveals more,** {percent(loss)}, as do hidden states, {percent(states)}.
{_real_model()}
- **The text alone reveals nothing,** as designed: {span(text["value"], points)} %,
  {(text["p"] > 0.05).sum()} of {len(text)} checks within 95 % of redrawn arms.""")
