"""What docs/results.md says about crossed pairs: its paragraphs, with numbers from the tables.

Only numbers are filled in. What they mean (less, more, alike, in the first base) is written by
hand: read these texts again after a study has been run again.
"""

from __future__ import annotations

import pandas as pd
from blocks_crossed import ALL_PAIRS, differences, low_overlap, paired
from cells import (
    filled,
    interval,
    listed,
    nats,
    only,
    points,
    score,
    select,
    settings,
    span,
    table,
    tenths,
    word,
)

CALLED = "model 1 called exposed: "
SHOWN = {"placebo": "neither", "both": "both"}
SHORT = {
    "attention_mean": "mean over heads",
    "attention_max": "maximum over heads",
    "cnn_attention_mean": "CNN",
    "suffix_log_prob": "log-probability",
    "rouge": "ROUGE",
}
"""Inputs whose short name is not that of the table."""
MAPS = ("attention_mean", "attention_max", "cnn_attention_mean")
MAPS_AND_STATES = (*MAPS, "hidden_states", "feed_forward")
EARLIER_RELEASES = 3
"""Packages of the first run of the real pair."""
LAST_LAYERS = 4
"""Layers that the scorer of the real model looks at."""


def _short(name: str) -> str:
    return SHORT.get(name, name.replace("_", " "))


def _design(study: str) -> tuple[dict, int, list[int]]:
    """Return a study's file, the windows of a pair, and how often they are shown."""
    file = settings(study)
    design = file["models"][0]["drilling"]["crossed"]
    windows = sum(design.get(stratum, 0) for stratum in ("low", "high", "guessed", "templates"))
    return file, windows, sorted(dose["exposures"] for dose in design["doses"])


def _natural(study: str, pairs: str, name: str, **values: object) -> str:
    """Return the accuracies of one input on natural text in pairs of some bases, in words."""
    scores = select(table(f"{study}/scores"), selection="assigned", dose=0, input=name)
    rows = select(scores, **{"trained_on": "all", "tested_on": "natural"} | values)
    accuracies = rows.loc[rows["pair"].str.match(pairs), "accuracy"]
    return span(accuracies, points) if len(accuracies) > 2 else listed(map(points, accuracies))


def predictions(checks: pd.DataFrame) -> str:
    """Return how many predictions of the arm from the text are beyond redrawn arms, and which."""
    rows = select(checks, check="arm from the text")
    several = rows["pair"].nunique() > 1
    beyond = []
    for row in rows[rows["p"] <= 0.05].to_dict("records"):
        pair = f" of `{row['pair']}`" if several else ""
        percent, p = points(row["value"]), score(row["p"])
        beyond.append(f"{_short(row['input'])}{pair}, {percent} %, p = {p}")
    named = f" ({'; '.join(beyond)})" if beyond else ""
    return (
        f"{word(len(rows))} predictions of the arm from the text, {word(len(beyond))} "
        f"{'is' if len(beyond) == 1 else 'are'} beyond the 95 % of redrawn arms{named}"
    )


def _preferences(checks: pd.DataFrame) -> pd.DataFrame:
    """Return how often model 1 is named on windows that neither or both models were shown, with
    columns `shown` and `even`, whether the interval includes one half."""
    rows = checks[checks["check"].str.startswith(CALLED)]
    shown = rows["check"].str.removeprefix(CALLED).map(SHOWN)
    return rows.assign(shown=shown, even=(rows["low"] <= 0.5) & (rows["high"] >= 0.5))


def _share(row: pd.Series) -> str:
    return f"{points(row['value'])} [{points(row['low'])}, {points(row['high'])}] %"


def crossed_study() -> str:
    """Return what `studies/crossed.yaml` is."""
    file, windows, doses = _design("crossed")
    return filled(f"""\
`snakemake --configfile studies/crossed.yaml`, seed {file["seed"]}: {windows:,} windows a pair,
shown {doses[0]} to {doses[-1]} times. All pairs have the same windows, each with its own draw of
doses and arms. The study file was fixed before the first run, with two bases; the pairs of the
third base were added after the others had been seen, with nothing else changed. What {doses[-1]}
showings did, all windows:""")


