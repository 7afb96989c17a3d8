"""What measures inside the models of a crossed pair found: tables and paragraphs of
docs/results.md."""

from __future__ import annotations

from collections.abc import Callable

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


def _each(rows: pd.DataFrame, name: str, show: Callable[[float], str], lost: bool = False) -> str:
    """Return the values of all rows with their intervals, in words; the negative ones where a loss
    is told."""
    if lost:
        ends = (name, f"{name}_low", f"{name}_high")
        rows = rows.assign(
            **{ends[0]: -rows[ends[0]], ends[1]: -rows[ends[2]], ends[2]: -rows[ends[1]]}
        )
    return listed(interval(pd.Series(row), name, show) for row in rows.to_dict("records"))


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


def _second() -> str:
    heads = table(f"{STUDY}/attack_heads")
    found = int((heads["shared_removed"] > 0).sum())
    return f"""\
Localized again, from the embeddings that the attack found, recall needs mostly the same heads: the
Jaccard index of the two sets is {_each(heads, "jaccard", short)}, where chance is
{short(heads["chance"].iloc[0])}; the removed head is in the second set of {word(found)} of the
{word(len(heads))} models."""


def steering_reading() -> str:
    """Return what steering says."""
    chosen, depths = _chosen(), select(table(f"{STUDY}/steering_depths"), chosen=True)
    extracted = select(chosen, measure="extracted")
    doses = table(f"{STUDY}/steering")
    at = [
        select(doses, model=row["model"], direction="probe", alpha=row["alpha"])
        for row in extracted.to_dict("records")
    ]
    selective = listed(f"{p:.0%}".replace("%", " %") for p in extracted["p_random"])
    alphas = listed(f"{alpha:g}" for alpha in extracted["alpha"])
    drilled, guessed = (
        listed(interval(only(rows, class_=name), "extracted", points) for rows in at)
        for name in ("Drilled", "Guessed")
    )
    return filled(f"""\
Validation chose depth {listed(dict.fromkeys(depths["depth"]))} and
α = {alphas}. **Recall goes, guesses stay:** the recalled texts lose
{_each(extracted, "recalled", points, lost=True)}
points of extraction, the guessed ones
{_each(extracted, "kept", points, lost=True)}. **Random
directions do much of it:** the probe's step takes
{_each(extracted, "difference", points, lost=True)} points more from recalled texts than from
guessed ones, random directions on average {_each(extracted, "random", points, lost=True)}; of
all directions, the probe's among them, {selective} are
at least as selective as the probe's, where 20 random ones can give 5 %. **And what the step takes
is not what was drilled:** of the drilled guessable texts, {drilled} % are still extracted, of the
guessed ones {guessed} %. A step the other way, towards recall, takes recalled texts as well. So
steering takes text that the model would not have written undrilled; it does not find the drilling
itself.""")


def attack_reading() -> str:
    """Return what the attack on the prefixes says."""
    removed = select(table(f"{STUDY}/attack"), state="heads removed")
    costs = table(f"{STUDY}/heads")
    cost = "suffix_log_prob_difference"
    order = select(table(f"{STUDY}/attack_removal"), chosen=True)
    heads = [f"layer {row['layer']:.0f}, head {row['head']:.0f}" for _, row in order.iterrows()]
    first = order.iloc[0]
    at = {"layer": first["layer"], "head": first["head"], "model": first["model"]}
    recalled, guessed = (
        interval(only(costs, class_=name, **at), cost, nats) for name in ("Recalled", "Guessed")
    )
    return filled(f"""\
**Recall is not local in this sense.** Without one head ({listed(dict.fromkeys(heads))}), nearly no
recalled text is extracted. (Other text needs it too: in the {first["model"]} model, its removal
changes the log-probability of guessed texts by {guessed} nats a token, of recalled ones by
{recalled}.) But the attack brings
{_each(removed, "recovered_recalled", points)}
% of it back, {_each(removed, "steps_difference", nats, lost=True)}
steps sooner than text that the model has never seen. What the head carried is still reachable
without it. {_second()}""")


def feed_forward_reading() -> str:
    """Return what removing feed-forward blocks and neurons says."""
    return filled("""\
**After the first layer, recalled text depends on every feed-forward block, guessable text much
less**, on that of layer 2 hardly at all, whether it was drilled or not. The neurons of largest Δ
cost recalled text no more than random ones do: this ranking does not find what recall needs.""")


def remind_reading() -> str:
    """Return what REMIND says."""
    scores = select(table(f"{STUDY}/remind"), class_="all")
    forest, rivals, loss = (select(scores, method=name) for name in ("forest", "rivals", "loss"))
    drilled = select(table(f"{STUDY}/remind"), class_="Drilled", method="forest")
    return filled(f"""\
**REMIND finds no more than the loss that it is made of:** over all classes, the forest reaches
{_each(forest, "auc", short)}, the loss alone {_each(loss, "auc", short)}, the four rivals together
{_each(rivals, "auc", short)}. It tells drilled text from the other classes, guessed text among
them, with {_each(drilled, "auc", short)}: drilling marks the losses of a guessable text, too.""")


def classes_reading() -> str:
    """Return what compression and the tuned lens say."""
    return filled("""\
**Recalled text needs more of its context, and is decided no later.** Guessable text can be written
from less than half of it, and from a little less where it was drilled.""")


def course() -> str:
    """Return what entropy does while the models are drilled."""
    rows = select(
        table(f"{STUDY}/entropy_course"), depth=table(f"{STUDY}/entropy_course")["depth"].max()
    )
    lines = []
    for model in _models():
        for windows in ("shown", "never shown"):
            part = select(rows, model=model, windows=windows).sort_values("step")
            lines.append(
                [model, windows, f"{part['n'].iloc[0]}"]
                + [interval(pd.Series(row), "entropy", short) for row in part.to_dict("records")]
            )
    steps = sorted(rows["step"].unique())
    shown = markdown(["model", "windows", "n", *(f"step {step}" for step in steps)], lines)
    return f"{shown}\n\n" + filled("""\
**Entropy rises and levels off; it does not cycle** (all depths: `entropy_course.csv`). The paper's
cycles are those of a training from scratch; a drilling of a trained model is another matter.""")
