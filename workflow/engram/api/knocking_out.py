"""Knock-outs: what the model still reproduces when a part of its attention is removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.api.attention import AttentionMaps
from engram.api.content import seen_before
from engram.api.language_model import LanguageModel, check_language_model
from engram.api.measured import BATCH_TOKENS
from engram.api.regions import Region
from engram.api.texts import Windows, read_windows
from engram.io.errors import EngramError
from engram.io.packing import pack
from engram.io.spans import Spans
from engram.lm.conditions import HEAD_OPERATIONS, MEASURES, Condition, check_reference
from engram.lm.interventions import average
from engram.lm.interventions import knock_out as run_conditions
from engram.lm.models import check_tokens


@dataclass(frozen=True)
class _Removal:
    """One condition, and what it is called in the table."""

    kind: str
    region: str
    condition: Condition
    chosen: Region | None = None


def knock_out(
    lm: LanguageModel,
    held_out: Any,
    prefix: int = 32,
    suffix: int = 32,
    *,
    cells: Any = None,
    layers: Sequence[Any] | int | None = None,
    heads: Sequence[Any] | None = None,
    operation: str = "remove",
    reference: Any = None,
    short: str = "error",
    batch_tokens: int = BATCH_TOKENS,
) -> pd.DataFrame:
    """Remove attention from the model, and measure what it still reproduces of held-out texts.

    Every region, layer and head is a condition, removed alone. Layers and heads count from 1, as in
    all tables of Engram.

    Args:
        lm: of `engram.load`.
        held_out: strings or token ids, see `engram.api.texts.read_windows`, or the maps of
            `engram.attention`, whose texts are taken; texts that chose a region are refused.
        prefix: tokens that prompt the model; of maps, theirs is taken.
        suffix: tokens to reproduce.
        cells: a region of `Localization.top`, its `control()`, a list of regions, a dict of them by
            name, or cells of one's choice: bool (L, T, T) or packed (L, P). A cell of blockwise
            maps is removed with all its pairs of query and key.
        layers: numbers of layers, `[3, 5]`; a tuple is removed at once, `[(3, 5)]`.
        heads: pairs of layer and head, `[(3, 5)]` for head 5 of layer 3; a list of pairs is removed
            at once, `[[(3, 5), (4, 1)]]`.
        operation: `remove` masks cells before the softmax, so that the rest of the row takes over
            their weight, and sets the output of heads to 0; `mean` replaces both by their means
            over the reference texts; `layer_mean` replaces heads by the mean of the layer's heads
            that are not replaced (`engram.ablate_heads` does so with every head).
        reference: texts for `mean`; best not the held-out ones.
        short: `error` refuses a text that is too short, `drop` leaves it out and warns.
        batch_tokens: tokens per forward; halved when a GPU runs out of memory.

    Returns:
        a row per condition and text: row (name of the text), kind (cells, layer or head), region
        (name of the cells, `3` for a layer, `3.5` for a head), operation, removed (pairs of query
        and key, or heads where layers and heads are removed), class (where `held_out` is a frame
        that has one); then for extracted, matched_fraction and suffix_log_prob (definitions:
        `engram.lm.attention.Extraction`) the measure without the attention, `<measure>_intact` of
        the intact model, and `<measure>_difference`, the former minus the latter: negative for a
        loss.

    Raises:
        EngramError: nothing to remove, a region of another model or window, a number that the model
            does not have, or held-out texts that chose a region.
    """
    check_language_model(lm)
    if operation not in HEAD_OPERATIONS:
        raise EngramError(f"operation: {operation!r}; choose {' or '.join(HEAD_OPERATIONS)}")
    if isinstance(held_out, AttentionMaps):
        prefix, suffix = held_out.prefix, held_out.window - held_out.prefix
    windows = _windows(lm, held_out, prefix, suffix, short, "held_out")
    removals = [
        *_cell_removals(lm, cells, (len(lm.opening), prefix, suffix), operation),
        *_layer_removals(lm, layers, operation),
        *_head_removals(lm, heads, operation),
    ]
    if not removals:
        raise EngramError("knock_out: nothing to remove; give cells=, layers= or heads=")
    _refuse_repeated(removals)
    for removal in removals:
        _refuse_choosers(windows, prefix, removal)
    means = None
    check_reference(operation, reference)
    if operation == "mean":
        others = _windows(lm, reference, prefix, suffix, short, "reference")
        means = average(lm.model, others.tokens, batch_tokens)
    conditions = [Condition(), *(removal.condition for removal in removals)]
    measures = np.empty((len(conditions), len(windows), len(MEASURES)), np.float32)
    for position, values in run_conditions(
        lm.model, windows.tokens, prefix, conditions, means, batch_tokens
    ):
        measures[position] = values
    tables = [
        _table(removal, windows, values, measures[0])
        for removal, values in zip(removals, measures[1:], strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def _windows(
    lm: LanguageModel, texts: Any, prefix: int, suffix: int, short: str, name: str
) -> Windows:
    """Return texts, or the texts of maps, as windows that the model can read."""
    if isinstance(texts, AttentionMaps):
        windows = Windows(texts.tokens, texts.index, pd.DataFrame(index=texts.index))
    else:
        windows = read_windows(texts, lm.tokenizer, prefix, suffix, short=short, name=name)
    if windows.tokens.shape[1] != prefix + suffix:
        raise EngramError(
            f"{name}: windows of {windows.tokens.shape[1]} tokens, prefix + suffix are "
            f"{prefix + suffix}"
        )
    check_tokens(lm.model, windows.tokens, name)
    return windows


def _table(
    removal: _Removal, windows: Windows, values: np.ndarray, intact: np.ndarray
) -> pd.DataFrame:
    """Return the rows of one condition; values and intact are (n, 3)."""
    condition = removal.condition
    mask = condition.cells if condition.cells is not None else condition.heads
    assert mask is not None
    spans = condition.spans if condition.cells is not None else None
    removed = int(mask.sum() if spans is None else (mask * spans.sizes).sum())
    names: dict[str, Any] = {
        "row": windows.index,
        "kind": removal.kind,
        "region": removal.region,
        "operation": condition.operation,
        "removed": removed,
    }
    if "class" in windows.columns:
        names["class"] = windows.columns["class"].array
    for position, name in enumerate(MEASURES):
        with_, without = values[:, position], intact[:, position]
        names |= {
            name: with_ > 0 if name == "extracted" else with_,
            f"{name}_intact": without > 0 if name == "extracted" else without,
            f"{name}_difference": (with_ - without).astype(
                np.int8 if name == "extracted" else np.float32
            ),
        }
    return pd.DataFrame(names)


def _cell_removals(
    lm: LanguageModel, cells: Any, sizes: tuple[int, int, int], operation: str
) -> Iterable[_Removal]:
    """Return a removal per region of cells; sizes are those of opening, prefix and suffix."""
    if cells is None:
        return
    window = sum(sizes)
    if isinstance(cells, Mapping):
        named = list(cells.items())
    elif isinstance(cells, Region) or hasattr(cells, "ndim"):
        named = [(None, cells)]
    else:
        named = [(None, region) for region in cells]
    for number, (name, region) in enumerate(named, start=1):
        chosen = region if isinstance(region, Region) else None
        mask = _packed(region, window) if chosen is None else chosen.cells
        spans = Spans(*sizes, 1 if chosen is None else chosen.block)
        shape = (lm.layers, spans.packed)
        blocks_differ = chosen is not None and chosen.block > 1 and chosen.prefix != spans.prefix
        if mask.shape != shape or blocks_differ:
            raise EngramError(
                f"cells: {mask.shape[0]} layers of {mask.shape[1]:,} packed cells, the model and "
                f"window have {shape[0]} of {shape[1]:,}; localize with the same model and window"
            )
        own = f"cells {number}" if chosen is None else chosen.name
        condition = Condition(operation, cells=mask, spans=spans if spans.block > 1 else None)
        yield _Removal("cells", str(name or own), condition, chosen)


def _packed(cells: Any, window: int) -> np.ndarray:
    """Return cells of one's choice as bool (L, P)."""
    mask = np.asarray(cells)
    if mask.dtype != bool or mask.ndim not in (2, 3):
        raise EngramError(
            f"cells: an array of {mask.dtype} and shape {mask.shape}; give bool (L, T, T) or "
            f"packed bool (L, P)"
        )
    if mask.ndim == 2:
        return mask
    if mask.shape[1:] != (window, window):
        raise EngramError(f"cells: maps of shape {mask.shape[1:]} for windows of {window} tokens")
    if np.triu(mask, 1).any():
        raise EngramError(
            "cells: some have a key after their query, where a causal model has no attention"
        )
    return pack(mask)


