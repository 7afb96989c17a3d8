"""From files to a data set: the samples of one taxonomy with their texts and attention."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.cnn.dataset import Dataset
from engram.cnn.probes import scalar_features
from engram.cnn.text_rivals import text_features
from engram.store.attention_file import Header
from engram.store.hidden_states import Layers
from engram.store.index import AttentionStore
from engram.store.memory import Memory
from engram.taxonomy.pool import OWN, non_memorized, pool, reproduced

log = logging.getLogger(__name__)

_BLOCK = 256
"""Samples in memory at a time."""


def usable_samples(
    samples: pd.DataFrame, verification: pd.DataFrame, drop_unverified: bool
) -> pd.DataFrame:
    """Return the sample list of one taxonomy, without the samples that the model fails to reproduce
    where they are to be dropped. What is left of classes that were drawn equal is made equal again.

    Args:
        samples: the sample list.
        verification: sequence_id, extracted; see `engram.taxonomy.pool.reproduced`.
        drop_unverified: of the protocol.

    Returns:
        sequence_id, class, split, priority.
    """
    kept = _reproduced(samples, verification, drop_unverified)
    chosen = samples[kept & _balanced(samples, kept)]
    if not kept.all():
        log.info(
            "%d of %d samples are dropped: the model does not reproduce them; %d of other classes, "
            "so that all classes are equally large",
            (~kept).sum(),
            len(samples),
            kept.sum() - len(chosen),
        )
    return chosen[["sequence_id", "class", "split", "priority"]].reset_index(drop=True)


def left_out(
    samples: pd.DataFrame, verification: pd.DataFrame, drop_unverified: bool
) -> pd.DataFrame:
    """Return how many samples of every class `usable_samples` leaves out, by class: `dropped` (the
    model does not reproduce them) and `rebalanced` (so that classes are equally large again). The
    arguments are those of `usable_samples`.
    """
    kept = _reproduced(samples, verification, drop_unverified)
    reasons = {"dropped": ~kept, "rebalanced": kept & ~_balanced(samples, kept)}
    return pd.DataFrame(reasons).groupby(samples["class"].to_numpy()).sum()


def _reproduced(
    samples: pd.DataFrame, verification: pd.DataFrame, drop_unverified: bool
) -> np.ndarray:
    """Return which samples are not dropped, bool (n,)."""
    if not drop_unverified:
        return np.ones(len(samples), bool)
    measured = samples[["sequence_id"]].merge(verification, on="sequence_id", how="inner")
    memorized = ~measured["sequence_id"].isin(non_memorized(samples)).to_numpy()
    usable = measured.loc[reproduced(measured, memorized), "sequence_id"]
    return samples["sequence_id"].isin(usable).to_numpy()


def _balanced(samples: pd.DataFrame, kept: np.ndarray) -> np.ndarray:
    """Return which samples make classes equally large again, bool (n,): as many of each as the
    smallest class has kept, of the lowest priorities, as the draw took them. All, where the classes
    were not drawn equal, or a class has nothing left.
    """
    drawn, left = samples["class"].value_counts(), samples["class"][kept].value_counts()
    size = int(left.reindex(drawn.index, fill_value=0).min()) if len(drawn) else 0
    if drawn.nunique() != 1 or not size:
        return np.ones(len(samples), bool)
    rank = samples["priority"].where(kept).groupby(samples["class"]).rank(method="first")
    return (rank <= size).to_numpy()


def assemble(
    chosen: pd.DataFrame,
    classes: list[str],
    labels: pd.DataFrame,
    candidates: pd.DataFrame,
    continuations: pd.DataFrame,
    store: AttentionStore,
    memory: Memory,
    shown: str = OWN,
) -> Dataset:
    """Return the data set of chosen samples, in their order.

    Args:
        chosen: sequence_id, class, split.
        classes: the K class names, in the order of the logits.
        labels: sequence_id, content_group.
        candidates, continuations: sequence_id, tokens; see `engram.taxonomy.pool.pool`.
        store: attention of at least these sequences.
        memory: what the maps may take.
        shown: which text the samples show, see `engram.taxonomy.pool.displayed_own`.
    """
    ids = chosen["sequence_id"].to_numpy()
    texts = pool(chosen, candidates, continuations, shown).set_index("sequence_id")["tokens"]
    groups = labels.set_index("sequence_id")["content_group"]
    return Dataset(
        sequence_id=ids,
        content_group=groups.loc[ids].to_numpy(),
        tokens=store.header.read_tokens(np.stack(texts.loc[ids].tolist())),
        mean=memory.read(store, ids, "mean"),
        max=memory.read(store, ids, "max"),
        label=pd.Categorical(chosen["class"], categories=classes).codes.astype(np.int64),
        split=chosen["split"].to_numpy(dtype=object),
        classes=classes,
        spans=store.header.spans if store.header.block > 1 else None,
    )


def with_text(dataset: Dataset, header: Header, labels: pd.DataFrame) -> Dataset:
    """Return the data set with what the rivals of the text alone see, see
    `engram.cnn.text_rivals`.

    Args:
        dataset: of `assemble`.
        header: of the store whose attention it has.
        labels: of all candidates: sequence_id, and kind where the source knows kinds of text.
    """
    kinds = None
    if "kind" in labels:
        kinds = labels.set_index("sequence_id")["kind"].loc[dataset.sequence_id]
    tokens = dataset.tokens[:, len(header.opening) :]
    return replace(
        dataset, features={**dataset.features, **text_features(tokens, header.prefix, kinds)}
    )


def vary_alike(maps: np.ndarray, like: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Give maps the mean of others, cell by cell, and their spread, layer by layer, in place.

    Attention of permuted weights varies between texts an order of magnitude less than that of the
    model, and a CNN of the usual learning rate never leaves chance on it, whatever it holds. What
    would become negative becomes 0.

    Args:
        maps: (n, L, P), changed.
        like: (n, L, P).
        rows: of the training split, by which both are measured.

    Returns:
        The maps.
    """
    mean, spread = _moments(maps, rows)  # (L, P), (L,)
    target, wanted = _moments(like, rows)
    ratio = np.divide(wanted, spread, out=np.ones_like(spread), where=spread > 0)[:, None]
    for start in range(0, len(maps), _BLOCK):
        block = maps[start : start + _BLOCK]
        maps[start : start + _BLOCK] = np.maximum(target + (block - mean) * ratio, 0)
    return maps


