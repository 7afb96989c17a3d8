"""What the explorer's page says: samples with their texts, maps and predictions, and Δ of every
taxonomy.

All values come from the study's files; nothing is computed again but quantised maps, class
probabilities and shares of Δ.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from engram.cnn.assembly import usable_samples
from engram.explorer.blocks import Blocks
from engram.explorer.knockout import read_knockout
from engram.explorer.maps import encode, quantize
from engram.explorer.predictions import sample_probabilities
from engram.explorer.selection import choose_samples, share
from engram.explorer.settings import ExplorerSettings
from engram.explorer.text import Words, facts
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_selected
from engram.lm.models import load_tokenizer
from engram.saliency.file import Saliency, read_saliency
from engram.store.attention_file import POOLINGS
from engram.store.index import AttentionStore
from engram.taxonomy.pool import pool, read_shown
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.truth import truth

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaxonomyEntry:
    """A taxonomy as the page offers it."""

    name: str
    """As the paper writes it."""
    classes: Sequence[str]
    """The K class names in the order of the logits."""
    colors: Sequence[str]
    """Of the classes, `#rrggbb`."""


@dataclass(frozen=True)
class ExplorerStudy:
    """A study as the page shows it."""

    root: Path
    """results/<study>."""
    name: str
    """Name of the study."""
    prefix: int
    """Tokens of the prefix."""
    models: Sequence[str]
    """Models in the order in which the page offers them."""
    protocols: Sequence[str]
    """Protocols in the page's order."""
    taxonomies: Mapping[str, TaxonomyEntry]
    """Slug → taxonomy, in the page's order."""
    localized: Sequence[str]
    """Slugs of the taxonomies whose Δ was computed."""
    methods: Sequence[str]
    """Saliency methods, the first is shown first."""
    knocked_out: Sequence[str]
    """Slugs of the taxonomies whose classes were knocked out."""
    page: ExplorerSettings
    """Size of the page."""