def _layer_removals(lm: LanguageModel, layers: Any, operation: str) -> Iterable[_Removal]:
    """Return a removal per layer, or per group of layers."""
    for item in [layers] if isinstance(layers, int) else layers or ():
        group = tuple(item) if isinstance(item, Sequence) else (item,)
        mask = np.zeros((lm.layers, lm.heads), bool)
        for layer in group:
            mask[_number("layers", layer, lm.layers)] = True
        name = "+".join(f"{layer}" for layer in group)
        yield _Removal("layer", name, Condition(operation, heads=mask))


def _head_removals(lm: LanguageModel, heads: Any, operation: str) -> Iterable[_Removal]:
    """Return a removal per head, or per group of heads."""
    for item in heads or ():
        group = item if isinstance(item, list) else [item]
        mask = np.zeros((lm.layers, lm.heads), bool)
        for pair in group:
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise EngramError(f"heads: {pair!r}; give pairs of layer and head, [(3, 5)]")
            layer, head = pair
            mask[_number("heads: layer", layer, lm.layers), _number("heads", head, lm.heads)] = True
        name = "+".join(f"{layer}.{head}" for layer, head in group)
        yield _Removal("head", name, Condition(operation, heads=mask))


def _number(what: str, value: Any, most: int) -> int:
    """Return the position of a layer or head that counts from 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
        raise EngramError(f"{what}: {value!r}; the model has 1 to {most}, counted from 1")
    return int(value) - 1


def _refuse_repeated(removals: Sequence[_Removal]) -> None:
    """Refuse two conditions of one name, whose rows could not be distinguished."""
    names = [(removal.kind, removal.region) for removal in removals]
    for kind, region in names:
        if names.count((kind, region)) > 1:
            raise EngramError(
                f"knock_out: {kind} {region} is given twice; name regions with a dict, "
                f"cells={{'first': …, 'second': …}}"
            )


def _refuse_choosers(windows: Windows, prefix: int, removal: _Removal) -> None:
    """Refuse texts that a region was chosen by: its effect on them would be selected for."""
    if removal.chosen is None:
        return
    seen = seen_before(windows.tokens, prefix, removal.chosen.chosen_by)
    if seen.any():
        raise EngramError(
            f"held_out: {seen.sum()} of {len(seen)} texts chose the region `{removal.region}`, the "
            f"first is row {windows.index[int(seen.argmax())]}; take texts whose prefix and suffix "
            f"engram.localize has not seen"
        )
