"""What the page of crossed pairs says: windows with the maps of both models, what the models make
of them, and which of the models the scorers name.

All values come from the study's files; nothing is computed again but quantised maps, the
difference of two maps, and the outcome of a window in words."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from engram.crossed.accuracy import hits
from engram.crossed.pair import ASSIGNED, EXTRACTED, RECALLED, SCOPES
from engram.explorer.blocks import MEGABYTE, Blocks
from engram.explorer.maps import encode, quantize, quantize_signed
from engram.explorer.page import PAIRS, render
from engram.explorer.selection import choose_samples, share
from engram.explorer.settings import ExplorerSettings
from engram.explorer.text import Words
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.io.hdf5 import open_hdf5, read_group
from engram.io.streams import read_selected
from engram.lm.models import load_tokenizer
from engram.nursery.arms import FIRST, SECOND, STRATA
from engram.store.attention_file import POOLINGS
from engram.store.index import AttentionStore

log = logging.getLogger(__name__)

NEITHER, DRIFT, BY_ONE = "extracted by neither", "drift", "extracted by one"
OUTCOMES = (RECALLED, EXTRACTED, NEITHER, DRIFT, BY_ONE)
"""Names of what both models make of a window; see `outcome_names`."""
SHOWN_TO = ("first", "second", "both", "placebo")
"""The arms in the page's order."""
MAPS = ("first", "second", "difference")
"""The maps of a window in the order of its block: of both models, and model 1 − model 2."""
REPORT_MEGABYTES = 1.5
"""Size of a page, in 10⁶ bytes, whose address is shorter than 2 MiB in base 64."""
_CELL = ("stratum", "class", "outcome")


@dataclass(frozen=True)
class PairStudy:
    """A study of crossed pairs as the page shows it."""

    root: Path
    """results/<study>."""
    name: str
    """Name of the study."""
    prefix: int
    """Tokens of the prefix."""
    seed: int
    """Of the study; it draws the windows that are shown."""
    pairs: Mapping[str, str]
    """Model 1 → model 2 of every pair, in the page's order."""
    page: ExplorerSettings
    """Size of the page."""


def collect_pairs(study: PairStudy) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the pairs as the page needs them, and its blocks of maps.

    A pair whose windows would fill more than its share of the page has fewer of them, and the page
    says so; the first ones are equally many from every stratum, arm and outcome.

    Raises:
        EngramError: a file is missing or damaged, a pair has no test window, or not one window of
            every pair fits into the page.
    """
    blocks = Blocks(study.page)
    shares = share(study.page.samples, list(study.pairs))
    pairs = [
        _pair(study, name, shares[name], number, blocks) for number, name in enumerate(study.pairs)
    ]
    present = {entry["stratum"] for pair in pairs for entry in pair["windows"]}
    return {
        "study": study.name,
        "prefix": study.prefix,
        "strata": [name for name in STRATA if name in present],
        "arms": list(SHOWN_TO),
        "outcomes": list(OUTCOMES),
        "pairs": pairs,
        "whole": 0,
    }, blocks.texts


def report_edition(
    study: Mapping[str, Any], blocks: Mapping[str, str], megabytes: float = REPORT_MEGABYTES
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the pairs as the report shows them: the first windows of every pair, as many as fit.

    The report holds its pages in their addresses, and Chromium shows none whose address is longer
    than 2 MiB. The first windows are again equally many from every stratum, arm and outcome,
    because they were taken in turn.

    Args:
        study: as `collect_pairs` returns it.
        blocks: of it.
        megabytes: largest size of the page, in 10⁶ bytes; a page of one window per pair may be
            larger.
    """
    most = max(len(pair["windows"]) for pair in study["pairs"])

    def first(number: int) -> tuple[dict[str, Any], dict[str, str]]:
        pairs = [{**pair, "windows": pair["windows"][:number]} for pair in study["pairs"]]
        names = {pair["delta"]["block"] for pair in pairs}
        names |= {window["block"] for pair in pairs for window in pair["windows"]}
        edition = {**study, "pairs": pairs, "whole": most if number < most else 0}
        return edition, {name: text for name, text in blocks.items() if name in names}

    def too_large(number: int) -> bool:
        return len(render(*first(number), PAIRS).encode()) > megabytes * MEGABYTE

    fitting = bisect_left(range(1, most + 1), True, key=too_large)
    return first(max(1, fitting))


