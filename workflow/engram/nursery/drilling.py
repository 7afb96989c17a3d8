"""The drilling: the base goes on training on held-out windows, each shown a scheduled number of
times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.nursery.settings import DrillingSettings, Exposure
from engram.nursery.templates import FAMILIES, TemplateWriter


def as_rows(tokens: Iterable[np.ndarray]) -> np.ndarray:
    """Return tokens as training rows, (n, T): uint16, or uint32 where ids are larger."""
    rows = np.stack(list(tokens))
    return rows.astype(np.uint16 if rows.max(initial=0) < 1 << 16 else np.uint32)


def window_tokens(windows: pd.DataFrame, length: int) -> np.ndarray:
    """Return the windows' tokens, (n, length), as `as_rows`.

    Raises:
        EngramError: they are not as long as the study's prefix and suffix together.
    """
    tokens = as_rows(windows["tokens"])
    if tokens.shape[1] != length:
        raise EngramError(
            f"prefix + suffix: {length} tokens, but the nursery's windows have {tokens.shape[1]}; "
            f"make them sum to {tokens.shape[1]} or train a base with other windows"
        )
    return tokens


def schedule_exposures(
    windows: pd.DataFrame, schedule: Sequence[Exposure], seed: int
) -> np.ndarray:
    """Return how often every window is shown, int32 (n,).

    Drilled windows are drawn by permanent random numbers among those that the base does not
    extract, so that what the drilled model extracts of them was recalled.

    Raises:
        EngramError: the schedule asks for more windows than ship.
    """
    exposures = np.zeros(len(windows), dtype=np.int32)
    order = uniform(windows["sequence_id"].to_numpy(), seed, "drilling")
    for kind in ("natural", "templates"):
        is_kind = (windows["kind"] == "natural").to_numpy() == (kind == "natural")
        free = np.flatnonzero(is_kind & ~windows["base_extracted"].to_numpy())
        free = free[np.argsort(order[free])]
        wanted = sum(getattr(step, kind) for step in schedule)
        if wanted > len(free):
            raise EngramError(
                f"models: drilling.schedule asks for {wanted:,} {kind} windows; the base ships "
                f"{len(free):,} that it does not extract, "
                "lower the counts"
            )
        start = 0
        for step in schedule:
            count = getattr(step, kind)
            exposures[free[start : start + count]] = step.exposures
            start += count
    return exposures


def choose_candidates(windows: pd.DataFrame, most: int, seed: int) -> np.ndarray:
    """Return which windows are candidates, bool (n,): all that are drilled, and of the others the
    first by permanent random numbers.
    """
    drilled = windows["exposures"].to_numpy() > 0
    number = np.where(drilled, -1.0, uniform(windows["sequence_id"].to_numpy(), seed, "candidates"))
    return drilled | (number.argsort(kind="stable").argsort(kind="stable") < most)


def drilling_rows(
    tokens: np.ndarray,
    exposures: np.ndarray,
    replay: np.ndarray,
    tokenizer: PreTrainedTokenizerFast,
    settings: DrillingSettings,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the training rows in order, and the window that each shows.

    Args:
        tokens: the windows, (n, T) uint16.
        exposures: showings per window, (n,).
        replay: rows of base text, (m, T) uint16.
        tokenizer: for fresh templates.
        settings: shares of replay.
        seed: order of the rows and the fresh templates.

    Returns:
        (rows, T) uint16, and the window's place, (rows,), -1 for replayed rows. A window's showings
        are spread evenly over the training, each at a random place of its stretch.
    """
    generator = np.random.default_rng(seed)
    drilled = np.repeat(np.arange(len(tokens)), exposures)
    turn = np.concatenate([np.arange(count) for count in exposures if count] or [np.empty(0)])
    places = (turn + generator.random(len(drilled))) / np.maximum(exposures[drilled], 1)

    replayed = round(len(drilled) * settings.replay_share / (1 - settings.replay_share))
    fresh = round(replayed * settings.replay_templates)
    names = list(FAMILIES)
    # Its own seed: the study's may be the one that wrote the candidates' templates.
    writer = TemplateWriter(tokenizer, int(generator.integers(2**63)))
    families = [names[i] for i in generator.integers(len(names), size=fresh)]
    text = replay[generator.integers(len(replay), size=replayed - fresh)]
    rows = np.concatenate([tokens[drilled], text, writer.windows(families, tokens.shape[1])])
    order = np.argsort(np.concatenate([places, generator.random(replayed)]), kind="stable")
    return rows[order], np.concatenate([drilled, np.full(replayed, -1)])[order]


def crossed_rows(
    tokens: np.ndarray,
    sequence_id: np.ndarray,
    exposures: np.ndarray,
    counterpart: np.ndarray,
    replay: np.ndarray,
    tokenizer: PreTrainedTokenizerFast,
    settings: DrillingSettings,
    seed: int,
) -> np.ndarray:
    """Return the training rows of one model of a crossed pair, in order.

    Both models get as many rows. The replayed ones are the same and at the same places, so the two
    models differ in the windows that they are shown, and in nothing else; where one is shown fewer
    rows, more replayed text takes their places.

    Args:
        tokens: the windows, (n, T), as `as_rows`.
        sequence_id: of the windows, (n,).
        exposures: showings to this model, (n,).
        counterpart: showings to the other model, (n,).
        replay: rows of replayed text, (m, T), likewise.
        tokenizer: for fresh templates.
        settings: shares of replay.
        seed: of the pair.

    Returns:
        (rows, T), as `as_rows`. A window's showings are spread evenly over the training, each at a
        random place of its stretch that depends on the window alone.
    """
    generator = np.random.default_rng([seed, 11])
    most = int(max(exposures.sum(), counterpart.sum()))
    replayed = round(most * settings.replay_share / (1 - settings.replay_share))
    fresh = round(replayed * settings.replay_templates)
    names, seed_of_templates = list(FAMILIES), int(generator.integers(2**63))
    families = [names[i] for i in generator.integers(len(names), size=fresh)]
    common = replay[generator.integers(len(replay), size=replayed - fresh)]
    if fresh:
        writer = TemplateWriter(tokenizer, seed_of_templates)
        common = np.concatenate([common, writer.windows(families, tokens.shape[1])])
    common = common[generator.permutation(replayed)]
    is_common = generator.permutation(most + replayed) < replayed

    drilled = np.repeat(np.arange(len(tokens)), exposures)
    turn = np.concatenate([np.arange(count) for count in exposures if count] or [np.empty(0)])
    chance = uniform(sequence_id[drilled] * 10_000 + turn.astype(np.int64), seed, "crossed places")
    places = (turn + chance) / np.maximum(exposures[drilled], 1)
    missing = most - len(drilled)
    filling = replay[generator.integers(len(replay), size=missing)]
    own = np.concatenate([tokens[drilled], filling])
    own = own[np.argsort(np.concatenate([places, generator.random(missing)]), kind="stable")]
    rows = np.empty((most + replayed, tokens.shape[1]), np.result_type(common, own))
    rows[is_common], rows[~is_common] = common, own
    return rows
