"""A study's files without its work: real windows, made-up attention, predictions and Δ, of any
number of layers.

Everything is written by the code that writes it in a study, so that formats cannot drift apart.
Attention has what trained heads have: a first token that takes what is left, short distances, and
tokens that look where the text said the same before.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from engram.explorer.content import ExplorerStudy, TaxonomyEntry
from engram.explorer.settings import ExplorerSettings
from engram.io.artifacts import read_parquet, write_csv, write_parquet
from engram.io.packing import pack, packed_length
from engram.io.spans import Spans
from engram.knockout.effects import effect_table
from engram.knockout.trials import COLUMNS
from engram.saliency.file import Saliency, write_saliency
from engram.store.attention_file import KEY_BYTES, Header, new_attention_file
from engram.store.index import read_verification, write_index
from engram.taxonomy.taxonomy import Taxonomy

ROOT = Path(__file__).parents[2]
NURSERY = ROOT / "resources" / "nursery"
PREFIX, TOKENS = 32, 64
FIRST_ID = 7_076_739_947_371_468_397
"""Beyond 2^53: a consumer of doubles shows other ids."""
COLORS = ("#555555", "#e69f00", "#332288", "#d55e00")
NAMES = ("Non-Memo, Guess, Others", "Non-Memo, Recite[5], Reconstruct, Others")
TAXONOMIES = {
    taxonomy.slug: TaxonomyEntry(
        taxonomy.name, taxonomy.class_names, COLORS[: len(taxonomy.class_names)]
    )
    for taxonomy in map(Taxonomy.parse, NAMES)
}


def attention(
    tokens: np.ndarray, layers: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and max over heads of what is read of one sample (T,), packed, (L, P) each."""
    side = len(tokens)
    distance = np.subtract.outer(np.arange(side), np.arange(side))  # (T, T), query − key
    copied = np.zeros((side, side))
    copied[:, 1:] = tokens[:, None] == tokens[None, :-1]  # the token after an equal one
    depth = np.linspace(0, 1, layers)[:, None, None]  # (L, 1, 1)
    scores = (2.5 - depth) * np.exp(-np.abs(distance - 1) / (1 + 3 * depth)) + 5 * np.exp(
        -np.square(depth - 0.7) / 0.03
    ) * copied
    scores = scores + 2 * (np.arange(side) == 0) + random.normal(0, 0.5, (layers, side, side))
    weights = np.where(distance >= 0, np.exp(scores), 0)
    mean = weights / weights.sum(axis=-1, keepdims=True)  # (L, T, T)
    return pack(mean), np.minimum(1, 1.8 * pack(mean) ** 0.8)


def write_study(
    root: Path,
    models: tuple[str, ...] = ("nursery",),
    layers: int = 4,
    per_class: int = 6,
    protocols: tuple[str, ...] = ("engram",),
    methods: tuple[str, ...] = ("guided",),
    samples: int = 12,
    megabytes: float = 25,
    openings: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    block: int = 1,
) -> ExplorerStudy:
    """Writes results/<study> under `root`; `per_class` test samples of each class, and as many
    training samples. `openings`: special tokens that a model reads in front of every window;
    `block`: tokens of a row of the maps.
    """
    for number, name in enumerate(models):
        first = openings.get(name, ())
        _write_model(root / name, layers, per_class, protocols, methods, number, first, block)
    named = {
        "root": root,
        "name": "synthetic",
        "prefix": PREFIX,
        "models": models,
        "protocols": protocols,
    }
    found = {"localized": list(TAXONOMIES), "methods": methods, "knocked_out": list(TAXONOMIES)[:1]}
    page = ExplorerSettings(samples=samples, megabytes=megabytes)
    return ExplorerStudy(**named, taxonomies=TAXONOMIES, **found, page=page)