def outcome_names(windows: pd.DataFrame) -> np.ndarray:
    """Return what both models make of each window, one of `OUTCOMES`, (n,).

    `recalled in one`: the model that was shown the window extracts it and the other does not;
    `drift`: the other way round; `extracted by one`: one of two models of which neither or both
    were shown it.

    Args:
        windows: as `engram.crossed.effects.outcomes` gives them.
    """
    arm = windows["arm"].to_numpy()
    first, second = (windows[f"extracted_{number}"].to_numpy(bool) for number in (1, 2))
    exposed = np.where(arm == FIRST, first, second)
    single = np.isin(arm, (FIRST, SECOND))
    return np.select(
        [first & second, ~(first | second), ~single, exposed],
        [EXTRACTED, NEITHER, BY_ONE, RECALLED],
        DRIFT,
    )


def choose_windows(windows: pd.DataFrame, number: int, seed: int) -> np.ndarray:
    """Return sequence_id of the test windows that the page shows, int64: the same number from every
    stratum, arm and outcome, those of the lowest permanent random number.

    Args:
        windows: as `engram.crossed.effects.outcomes` gives them.
        number: most windows.
        seed: of the study.
    """
    test = windows[windows["split"] == "test"]
    ids = test["sequence_id"].to_numpy()
    test = test.assign(
        outcome=outcome_names(test),
        stratum=pd.Categorical(test["stratum"], STRATA),
        priority=uniform(ids, seed, "explorer"),
        **{"class": pd.Categorical(test["class"], SHOWN_TO)},
    )
    return choose_samples(test.sort_values(list(_CELL)), number, _CELL)


def _pair(study: PairStudy, name: str, most: int, place: int, blocks: Blocks) -> dict[str, Any]:
    """Return one pair: its scorers, Δ and windows, at most so many; maps go into the blocks."""
    prefix, room = f"p{place}", (place + 1) / len(study.pairs)
    models = (name, study.pairs[name])
    folder = study.root / name / "crossed"
    windows = read_parquet(folder / "windows.parquet")
    chosen = choose_windows(windows, most, study.seed)
    if not len(chosen):
        raise EngramError(f"{folder / 'windows.parquet'}: it has no test window; take more windows")
    stores = [
        AttentionStore(study.root / model / "crossed" / "attention" / "index.parquet")
        for model in models
    ]
    header = stores[0].header
    scorers, says = _scorers(folder, windows, chosen)
    delta = _delta(folder, prefix, blocks)
    columns = ["sequence_id", "tokens", "kind", "source"]
    texts = read_selected(study.root / name / "candidates.parquet", chosen, columns)
    words = Words(load_tokenizer(study.root / name / "model"))
    known = windows.assign(outcome=outcome_names(windows)).set_index("sequence_id")
    known = known.join(texts.set_index("sequence_id"), how="inner")
    entries: list[dict[str, Any]] = []
    for position, sequence in enumerate(
        tqdm(chosen.tolist(), desc=f"windows of {name}", unit="window", mininterval=2)
    ):
        row, block = known.loc[sequence], f"{prefix}-w{position}"
        levels, maxima = _maps(stores, sequence)
        done, text = f"{position} of {len(chosen)} windows of the pair {name}", encode(levels)
        if not entries:
            blocks.require(block, text, done)
        elif not blocks.add(block, text, room):
            log.warning("explorer: %s fit into its %g MB", done, study.page.megabytes)
            break
        entries.append(
            {
                # As text: JavaScript's numbers are doubles and change ids beyond 2^53.
                "id": str(sequence),
                "label": row["source"] if row["kind"] == "natural" else f"{row['kind']} template",
                "tokens": words.of([*header.opening, *row["tokens"]]),
                "stratum": row["stratum"],
                "dose": int(row["dose"]),
                "arm": row["class"],
                "outcome": row["outcome"],
                "exposures": [int(row[f"exposures_{model}"]) for model in (1, 2)],
                "base_extracted": bool(row["base_extracted"]),
                "extracted": [bool(row[f"extracted_{model}"]) for model in (1, 2)],
                "suffix_log_prob": [_number(row[f"suffix_log_prob_{model}"]) for model in (1, 2)],
                "facts": _facts(row),
                "says": says.get(sequence),
                "block": block,
                "maxima": maxima,
            }
        )
    return {
        "name": name,
        "models": list(models),
        "opening": len(header.opening),
        "layers": header.layers,
        "poolings": list(POOLINGS),
        "maps": list(MAPS),
        "scorers": scorers,
        "delta": delta,
        "profile": _profile(folder, header.layers),
        "windows": entries,
        "wanted": len(chosen),
    }