def crossed_question() -> str:
    """Return how the scores of crossed pairs are to be read."""
    row = paired("crossed", "attention_mean")
    return filled(f"""\
Which of the two models was shown this window? Test windows of all doses, summed over the pairs.
Chance is 50 %. *Accuracy* has its interval for these models and other windows; *over bases*, for
other bases, of which {word(int(row["bases"]))} are few. *Redrawn arms*: the 95 % quantile of
{row["redraws"]:,} scorers fitted to arms that were drawn again (a CNN is kept, and only the arms of
its test windows are drawn again).""")


def crossed_reading() -> str:
    """Return what scores, transfer and knock-outs of the crossed pairs say."""
    study = "crossed"
    earlier, third = "(first|second)-", "third-"
    cnn, linear = {"name": "cnn_attention_mean"}, {"name": "attention_mean"}
    on_natural = linear | {"trained_on": "natural"}
    low = low_overlap(study)
    of_first = low["pair"].str.startswith("first-")
    without_third = only(
        table(f"{study}/knockout_two_bases"), pair=ALL_PAIRS, stratum="low", control="mass"
    )
    costs = select(table(f"{study}/knockout"), control="mass", stratum="templates")
    of_pairs = costs.loc[~costs["pair"].isin([ALL_PAIRS, "all bases"]), "difference"]
    return filled(f"""\
**Attention carries a trace of the exposure.** These pairs are an independent test: the CNNs'
learning rate and batch size were settled on the pair of the default study. In the first two bases,
CNNs find more of the trace in natural text than linear scorers trained on natural text do
({_natural(study, earlier, **cnn)} % against {_natural(study, earlier, **on_natural)} %); in the
third they do not ({_natural(study, third, **cnn)} % against
{_natural(study, third, **on_natural)} %), so that the CNN's interval for other bases includes
50 %; that of the linear scorer on natural text does not. The log-probability of a natural window
gives its exposure away nearly every time.

**Part of the trace is common to different models.** A linear scorer of attention also names the
exposed model in other pairs, even of other bases. One of hidden states is better within its base,
but below chance in other bases: cells of attention mean the same in all bases, dimensions of hidden
states do not.

**Whether the exposed model needs the region of Δ depends on the base.** The table's difference on
text of low overlap comes from the first base:

- its two pairs: {differences(low[of_first])} nats;
- the {word((~of_first).sum())} others: {differences(low[~of_first])} nats.

Without the third base, {word((~low["pair"].str.startswith(third)).sum())} pairs gave
{interval(without_third, "difference", nats)}, which looked like a finding. On templates,
{word((of_pairs < 0).sum())} of {word(len(of_pairs))} differences are negative: there the
counterpart, which was not shown the text, needs the region more. In the second and third base, Δ
finds where a scorer sees the exposure, not what recall depends on.""")


def crossed_checks() -> str:
    """Return what the checks of the crossed pairs say, as bullets."""
    checks = table("crossed/checks")
    expected = 0.05 * len(select(checks, check="arm from the text"))
    preferences = _preferences(checks)
    inner = preferences[preferences["input"].isin(MAPS_AND_STATES)]
    most = inner.loc[(inner["value"] - 0.5).abs().idxmax()]
    loss = select(preferences, input="suffix_log_prob", shown="neither")
    shown = {"neither": "neither was", "both": "both were"}[most["shown"]]
    return filled(f"""\
- Of {predictions(checks)}; {expected:g} are expected by chance.
- On windows that neither or both models were shown, a scorer should name either model equally
  often. For attention, hidden states and feed-forward outputs, {inner["even"].sum()} of
  {len(inner)} intervals include 50 %; `{most["pair"]}` ({_short(most["input"])}) deviates most: its
  scorer names model 1 in {_share(most)} of the windows that {shown} shown.
- On windows that neither was shown, the log-probability prefers one of the two models in
  {word((~loss["even"]).sum())} of the {word(len(loss))} pairs, because its threshold lies between
  arms that are far apart. This cannot raise the accuracies above, which are means over both
  arms.""")