def collect(study: ExplorerStudy) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the study as the page needs it, and its blocks of maps.

    Samples come first; Δ of the taxonomies follows in their order as long as the page stays within
    its size, and the page says of those that are left out that they are.

    Raises:
        EngramError: a file is missing or does not fit the others, or the samples alone are too
            large.
    """
    blocks = Blocks(study.page)
    shares = share(study.page.samples, study.models)
    models = [
        _model(study, name, shares[name], f"m{i}", blocks) for i, name in enumerate(study.models)
    ]
    for model in models:
        for view in model["views"]:
            _add_delta(study, model["name"], view, blocks)
    return {
        "study": study.name,
        "prefix": study.prefix,
        "methods": list(study.methods),
        "models": models,
    }, blocks.texts


def _model(
    study: ExplorerStudy, name: str, number: int, prefix: str, blocks: Blocks
) -> dict[str, Any]:
    """Return one model: its views (protocol × taxonomy) and its samples; their maps go into the
    blocks.
    """
    folder = study.root / name
    verification = read_parquet(folder / "attention" / "verification.parquet")
    held_out = _held_out(study, folder, verification)
    chosen = choose_samples(held_out, number)
    if not len(chosen):
        raise EngramError(
            f"explorer: model {name} has no sample in a test split; take more samples per class"
        )
    shown = held_out[held_out["sequence_id"].isin(chosen)]
    store = AttentionStore(folder / "attention" / "index.parquet")
    header = store.header
    texts = _read_texts(folder, chosen, shown)
    known = _read_known(folder, chosen, verification)
    words = Words(load_tokenizer(folder / "model"))
    views = _views(study)
    places = _places(folder, views, shown)
    for position, view in enumerate(views):
        _add_knockout(study, folder, position, view, header.layers, places)
    samples = []
    for position, sequence in enumerate(
        tqdm(chosen.tolist(), desc=f"samples of {name}", unit="sample", mininterval=2)
    ):
        block = f"{prefix}-s{position}"
        packed, maxima = _maps(store, sequence)
        blocks.require(block, packed, f"{position} of {len(chosen)} samples of {name}")
        text, row = texts.loc[sequence], known.loc[sequence]
        samples.append(
            {
                # As text: JavaScript's numbers are doubles and change ids beyond 2^53.
                "id": str(sequence),
                **_said(text, words, header.opening, study.prefix),
                "truth": row["truth"],
                "facts": facts(row, bool(text["continued"])),
                "block": block,
                "maxima": maxima,
                "places": places[sequence],
            }
        )
    return {
        "name": name,
        "opening": len(header.opening),
        # First token of every row, only where rows are not single tokens.
        **({"edges": header.spans.edges.tolist()} if header.block > 1 else {}),
        "layers": header.layers,
        "poolings": list(POOLINGS),
        "views": views,
        "samples": samples,
    }


def _read_texts(folder: Path, chosen: np.ndarray, shown: pd.DataFrame) -> pd.DataFrame:
    """Return the texts of samples, by sequence_id: tokens and continued of the text shown
    (`engram.taxonomy.pool.pool`), corpus (the tokens of its true text).
    """
    candidates, continuations = (
        read_selected(folder / f"{file}.parquet", chosen, ["sequence_id", "tokens"])
        for file in ("candidates", "continuations")
    )
    display = read_shown(folder / "continuations.parquet")
    texts = pool(shown, candidates, continuations, display).set_index("sequence_id")
    return texts.assign(corpus=candidates.set_index("sequence_id")["tokens"])


def _read_known(folder: Path, chosen: np.ndarray, verification: pd.DataFrame) -> pd.DataFrame:
    """Return what labels and verification know of samples, by sequence_id, and their truth."""
    labels = read_parquet(folder / "labels.parquet")
    if "twin_extracted" not in labels and "twin_extracted" in verification:
        labels = labels.merge(verification[["sequence_id", "twin_extracted"]])
    known = labels[labels["sequence_id"].isin(chosen)].assign(
        truth=lambda rows: truth(rows) if "twin_extracted" in rows else None
    )
    # Labels may hold the same measures of the corpus's text; the page shows those of the text whose
    # attention it shows.
    measured = verification.drop(columns="twin_extracted", errors="ignore").set_index("sequence_id")
    return (
        known.set_index("sequence_id")
        .drop(columns=measured.columns, errors="ignore")
        .join(measured, how="inner")
    )


def _views(study: ExplorerStudy) -> list[dict[str, Any]]:
    """Return every taxonomy under every protocol, as the page offers them of each model."""
    return [
        {
            "protocol": protocol,
            "taxonomy": slug,
            "name": entry.name,
            "classes": list(entry.classes),
            "colors": list(entry.colors),
        }
        for protocol in study.protocols
        for slug, entry in study.taxonomies.items()
    ]


def _maps(store: AttentionStore, sequence: int) -> tuple[str, dict[str, list[float]]]:
    """Return the block of a sample's maps, and the maxima of their layers, by pooling."""
    levels, maxima = [], {}
    for pooling in POOLINGS:
        bytes_, largest = quantize(store.read(np.array([sequence]), pooling)[0])  # (L, P), (L,)
        levels.append(bytes_)
        maxima[pooling] = largest.tolist()
    return encode(np.stack(levels)), maxima


def _said(text: pd.Series, words: Words, opening: Sequence[int], prefix: int) -> dict[str, Any]:
    """Return the words of the text shown, those of the corpus where it differs, and which tokens of
    the suffixes are equal.
    """
    tokens, corpus = text["tokens"], text["corpus"]
    return {
        "tokens": words.of([*opening, *tokens]),
        "corpus": words.of(corpus[prefix:]) if text["continued"] else None,
        "matched": [int(a == b) for a, b in zip(tokens[prefix:], corpus[prefix:], strict=True)],
    }


def _held_out(study: ExplorerStudy, folder: Path, verification: pd.DataFrame) -> pd.DataFrame:
    """Test samples of all taxonomies and protocols that the CNNs were scored on: protocol,
    taxonomy, sequence_id, class, priority.
    """
    frames = []
    for protocol in study.protocols:
        drop = PROTOCOLS[protocol].drop_unverified
        for slug in study.taxonomies:
            samples = read_parquet(folder / protocol / "samples" / f"{slug}.parquet")
            usable = usable_samples(samples, verification, drop)
            test = usable[usable["split"] == "test"]
            frames.append(test.assign(protocol=protocol, taxonomy=slug))
    return pd.concat(frames, ignore_index=True)