def _write_model(
    folder: Path,
    layers: int,
    per_class: int,
    protocols: tuple[str, ...],
    methods: tuple[str, ...],
    seed: int,
    first: tuple[int, ...],
    block: int,
) -> None:
    random = np.random.default_rng(seed)
    (folder / "model").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(NURSERY / name, folder / "model")
    windows = read_parquet(NURSERY / "windows.parquet").sample(
        8 * per_class, random_state=seed, ignore_index=True
    )
    windows["sequence_id"] += FIRST_ID
    ids, rows = windows["sequence_id"].to_numpy(), len(windows)
    memorized = np.arange(rows) % 4 > 0
    write_parquet(windows[["sequence_id", "tokens", "kind"]], folder / "candidates.parquet")
    labels = windows[["sequence_id", "kind"]].assign(
        memorization_score=np.where(memorized, 1.0, 0.25),
        rouge_l=random.random(rows),
        rouge_3=random.random(rows) / 2,
        is_code=True,
        is_repeating=False,
        is_incrementing=False,
        sequence_duplicates=np.arange(rows),
        exposures=np.arange(rows) % 40,
        twin_extracted=np.arange(rows) % 2 == 0,
        content_group=np.arange(rows),
        matched_fraction=0.5,
        suffix_log_prob=-9.0,  # of the corpus's text
    )
    write_parquet(labels, folder / "labels.parquet")
    tokens = np.stack(windows["tokens"].to_numpy())  # (n, T)
    tokens[~memorized, PREFIX + 8 :] = np.roll(tokens[~memorized, PREFIX + 8 :], 3, axis=1)
    texts = pd.DataFrame({"sequence_id": ids[~memorized], "tokens": list(tokens[~memorized])})
    write_parquet(texts, folder / "continuations.parquet")
    write_attention(folder / "attention", ids, tokens, layers, random, first, block)
    for protocol in protocols:
        lists = []
        for slug, entry in TAXONOMIES.items():
            kinds = len(entry.classes)
            number = np.where(memorized, 1 + np.arange(rows) % (kinds - 1), 0)
            mine = pd.DataFrame(
                {
                    "sequence_id": ids,
                    "class": np.array(entry.classes, object)[number],
                }
            )
            mine["split"], mine["priority"] = (
                np.where(np.arange(rows) // 4 % 2, "train", "test"),
                random.permutation(rows) / rows,
            )
            lists.append(mine)
            write_parquet(mine, folder / protocol / "samples" / f"{slug}.parquet")
            _write_predictions(
                folder / protocol / "cnns" / slug / "predictions.parquet",
                mine,
                number,
                kinds,
                random,
            )
            saliency = {
                method: _saliency(entry.classes, layers, random, len(first), block)
                for method in methods
            }
            write_saliency(folder / protocol / "saliency" / f"{slug}.h5", saliency, entry.name)
        first = lists[0]
        _write_knockout(
            folder / protocol / "knockout", first[first["split"] == "test"], layers, random
        )


def write_attention(
    folder: Path,
    ids: np.ndarray,
    tokens: np.ndarray,
    layers: int,
    random: np.random.Generator,
    first: tuple[int, ...],
    block: int = 1,
) -> None:
    """Writes an attention store of one shard with its index: made-up maps of tokens (n, T) behind
    the special tokens `first`, pooled in blocks.
    """
    sizes = (PREFIX, TOKENS - PREFIX, layers, 8)
    header = Header("synthetic", "0" * 24, "float32", *sizes, "float32", first, block)
    tokens = header.read_tokens(tokens)
    shard = folder / "shard-0.h5"
    with new_attention_file(shard, len(ids), header) as file:
        for position, sequence in enumerate(ids):
            mean, maximum = attention(tokens[position], layers, random)
            columns = {
                "key": np.full((1, KEY_BYTES), position % 256),
                "sequence_id": [sequence],
                "extracted": [True],
            }
            file.write(
                [position],
                {
                    "mean": header.spans.pool(mean[None], "mean"),
                    "max": header.spans.pool(maximum[None], "max"),
                },
                columns | {"matched_fraction": [1.0], "suffix_log_prob": [-1.5]},
            )
    write_index([shard], folder / "index.parquet")
    write_parquet(read_verification([shard]), folder / "verification.parquet")


def _write_predictions(
    path: Path, mine: pd.DataFrame, number: np.ndarray, kinds: int, random: np.random.Generator
) -> None:
    frames = []
    for source, labels, cnns, signal in (
        ("attention", "real", ("k6-f10-mean", "k6-f10-max", "k8-f10-mean"), 2.5),
        ("attention", "shuffled", ("k6-f10-mean",), 0.0),
        ("token_identity", "real", ("k6-f10-none",), 1.5),
    ):
        for cnn in cnns:
            logits = (
                random.normal(size=(len(mine), kinds)) + signal * np.eye(kinds)[number]
            ).astype(np.float32)
            run = {"input": source, "labels": labels, "cnn": cnn, "seed": 0, "epoch": 3}
            frames.append(
                mine[["sequence_id", "split", "class"]].assign(**run, logits=list(logits))
            )
    write_parquet(pd.concat(frames, ignore_index=True), path)


def _write_knockout(
    folder: Path, samples: pd.DataFrame, layers: int, random: np.random.Generator
) -> None:
    """Every layer and head, and one region with two draws, by the code that tabulates them; losses
    are random.
    """
    slug, entry = next(iter(TAXONOMIES.items()))
    units = [("layer", f"{layer + 1}") for layer in range(layers)] + [
        ("head", f"{la + 1}.{h + 1}") for la, h in np.ndindex(layers, 4)
    ]
    trials = [("intact", "", 0.0, 0), *((kind, name, 0.0, 0) for kind, name in units)]
    for kind, draws in (("delta", [0]), ("control_cells", [1, 2]), ("control_mass", [1, 2])):
        trials += [(kind, name, 0.01, draw) for name in entry.classes for draw in draws]
    names = pd.DataFrame([(*trial, "remove") for trial in trials], columns=list(COLUMNS))
    conditions = names.assign(condition=np.arange(len(names)), cells=10, mass=0.1)
    rows = conditions.merge(
        samples[["sequence_id", "class"]].assign(content_group=lambda frame: frame["sequence_id"]),
        how="cross",
    )
    intact = rows["kind"] == "intact"
    rows["extracted"] = np.where(intact, 1.0, random.random(len(rows)) < 0.6)
    rows["matched_fraction"] = np.where(intact, 1.0, random.random(len(rows)))
    rows["suffix_log_prob"] = np.where(intact, -1.5, -1.5 - random.exponential(3, len(rows)))
    table = effect_table(conditions, rows, entry.classes, resamples=100, confidence=0.95, seed=0)
    write_csv(table, folder / f"{slug}.csv")
    write_parquet(rows, folder / f"{slug}.parquet")


def _saliency(
    classes: tuple[str, ...], layers: int, random: np.random.Generator, opening: int, block: int
) -> Saliency:
    cnns, kinds = ["a/0", "b/0", "c/0"], len(classes)
    side = Spans(opening, PREFIX, TOKENS - PREFIX, block).rows
    distance = np.subtract(*np.tril_indices(side))  # (P,)
    bump = np.exp(
        -np.square(np.linspace(0, 1, layers) - np.linspace(0.2, 0.8, kinds)[:, None]) / 0.05
    )  # (K, L)
    band = np.exp(-np.abs(distance - 12 * np.arange(kinds)[:, None]) / 2)  # (K, P)
    delta = (
        0.02 * bump[..., None] * band[:, None] * random.random((kinds, layers, packed_length(side)))
    ).astype(np.float32)
    profile = delta.sum(axis=-1) * random.uniform(0.7, 1.3, (len(cnns), kinds, layers))
    binned = np.zeros((len(cnns), kinds, 1, layers, 4, side), np.float32)
    return Saliency(
        delta,
        0.1 * delta,
        profile.astype(np.float32),
        list(classes),
        cnns,
        [20] * kinds,
        0,
        [0] * kinds,
        prefix=PREFIX,
        binned=binned,
        attention=binned[0],
        sizes=np.full((kinds, 1), 20),
        opening=opening,
        block=block,
    )