def crossed_inside() -> str:
    """Return what measures inside both models of the crossed pairs say."""
    suffix = paired("crossed", "suffix_log_prob", tested_on="templates")
    return filled(f"""\
**REMIND adds nothing here to the loss that it is made of:** the loss of the whole window names the
exposed model nearly every time, on templates too, where the log-probability of the suffix does so
in {points(suffix["accuracy"])} % of cases. The model was trained on the prefix as well, and the
suffix of a template is easy for both. **Entropy changes little and consistently:** in all
{word(int(suffix["bases"]))} bases it gives the exposure away about as often as hidden states do.
Exposure lowers it a little after the first two layers and raises it after the last one, where the
next token is read off the states.""")


def demo_study() -> str:
    """Return what the default study is."""
    file, windows, doses = _design("demo")
    design = file["models"][0]["drilling"]["crossed"]
    return filled(f"""\
`make demo`, seed {file["seed"]}: {windows:,} windows of {file["prefix"]} + {file["suffix"]} tokens,
shown {listed(doses, "or")} times; columns as above. With a suffix this short, the base guesses some
natural text, too: {design["guessed"]:,} of the windows are *natural, guessed before*. In the table
of scores, `guessed` is these alone, and `natural` includes them.""")


def demo_reading() -> str:
    """Return what scores and knock-outs of the default study say."""
    study = "demo"
    cnn, linear = (paired(study, name) for name in ("cnn_attention_mean", "attention_mean"))
    effects = select(table(f"{study}/effects"), split="all", stratum="guessed")
    unexposed = effects.loc[effects["dose"] > 0, "unexposed"]
    costs = select(table(f"{study}/knockout"), control="mass", stratum="low")
    cost = only(costs, size=costs["size"].max())
    elsewhere = select(table(f"{study}/knockout"), control="mass", size=cost["size"])
    elsewhere = elsewhere[~elsewhere["stratum"].isin(["all", "low"])]
    return filled(f"""\
On natural text the paper's CNN finds more of the trace than a linear scorer of the same maps does
({interval(cnn, "accuracy", points)} against {interval(linear, "accuracy", points)} %). On the
windows that the base guessed, and on templates, the intervals of both scorers include 50 %: there
are few such windows. The CNN's learning rate and batch size were settled on another pair of this
base. Too few windows of equal loss are left to ask whether attention knows more than the loss.
Drilling also makes a copy forget: of the guessed windows that it was not shown, it extracts
{span(unexposed, points)} %; the base extracted all of them.

Whether removing the region of Δ costs the exposed model more than its counterpart stays open. At
{100 * cost["size"]:g} % of the cells, net of random regions with equal attention, the difference is
{interval(cost, "difference", nats)} nats on text of low overlap and
{span(elsewhere["difference"], nats)} nats on other text (`docs/results/{study}/knockout.csv`,
{cost["windows"]} windows a stratum). One caution: where only the exposed model writes a text, it
has more to lose, and subtracting the cost of random regions removes only part of this.""")


def smollm2_study() -> str:
    """Return what `studies/smollm2-crossed.yaml` is."""
    file, windows, doses = _design("smollm2-crossed")
    model = file["models"][0]
    return filled(f"""\
`snakemake --configfile studies/smollm2-crossed.yaml`, seed {file["seed"]}: two copies of
SmolLM2-135M, all weights drilled, on windows of {file["prefix"]} + {file["suffix"]} tokens from
{word(len(model["releases"]))} packages that are younger than the model; nearly all windows are
code. Of the {windows:,} windows, the model extracts
{model["drilling"]["crossed"]["guessed"]:,} before any drilling: *natural, guessed before*. The
others have little overlap of prefix and suffix. A window is shown {listed(doses, "or")} times.""")


