"""What the classes of the paper gave, on one model and on three: bullets and tables."""

from __future__ import annotations

import pandas as pd
from cells import filled, interval, listed, markdown, only, points, score, select, short, table

NEW, OLD = "Non-Memo, Guess, Others", "Non-Memo, Recite[36], Reconstruct, Others"
SLUG = "non-memo_guess_others"
INPUTS = {
    ("attention", "real"): "attention",
    ("attention", "shuffled"): "attention, shuffled labels",
    ("random_weights", "real"): "attention of permuted weights",
    ("token_identity", "real"): "token identity (text alone)",
    ("hidden_states", "real"): "hidden states",
    ("scalar_features", "real"): "scalar features of the text",
}
METHODS = {
    "guided": "guided backpropagation",
    "gradient": "gradient",
    "integrated_gradients": "integrated gradients",
    "gradcam": "Grad-CAM",
}


def dissociation_pair(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the rows for the region of Guess and for that of Others, each against the other."""
    return (
        only(rows, region="Guess", against="Others"),
        only(rows, region="Others", against="Guess"),
    )


def classes() -> str:
    """Return what `studies/classes.yaml` found, as bullets."""
    scores = select(table("classes/scores"), taxonomy=NEW)
    attention = only(scores, input="attention", labels="real")
    shuffled = only(scores, input="attention", labels="shuffled")
    identity = only(scores, input="token_identity")
    adds = only(
        table("classes/attention_adds"),
        taxonomy=NEW,
        input="token_identity",
        score="balanced_accuracy",
    )
    truth = select(table("classes/truth"), rule="Guess", kind="all")
    unseen, drilled = only(truth, drilled=False), only(truth, drilled=True)
    recalled = select(table("classes/truth"), kind="all", drilled=True)["recalled"].sum()
    three = select(table("localization/double_dissociation"), region="Guess")
    balanced = "balanced_accuracy"
    return filled(f"""\
- **Attention separates the classes.** Balanced accuracy {interval(attention, balanced, score)} for
  `{NEW}`; {interval(shuffled, balanced, score)} when the training labels are
  shuffled ({attention["n"]} test samples, {attention["cnns"]} CNNs).
- **The text separates them just as well.** The same CNNs, shown only which tokens are equal, reach
  {interval(identity, balanced, score)}. Attention minus text:
  {interval(adds, "difference", score)}.
- **The paper's rule misses much recall.** The model extracts no drilled window before drilling,
  so what it extracts of them afterwards is recalled. The rule calls {drilled["n"]} of these
  {recalled:,} Guess. On other windows it is right: before drilling, the
  model also extracts {unseen["guessed"]:,} of the {unseen["n"]:,} that it calls Guess.
- **Δ finds attention that the model needs, but not reliably:** over three models, removing
  a class's cells costs that class most in {three["double"].sum()} of {len(three)} settings.""")


def scores() -> str:
    """Return the scores of both taxonomies, every input and control."""
    rows = []
    for taxonomy in (NEW, OLD):
        part = select(table("classes/scores"), taxonomy=taxonomy)
        for (source, labels), name in INPUTS.items():
            row = only(part, input=source, labels=labels)
            rows.append(
                [
                    f"`{taxonomy}`" if name == "attention" else "",
                    name,
                    interval(row, "balanced_accuracy", score),
                    interval(row, "min_f1", score),
                    f"{row['n']}",
                ]
            )
    return markdown(
        ["taxonomy", "the classifier sees", "balanced accuracy", "minimum F1", "n"], rows
    )


def adds() -> str:
    """Return attention minus text and attention minus hidden states, both taxonomies."""
    rows = []
    differences = select(table("classes/attention_adds"), score="balanced_accuracy")
    for taxonomy in (NEW, OLD):
        for source in ("token_identity", "hidden_states"):
            row = only(differences, taxonomy=taxonomy, input=source)
            low, high = score(row["simultaneous_low"]), score(row["simultaneous_high"])
            rows.append(
                [
                    f"`{taxonomy}`" if source == "token_identity" else "",
                    INPUTS[source, "real"],
                    interval(row, "difference", score),
                    f"[{low}, {high}]",
                    "yes" if row["different"] else "no",
                ]
            )
    head = [
        "taxonomy",
        "attention minus …",
        "balanced accuracy",
        "simultaneous interval",
        "differ?",
    ]
    return markdown(head, rows)


def kinds() -> str:
    """Return recall on natural text and on templates, CNNs on attention, new taxonomy."""
    part = select(table("classes/recall_by_kind"), taxonomy=NEW, input="attention", labels="real")
    rows = []
    for name in ("Non-Memo", "Guess", "Others"):
        cells = [name]
        for text in ("natural", "templates"):
            row = only(part, class_=name, text=text)
            cells += [f"{row['n']}", f"{interval(row, 'recall', points)} %"]
        rows.append(cells)
    return markdown(["class", "natural n", "recall", "templates n", "recall"], rows)


def truth() -> str:
    """Return the paper's rule against the truth."""
    rows, known = [], table("classes/truth")
    names = [name for name in ("guessed", "recalled", "drift", "not_memorized") if name in known]
    for rule in ("Guess", "Recall", "Non-Memo"):
        for drilled in (False, True):
            row = only(known, rule=rule, kind="all", drilled=drilled)
            counts = [f"{row[name]:,}" for name in ("n", *names)]
            rows.append([rule if not drilled else "", "yes" if drilled else "no", *counts])
    head = ["the rule says", "drilled", "windows", *(name.replace("_", " ") for name in names)]
    return markdown(head, rows)


def delta_layers() -> str:
    """Return the share of Δ in each layer."""
    part = select(table("classes/delta_layers"), taxonomy=SLUG, method="guided")
    layers = sorted(part["layer"].unique())
    rows = []
    for name in ("Non-Memo", "Guess", "Others"):
        of_class = select(part, class_=name)
        cells = [
            f"{points(row.share)} [{points(row.low)}, {points(row.high)}]"
            for row in of_class.itertuples()
        ]
        rows.append([f"{name}, n = {of_class['n'].iloc[0]}", *cells])
    return markdown(["% of the class's Δ", *(f"layer {layer}" for layer in layers)], rows)


def checks() -> str:
    """Return the checks of the saliency methods."""
    part = select(table("classes/saliency_checks"), taxonomy=SLUG)
    randomized = select(
        table("classes/saliency_randomized"), map="evidence", against="fc2 to conv1"
    )
    rows = []
    for method, name in METHODS.items():
        row = only(part, method=method)
        rho = only(randomized, method=method)
        rows.append(
            [
                name,
                interval(row, "learned", short),
                interval(row, "used", short),
                f"{short(rho['rho'])} [{short(rho['low'])}, {short(rho['high'])}]",
            ]
        )
    return markdown(["method", "learned", "used", "correlation with an untrained CNN"], rows)


def _dissociations(rows: pd.DataFrame) -> str:
    lines = []
    for (operation, size), part in rows.groupby(["operation", "size"], sort=False):
        guess, recall = dissociation_pair(part)
        cells = [f"`{operation}`", f"{100 * size:g} %"]
        for row in (guess, recall):
            mark = " †" if row["beyond_controls"] else ""
            cells += [f"{interval(row, 'own', points)}{mark}", interval(row, "other", points)]
        both = interval(guess, "interaction", points)
        lines.append([*cells, f"**{both}**" if guess["double"] else both])
    head = [
        "operation",
        "cells",
        "Guess region: Guess loses",
        "recall loses",
        "recall region: recall loses",
        "Guess loses",
        "interaction",
    ]
    return markdown(head, lines)


def dissociation() -> str:
    """Return what removing each class's region costs either class, one model."""
    return _dissociations(select(table("classes/double_dissociation"), measure="extracted"))


def dissociation_three() -> str:
    """Return the same over three models."""
    return _dissociations(table("localization/double_dissociation"))


def knockout_layers() -> str:
    """Return what removing one layer's attention costs each class."""
    part = table("classes/knockout_layers")
    layers = sorted(part["layer"].unique())
    rows = []
    for name in ("Non-Memo", "Guess", "Others"):
        cells = []
        for layer in layers:
            row = only(part, class_=name, layer=layer)
            # A loss is a fall of the log-probability, so that its interval turns round.
            loss, low, high = (
                -row[f"suffix_log_prob_{end}"] for end in ("difference", "high", "low")
            )
            cells.append(f"{loss:.1f} [{low:.1f}, {high:.1f}]")
        rows.append([name, *cells])
    return markdown(
        ["nats per token lost without …", *(f"layer {layer}" for layer in layers)], rows
    )


def last_layer() -> str:
    """Return the share of Δ of Guess in the last layer, in words."""
    shares = [points(share) for share in table("localization/delta_last_layer")["share"]]
    return f"In all three models Δ of Guess lies mostly in the last layer: {listed(shares)} %."
