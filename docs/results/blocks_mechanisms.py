"""What measures inside the models of a crossed pair found: tables and paragraphs of
docs/results.md."""

from __future__ import annotations

import pandas as pd
from cells import (
    filled,
    interval,
    listed,
    markdown,
    nats,
    only,
    points,
    select,
    settings,
    short,
    stacked,
    table,
    word,
)

STUDY = "mechanisms"
CLASSES = ("Recalled", "Drilled", "Guessed")
OTHER_TEXT = "other text"
METHODS = {
    "forest": "REMIND, forest",
    "logistic": "REMIND, logistic",
    "loss": "loss",
    "zlib": "loss, per byte of zlib",
    "min_k": "Min-K %",
    "min_k_plus_plus": "Min-K %++",
    "rivals": "these four together",
}


def _models() -> list[str]:
    return [model["name"] for model in settings(STUDY)["models"]]


def _chosen() -> pd.DataFrame:
    """Return selectivity at the step that validation chose, of every model and outcome."""
    return select(table(f"{STUDY}/selectivity"), chosen=True)


def study() -> str:
    """Return what `studies/mechanisms.yaml` is."""
    file = settings(STUDY)
    design = file["models"][0]["drilling"]["crossed"]
    windows = sum(design[stratum] for stratum in ("low", "high", "templates"))
    doses = sorted(dose["exposures"] for dose in design["doses"])
    return filled(f"""\
`snakemake --configfile studies/mechanisms.yaml`, seed {file["seed"]}: one pair of the default
study's base, {windows:,} windows, shown {listed(doses, "or")} times. Four classes of each model:

- *Recalled*: it was shown the text, extracts it, and its counterpart does not;
- *Guessed*: it was never shown the text, and both models extract it;
- *Drilled*: it alone was shown the text, and both models extract it. A draw decides which guessable
  text is drilled, so Drilled and Guessed are alike but for the drilling; Recalled and Guessed also
  differ in their text;
- *Non-Memo*: it does not extract the text, and reads its own continuation instead.

Test samples. Brackets are intervals over groups of texts.""")


def steering() -> str:
    """Return what steering at the chosen α leaves of each class, with controls."""
    rows = []
    doses = table(f"{STUDY}/steering")
    for model in _models():
        alpha = only(_chosen(), model=model, measure="extracted")["alpha"]
        for name in (*CLASSES, OTHER_TEXT):
            of_class = select(doses, model=model, class_=name)
            steered = only(of_class, direction="probe", alpha=alpha)
            controls = (
                only(of_class, direction=kind, alpha=alpha) for kind in ("random", "shuffled")
            )
            before = only(of_class, direction="probe", alpha=0)
            loss = nats(steered["suffix_log_prob"] - before["suffix_log_prob"])
            cells = [model, name, f"{steered['n']}"]
            if name == OTHER_TEXT:
                cells += ["–"] * 3
            else:
                cells += [
                    interval(steered, "extracted", points),
                    *(interval(row, "extracted", points) for row in controls),
                ]
            rows.append([*cells, loss])
    head = [
        *("model", "class", "n", "still extracted, %", "random directions"),
        *("shuffled classes", "log-probability, nats"),
    ]
    return markdown(head, rows)


def attack() -> str:
    """Return what optimizing the prefix's embeddings brings back, with the heads removed and in the
    intact model."""
    rows = []
    for row in table(f"{STUDY}/attack").to_dict("records"):
        row = pd.Series(row)
        rows.append(
            [
                row["model"],
                f"{row['removed']}" if row["removed"] else "none",
                f"{row['n_recalled']}, {row['n_unseen']}",
                *(interval(row, f"recovered_{kind}", points) for kind in ("recalled", "unseen")),
                *(interval(row, f"steps_{kind}", nats) for kind in ("recalled", "unseen")),
            ]
        )
    head = [
        *("model", "heads removed", "n, never seen", "comes back, %", "never seen, %"),
        *("steps", "never seen, steps"),
    ]
    return markdown(head, rows)


def remind() -> str:
    """Return how well features of losses separate each class from the others, per model."""
    rows = []
    scores = table(f"{STUDY}/remind")
    for method, label in METHODS.items():
        for model in _models():
            cells = [
                stacked(only(scores, method=method, model=model, class_=name), "auc", short)
                for name in ("all", *CLASSES)
            ]
            rows.append([label if model == _models()[0] else "", model, *cells])
    return markdown(["AUC of", "model", "all classes", *CLASSES], rows)


def feed_forward() -> str:
    """Return the log-probability that removing one feed-forward block costs, by class."""
    rows = []
    costs = table(f"{STUDY}/feed_forward")
    for layer in sorted(costs["layer"].unique()):
        for model in _models():
            cells = [
                interval(
                    only(costs, layer=layer, model=model, class_=name),
                    "suffix_log_prob_difference",
                    short,
                )
                for name in CLASSES
            ]
            rows.append([f"{layer}" if model == _models()[0] else "", model, *cells])
    return markdown(["layer", "model", *CLASSES], rows)


def classes() -> str:
    """Return what compression and the lens say of each class."""
    rows = []
    compression, lens = table(f"{STUDY}/compression"), table(f"{STUDY}/lens")
    lens = select(lens, lens="tuned", rule="probability", threshold=0.5)
    for name in CLASSES:
        for model in _models():
            at = {"model": model, "class_": name}
            rows.append(
                [
                    name if model == _models()[0] else "",
                    model,
                    f"{only(compression, **at)['n']}",
                    interval(only(compression, **at), "compressibility", short),
                    interval(only(lens, **at), "settled", short),
                ]
            )
    head = ["class", "model", "n", "share of the context that suffices", "layer of decision"]
    return markdown(head, rows)


def _overlaps(rows: pd.DataFrame) -> str:
    return listed(interval(pd.Series(row), "jaccard", short) for row in rows.to_dict("records"))


def neurons(share: float = 0.03) -> str:
    """Return what removing the neurons of Recalled costs, as a table."""
    rows = []
    costs = select(table(f"{STUDY}/neurons"), ranked="Recalled", share=share)
    for model in _models():
        for chosen, label in (("delta", "of largest Δ"), ("random", "random")):
            at = {"model": model, "chosen": chosen}
            cells = [
                interval(only(costs, class_=name, **at), "suffix_log_prob_difference", short)
                for name in CLASSES
            ]
            removed = only(costs, class_="Recalled", **at)["removed"]
            rows.append([model, f"{removed} {label}", *cells])
    return markdown(["model", "neurons removed", *CLASSES], rows)


def second_localization() -> str:
    """Return how far the heads found from the attacked embeddings are those found before."""
    heads = table(f"{STUDY}/attack_heads")
    return filled(f"""\
From the embeddings that the attack found, localization names nearly the same heads again: the
Jaccard index of the two sets is {_overlaps(heads)} in the
{word(len(heads))} models, where chance is {short(heads["chance"].iloc[0])}. The removed head is in
the second set of {word(int((heads["shared_removed"] > 0).sum()))} of them.""")