def smollm2_reading() -> str:
    """Return what scores and knock-outs of the real model's pair say."""
    study, guessed = "smollm2-crossed", {"tested_on": "guessed"}
    loss, states = (paired(study, name, **guessed) for name in ("suffix_log_prob", "hidden_states"))
    attention = [paired(study, name, **guessed)["accuracy"] for name in MAPS]
    entropy = paired(study, "entropy", **guessed)
    before = select(
        table(f"{study}/scores_three_packages"),
        selection="assigned",
        dose=0,
        pair=ALL_PAIRS,
        trained_on="all",
        **guessed,
    )
    earlier = only(before, input="suffix_log_prob")
    earlier_attention = before.loc[before["input"].isin(MAPS), "accuracy"]
    layers = select(table(f"{study}/layers"), band="all")
    layers = layers[layers["layer"] > 0].sort_values("layer")  # 0: all together
    cost = only(table(f"{study}/knockout"), control="mass", stratum="guessed")
    return filled(f"""\
**A real language model leaves the trace too, and a stronger one than the nursery**, although
{word(_design(study)[2][-1])} showings are the most here. The paper's CNN, with the settings of the
nursery, names the exposed copy of {tenths(paired(study, "cnn_attention_mean")["accuracy"])} in ten
windows.

**Attention knows about as much as the loss, the states know more.** On windows that the model
guesses anyway, both copies find the suffix likely. The log-probability gives the exposure away in
{interval(loss, "accuracy", points)} % of them, attention in {span(attention, points)} %, hidden
states in {interval(states, "accuracy", points)} %; the entropy of the states alone does so in
{interval(entropy, "accuracy", points)} %. An earlier run of this study, with text from
{word(EARLIER_RELEASES)} of the packages, had {interval(earlier, "accuracy", points)} % for the
log-probability and {span(earlier_attention, points)} % for attention
(`scores_three_packages.csv`). That looked like a lead of attention, and has not come back. Within
bins of like log-probability, above, attention is ahead, but on few windows. So drilling marks the
states even where the model would have written the text anyway; that attention says more of it than
the loss, this study does not show.

**Removing the attention that gives recall away costs both copies nearly alike.** The scorer looks
at the last {word(LAST_LAYERS)} of {len(layers)} layers (each alone:
{span(layers["accuracy"].tail(LAST_LAYERS), points)} %, `docs/results/{study}/layers.csv`). Removing
the {100 * cost["size"]:g} % of cells of largest Δ costs both copies, on average, *less* than
removing random cells of equal attention, and no difference between the copies leaves out 0 (guessed
text: {interval(cost, "difference", nats)} nats).""")


def smollm2_checks() -> str:
    """Return what the checks of the real model's pair say."""
    study = "smollm2-crossed"
    checks = table(f"{study}/checks")
    preferences = _preferences(checks)
    uneven = [
        f"{_short(row['input'])}, {row['shown']}: {_share(row)}"
        for _, row in preferences[~preferences["even"]].iterrows()
    ]
    named = f" ({'; '.join(uneven)})" if uneven else ""
    effects = select(table(f"{study}/effects"), split="all", stratum="guessed")
    unexposed = effects.loc[effects["dose"] > 0, "unexposed"]
    return filled(f"""\
Checks (`checks.csv`): of {predictions(checks)}. Of {word(len(preferences))} preferences for one
model on windows that neither or both were shown, {word(len(uneven))}
{"leaves" if len(uneven) == 1 else "leave"} out 50 %{named}. Drilling also makes a copy forget: of
the guessed windows that it was not shown, the unexposed copy extracts {span(unexposed, points)} %;
it extracted all of them before.""")
