"""Feed-forward layers on the samples of a taxonomy: tables of means per class, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.knockout.experiment import Samples
from engram.lm.kept_batches import Kept
from engram.mechanisms.class_means import class_table
from engram.mechanisms.feed_forward import (
    CHOSEN,
    NeuronEffects,
    ablate_blocks,
    ablate_neurons,
    rank_neurons,
    top_neurons,
)
from engram.mechanisms.sample_table import class_names, sample_table
from engram.mechanisms.settings import FeedForwardSettings


def run_feed_forward(
    model: PreTrainedModel,
    test: Samples,
    reference: Samples,
    classes: Sequence[str],
    prefix: int,
    settings: FeedForwardSettings,
    batch_tokens: int,
    kept: Kept | None = None,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Measure a model without feed-forward blocks and neurons on the test samples of a taxonomy.

    Args:
        model: the model.
        test: the samples that are measured.
        reference: others, which neurons are ranked on, and which give the means of `mean`.
        classes: the K class names.
        prefix: tokens of the prompt.
        settings: of the config.
        batch_tokens: tokens per forward.
        kept: where what is finished is kept; None keeps nothing.
        resamples: bootstrap draws of content groups.
        confidence: nominal coverage of intervals.
        seed: of random neurons and draws.

    Returns:
        `blocks`: a row per class and layer; `neurons`: a row per class, class whose neurons are
        removed (`ranked`), share and choice (`CHOSEN`), with their number (`removed`); `samples`:
        a row per sample and layer; `chosen`: a row per class and neuron of the largest set:
        ranked, rank, layer, neuron (both from 1), delta. Measures are `<measure>_difference`.
        Without `shares`, `neurons` and `chosen` have no rows.

    Raises:
        EngramError: as `ablate_blocks` and `ablate_neurons`.
    """
    label, group = class_names(test, classes), test.content_group
    statistics: dict[str, Any] = {
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
    }
    shared = (settings.operation, reference.tokens)
    blocks = ablate_blocks(model, test.tokens, prefix, *shared, batch_tokens, kept)
    keys = {"layer": tuple(range(1, blocks.ablated.shape[1] + 1))}
    tables = {
        "blocks": class_table(keys, blocks.differences(), label, group, **statistics),
        "samples": sample_table(test, classes, keys, blocks.differences()),
        "neurons": pd.DataFrame(columns=["class", "n", "groups", "ranked", "share"]),
        "chosen": pd.DataFrame(columns=["ranked", "rank", "layer", "neuron", "delta"]),
    }
    if not settings.shares:
        return tables
    deltas = rank_neurons(
        model, reference.tokens, reference.label, len(classes), prefix, batch_tokens
    )
    effects = ablate_neurons(
        model,
        test.tokens,
        prefix,
        deltas,
        settings.shares,
        *shared,
        draws=settings.draws,
        seed=seed,
        batch_tokens=batch_tokens,
        kept=kept,
    )
    return tables | {
        "neurons": neuron_table(effects, classes, settings.shares, label, group, **statistics),
        "chosen": chosen_neurons(deltas, classes, max(effects.counts)),
    }


def neuron_table(
    effects: NeuronEffects,
    ranked: Sequence[str],
    shares: Sequence[float],
    label: np.ndarray,
    group: np.ndarray,
    **statistics: Any,
) -> pd.DataFrame:
    """Return the effects of sets of neurons, a row per class, ranking, share and choice.

    Args:
        effects: of R rankings and S sizes.
        ranked: names of the rankings.
        shares: of the sizes.
        label: class of each sequence, (n,).
        group: content group of each sequence, (n,).
        statistics: resamples, confidence and seed of `class_table`.
    """
    keys = {"ranked": tuple(ranked), "share": tuple(shares), "chosen": CHOSEN}
    table = class_table(keys, effects.differences(), label, group, **statistics)
    count = dict(zip(shares, effects.counts, strict=True))
    table.insert(list(table).index("chosen") + 1, "removed", table["share"].map(count))
    return table


def chosen_neurons(deltas: np.ndarray, ranked: Sequence[str], count: int) -> pd.DataFrame:
    """Return the neurons of largest |Δ| of every ranking: ranked, rank, layer and neuron (all from
    1), delta.

    Args:
        deltas: (R, L, M).
        ranked: names of the rankings.
        count: neurons of each.
    """
    tables = []
    for name, delta in zip(ranked, deltas, strict=True):
        layer, neuron = np.nonzero(top_neurons(delta, count))
        values = delta[layer, neuron]
        order = np.argsort(-np.abs(values), kind="stable")
        columns = {"layer": layer[order] + 1, "neuron": neuron[order] + 1, "delta": values[order]}
        ranks = np.arange(1, len(order) + 1)
        tables.append(pd.DataFrame({"ranked": name, "rank": ranks, **columns}))
    return pd.concat(tables, ignore_index=True)