def _moments(maps: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of every cell over rows, (L, P), and the root mean square deviation from it
    over the cells of every layer, (L,).
    """
    parts = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    shape = maps.shape[1:]
    mean = sum((maps[part].sum(axis=0, dtype=np.float64) for part in parts), np.zeros(shape))
    mean = mean / max(1, len(rows))
    squares = sum((((maps[part] - mean) ** 2).sum(axis=0) for part in parts), np.zeros(shape))
    return mean, np.sqrt(squares.mean(axis=1) / max(1, len(rows)))


def with_baselines(
    dataset: Dataset,
    baselines: Sequence[str],
    labels: pd.DataFrame,
    defining: set[str],
    random: AttentionStore | None,
    hidden: Path | None,
    memory: Memory,
) -> Dataset:
    """Return the data set with what its baselines see.

    Args:
        dataset: of `assemble`.
        baselines: names, see `engram.cnn.training.CnnSettings`.
        labels: of all candidates.
        defining: label columns that define the classes, which `scalar_features` may not see.
        random: attention of the model with permuted weights, for `random_weights`.
        hidden: file of hidden states, for `hidden_states`.
        memory: what the maps may take.
    """
    ids = dataset.sequence_id
    features: dict[str, Mapping[str, np.ndarray]] = {}
    if "scalar_features" in baselines:
        scalars = scalar_features(labels.set_index("sequence_id").loc[ids].reset_index(), defining)
        log.info("scalar features: %s", ", ".join(map(str, scalars)))
        features["scalar_features"] = {"logistic": scalars.to_numpy()}
    if "hidden_states" in baselines and hidden:
        features["hidden_states"] = Layers(hidden, ids)
    maps: dict[str, Any] = {}
    if "random_weights" in baselines and random:
        train = dataset.rows("train")
        maps = {
            "random_mean": vary_alike(memory.read(random, ids, "mean"), dataset.mean, train),
            "random_max": vary_alike(memory.read(random, ids, "max"), dataset.max, train),
        }
    return replace(dataset, features={**dataset.features, **features}, **maps)