def _places(
    folder: Path, views: Sequence[Mapping[str, Any]], shown: pd.DataFrame
) -> dict[int, dict[str, Any]]:
    """Return for each sample, view number → the class it has there and what the CNNs say of it."""
    places: dict[int, dict[str, Any]] = {
        int(sequence): {} for sequence in shown["sequence_id"].unique()
    }
    for number, view in enumerate(views):
        mine = shown[
            (shown["protocol"] == view["protocol"]) & (shown["taxonomy"] == view["taxonomy"])
        ]
        predictions = read_parquet(
            folder / view["protocol"] / "cnns" / view["taxonomy"] / "predictions.parquet"
        )
        said = sample_probabilities(predictions, mine["sequence_id"].to_numpy())
        for sequence, name in zip(mine["sequence_id"].tolist(), mine["class"], strict=True):
            places[sequence][str(number)] = {
                "class": view["classes"].index(name),
                "runs": said.get(sequence, []),
            }
    return places


def _add_knockout(
    study: ExplorerStudy,
    folder: Path,
    number: int,
    view: dict[str, Any],
    layers: int,
    places: dict[int, dict[str, Any]],
) -> None:
    """Give a view its knock-out, and its samples theirs; nothing where none was made."""
    view["knockout"] = None
    if view["taxonomy"] not in study.knocked_out:
        return
    stem = folder / view["protocol"] / "knockout" / view["taxonomy"]
    view["knockout"], losses = read_knockout(stem, view["classes"], layers, np.array(list(places)))
    for sequence, loss in losses.items():
        if str(number) in places[sequence]:
            places[sequence][str(number)]["knockout"] = loss


def _add_delta(study: ExplorerStudy, model: str, view: dict[str, Any], blocks: Blocks) -> None:
    """Give a view Δ by every method, or say why it has none."""
    view["delta"], view["without_delta"] = [], ""
    if view["taxonomy"] not in study.localized:
        view["without_delta"] = "Δ was not computed for this taxonomy; add it to saliency.localize."
        return
    path = study.root / model / view["protocol"] / "saliency" / f"{view['taxonomy']}.h5"
    for method in study.methods:
        found = read_saliency(path, method)
        levels, maxima = quantize(found.delta)  # (K, L, P), (K, L)
        block = f"d-{model}-{view['protocol']}-{view['taxonomy']}-{method}"
        if not blocks.add(block, encode(levels)):
            log.warning(
                "%s: Δ (%s) does not fit into %g MB and is left out of the page",
                path,
                method,
                study.page.megabytes,
            )
            view["without_delta"] = (
                f"Δ ({method}) did not fit into this page; lower explorer.samples or raise "
                f"explorer.megabytes."
            )
            continue
        entry = {
            "method": method,
            "block": block,
            "maxima": maxima.tolist(),
            "n": found.n,
            "cnns": len(found.cnns),
            **_profile(found),
        }
        view["delta"].append(entry)


def _profile(found: Saliency) -> dict[str, list[list[float]]]:
    """Return the share of each layer in Δ, (K, L) lists: mean, least and largest over the CNNs that
    have a Δ of the class; 0 where none has.
    """
    totals = found.profile.sum(axis=-1, keepdims=True)  # (C, K, 1)
    alive = totals > 0
    shares = np.divide(
        found.profile, totals, where=alive, out=np.full(found.profile.shape, np.nan, np.float32)
    )
    shares[:, ~alive.any(axis=0)[:, 0]] = 0
    bounds = {
        "share": np.nanmean(shares, axis=0),
        "low": np.nanmin(shares, axis=0),
        "high": np.nanmax(shares, axis=0),
    }
    return {
        name: [[round(float(value), 5) for value in row] for row in values]
        for name, values in bounds.items()
    }