def _maps(
    stores: list[AttentionStore], sequence: int
) -> tuple[np.ndarray, dict[str, list[list[float]]]]:
    """Return the maps of one window as bytes (poolings, maps, L, P), and by pooling the maximum of
    every map and layer.

    The difference is taken before it is quantised, because it is smaller than a step of either map.
    """
    levels, maxima = [], {}
    for pooling in POOLINGS:
        first, second = (
            store.read(np.array([sequence]), pooling)[0].astype(np.float32) for store in stores
        )  # (L, P) each
        quantised = [quantize(first), quantize(second), quantize_signed(first - second)]
        levels.append(np.stack([bytes_ for bytes_, _ in quantised]))
        maxima[pooling] = [largest.tolist() for _, largest in quantised]
    return np.stack(levels), maxima


def _scorers(
    folder: Path, windows: pd.DataFrame, chosen: np.ndarray
) -> tuple[list[dict[str, Any]], dict[int, list[dict[str, float]]]]:
    """Return the scorers of a pair, and what each says of each window that one model was shown.

    Returns:
        scorers: input, trained_on, accuracy (on all test windows; None where the table has none),
            largest (absolute score of any test window).
        says: sequence_id → for every scorer, in their order, score (above 0: model 1 was shown it)
            and right (1, 0, or ½ for a tie).
    """
    decisions = read_parquet(folder / "decisions.parquet")
    table = pd.read_csv(folder / "scores.csv")
    whole = (table["tested_on"] == "all") & (table["dose"] == 0) & (table["selection"] == ASSIGNED)
    reached = table[whole].set_index(["input", "trained_on"])["accuracy"]
    sign = windows.set_index("sequence_id")["arm"].map({FIRST: 1, SECOND: -1})
    scorers: list[dict[str, Any]] = []
    says: dict[int, list[dict[str, float]]] = {int(sequence): [] for sequence in chosen}
    for name in decisions["input"].unique():
        for scope in SCOPES:
            rows = decisions[(decisions["input"] == name) & (decisions["trained_on"] == scope)]
            if rows.empty:
                continue
            key = (name, scope)
            scorers.append(
                {
                    "input": name,
                    "trained_on": scope,
                    "accuracy": _number(reached.loc[key]) if key in reached.index else None,
                    "largest": _number(rows["score"].abs().max()),
                }
            )
            score = rows.set_index("sequence_id")["score"]
            score = score[score.index.isin(chosen)]
            right = hits(score.to_numpy(), sign.loc[score.index].to_numpy())
            for sequence, value, hit in zip(score.index, score, right, strict=True):
                says[int(sequence)].append({"score": _number(value), "right": float(hit)})
    return scorers, {sequence: of_scorers for sequence, of_scorers in says.items() if of_scorers}


def _delta(folder: Path, prefix: str, blocks: Blocks) -> dict[str, Any]:
    """Return Δ of a pair: the name of its block, its largest absolute values by layer, and the
    pooling of the attention that it was computed of.
    """
    with open_hdf5(folder / "delta.h5") as file:
        arrays, attributes = read_group(file)
    levels, maxima = quantize_signed(arrays["delta"])  # (L, P), (L,)
    block = f"{prefix}-delta"
    blocks.require(block, encode(levels), "Δ and the pairs before it")
    return {"block": block, "maxima": maxima.tolist(), "pooling": attributes["pooling"]}


def _profile(folder: Path, layers: int) -> dict[str, list[float]]:
    """Return the share of every layer in Δ, and that share less and plus its standard deviation
    over halves of the clusters; L values each.
    """
    path = folder / "layers.csv"
    table = pd.read_csv(path)
    table = table[(table["band"] == "all") & (table["layer"] > 0)].set_index("layer")
    if table.index.tolist() != list(range(1, layers + 1)):
        raise EngramError(
            f"{path}: it has the layers {table.index.tolist()}, the attention has {layers}; delete "
            f"it, and it is made again"
        )
    center, deviation = table["delta"], table["delta_sd"]
    bounds = {"share": center, "low": center - deviation, "high": center + deviation}
    return {name: [_number(value) for value in values] for name, values in bounds.items()}


def _facts(row: pd.Series) -> list[list[str]]:
    """Return pairs of name and value of what the design knows of a window."""
    return [
        ["Source", str(row["source"])],
        ["Kind of text", str(row["kind"])],
        [
            "Overlap of prefix and suffix (the larger of ROUGE-L and ROUGE-3)",
            f"{row['overlap']:.2f}",
        ],
        ["Dose (showings)", str(int(row["dose"]))],
        ["Cluster (windows that share documents or runs of tokens)", str(row["cluster"])],
    ]


def _number(value: float) -> float:
    """Return a number with six significant digits, as tables for people have it."""
    return float(f"{value:.6g}")
