"""What studies on natural text found in real models as they are: tables of docs/results.md."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
from blocks_classes import INPUTS
from cells import (
    filled,
    hundredths,
    interval,
    listed,
    markdown,
    only,
    score,
    select,
    settings,
    short,
    table,
    word,
)

MODELS = {"smollm2": "SmolLM2-135M", "gemma3-270m": "Gemma 3 270M"}
SEEN = {key: label for key, label in INPUTS.items() if key[0] != "scalar_features"} | {
    ("text_scalars", "real"): "scalars of the text alone",
    ("text", "real"): "scalars and token identity",
    ("text_and_attention", "real"): "scalars, token identity and attention",
    ("predictability", "real"): "predictability",
}
"""Inputs by source and labels. Scalar features are left out: they describe the true text, whose
perplexity says whether it is memorized."""
MATCHINGS = {"none": "all", "all": "matched"}
SEEN_ALIKE = ("attention", "predictability")


def study(name: str) -> str:
    """Return what a study on natural text is."""
    file = settings(name)
    model, shares = file["models"][0], file["samples"]
    tested = 1 - shares["train"] - shares["validation"]
    return filled(f"""\
`snakemake --configfile studies/{name}.yaml`, seed {file["seed"]}: {MODELS[name]}, not drilled
(package `{model["package"]}`), windows of {file["prefix"]} + {file["suffix"]} tokens,
{100 * tested:.0f} % of the samples held out for testing. *Younger than the model*: lines that
{word(len(model["releases"]))} packages gained
between two releases, both later than the model's own; what it extracts of them counts as guessed.
*Repeated*: licences and notices found in {word(model["repeated"]["copies"])} packages or more, and
passages found in as many files of the standard library; what it extracts of them at low overlap,
that is, without copying from the prefix, counts as recalled.""")


def windows(name: str) -> str:
    """Return how many windows of each kind the model extracts."""
    rows = []
    counted = table(f"{name}/windows").sort_values(
        ["unseen", "is_code", "high_overlap"], ascending=[False, False, False]
    )
    for row in counted.to_dict("records"):
        known = "younger than the model" if row["unseen"] else "repeated"
        kind = "code" if row["is_code"] else "prose"
        overlap = "high" if row["high_overlap"] else "low"
        share = row["extracted"] / row["n"]
        error = math.sqrt(share * (1 - share) / row["n"])
        percent = f"{100 * share:.1f}" if error < 0.05 else f"{100 * share:.0f}"
        extracted = f"{row['extracted']:,}, {row['clusters']:,}"
        rows.append([known, kind, overlap, f"{row['n']:,}", extracted, percent])
    return markdown(["text", "kind", "overlap", "windows", "extracted, clusters", "%"], rows)


def scores(name: str) -> str:
    """Return how well classifiers distinguish the classes, by input."""
    (taxonomy,) = settings(name)["taxonomies"]
    rows, found = [], select(table(f"{name}/scores"), taxonomy=taxonomy, protocol="engram")
    for (source, labels), label in SEEN.items():
        row = select(found, input=source, labels=labels)
        if len(row):
            row = only(row)
            cells = [interval(row, measure, score) for measure in ("balanced_accuracy", "min_f1")]
            rows.append([label, *cells, f"{row['n']}"])
    return markdown(["the classifier sees", "balanced accuracy", "minimum F1", "n"], rows)


def _compared(name: str, measure: str) -> pd.DataFrame:
    return select(table(f"{name}/matched_comparison"), score=measure)


def matched(name: str) -> str:
    """Return the comparison of Non-Memo and Guessed on all test samples and on matched pairs."""
    rows = []
    compared = _compared(name, "balanced_accuracy")
    for matching, title in MATCHINGS.items():
        part = select(compared, matching=matching)
        part = part[[(source, "real") in SEEN for source in part["input"]]]
        for index, row in enumerate(part.to_dict("records")):
            label = SEEN[row["input"], "real"]
            area = only(_compared(name, "auroc"), matching=matching, input=row["input"])
            difference = "" if pd.isna(row["difference"]) else interval(row, "difference", short)
            rows.append(
                [
                    f"{title}, {row['n']}" if not index else "",
                    label,
                    interval(row, "value", short),
                    interval(area, "value", short),
                    difference,
                    "" if pd.isna(row["verdict"]) else row["verdict"],
                ]
            )
    head = ["samples", "the classifier sees", "balanced accuracy", "AUROC"]
    return markdown([*head, "accuracy minus that of predictability", "verdict"], rows)


def recall() -> str:
    """Return how rare natural recall is in the two models."""
    counts = {}
    for name, model in MODELS.items():
        n, extracted = (int(only_prose(name)[column]) for column in ("n", "extracted"))
        counts[model] = f"{model} extracts {extracted} of {n:,} ({100 * extracted / n:.1f} %)"
    return filled(f"""\
**In these two models, natural recall is rare.** Of repeated prose of low overlap,
{listed(counts.values())}. In either model, all of these windows are one cluster: passages that
licences share, such as the disclaimer of the BSD licence, or a list of copyright years, which is
hardly recall. One cluster cannot be divided into texts to train on and texts to test on. So these
studies have no class of recall; recall is studied where drilling produced it
([above](#a-real-language-model)). The classes here are *Guessed* and *Non-Memo*: windows that the
model does not extract, with its own continuation in place of the suffix.""")


def only_prose(name: str) -> pd.Series:
    """Return the row of repeated prose of low overlap."""
    return only(table(f"{name}/windows"), unseen=False, is_code=False, high_overlap=False)


def reading() -> str:
    """Return what the scores of SmolLM2 say."""
    name = "smollm2"
    compared = _compared(name, "balanced_accuracy")
    free, paired = (
        {source: only(compared, matching=matching, input=source) for source in SEEN_ALIKE}
        for matching in MATCHINGS
    )
    areas = _compared(name, "auroc")
    area, rival = (
        only(areas, matching="all", input=source) for source in ("attention", "predictability")
    )
    attention = paired["attention"]
    text = only(areas, matching="all", input="text")
    imbalance = short(attention["imbalance"])
    return filled(f"""\
**Predictability alone separates Guessed from Non-Memo better than attention does:**
{interval(free["predictability"], "value", short)} against
{interval(free["attention"], "value", short)}. Among pairs matched on all five columns of
predictability ({attention["n"] // 2} pairs, largest imbalance {imbalance}), attention
reaches only {interval(attention, "value", short)}, {hundredths(attention["difference"])}
[{hundredths(attention["difference_low"])}, {hundredths(attention["difference_high"])}] points more
than the regression: {attention["verdict"]}, as [the plan](plans/2026-11-matched.md) expects of so
few pairs. The AUROC of attention, {interval(area, "value", short)}, is above that of the
regression, {interval(rival, "value", short)}, but so is that of scalars and token identity, which
see the text alone, {interval(text, "value", short)}.""")


PARTS: dict[str, Callable[[str], str]] = {
    "study": study,
    "windows": windows,
    "scores": scores,
    "matched": matched,
}
"""Blocks of every study, by the end of their names."""
