"""The drilling: every window is shown as often as scheduled, evenly, among replayed text."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.nursery import drilling
from engram.nursery.drilling import (
    choose_candidates,
    crossed_rows,
    drilling_rows,
    schedule_exposures,
)
from engram.nursery.settings import DrillingSettings, Exposure
from engram.nursery.templates import FAMILIES, TemplateWriter

Tokenizer = PreTrainedTokenizerFast
LENGTH = 16


def exposure(exposures: int, natural: int, templates: int) -> Exposure:
    return Exposure(exposures=exposures, natural=natural, templates=templates)


SCHEDULE = [exposure(1, 10, 2), exposure(4, 20, 5), exposure(16, 5, 0), exposure(64, 10, 3)]
SETTINGS = DrillingSettings(schedule=SCHEDULE, replay_share=0.4, replay_templates=0.5)


def windows(natural: int = 80, templates: int = 30, seed: int = 0) -> pd.DataFrame:
    """Shipped windows, a third of which the base extracts."""
    random = np.random.default_rng(seed)
    kinds = random.permutation(
        ["natural"] * natural + [list(FAMILIES)[i % len(FAMILIES)] for i in range(templates)]
    )
    n = natural + templates
    return pd.DataFrame(
        {
            "sequence_id": random.permutation(1000)[:n],
            "kind": kinds,
            "base_extracted": random.random(n) < 1 / 3,
        }
    )


# --- schedule
# --------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_the_schedule_is_kept(frame_seed: int, seed: int) -> None:
    frame = windows(120, 60, frame_seed)
    exposures = schedule_exposures(frame, SCHEDULE, seed)
    assert exposures.dtype == np.int32
    natural = (frame["kind"] == "natural").to_numpy()
    for step in SCHEDULE:
        assert (exposures[natural] == step.exposures).sum() == step.natural
        assert (exposures[~natural] == step.exposures).sum() == step.templates
    assert set(exposures) <= {0, 1, 4, 16, 64}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_what_the_base_extracts_is_never_drilled(frame_seed: int, seed: int) -> None:
    frame = windows(120, 60, frame_seed)
    assert not schedule_exposures(frame, SCHEDULE, seed)[frame["base_extracted"]].any()


def test_every_window_that_is_free_may_be_asked_for() -> None:
    frame = windows()
    free = ~frame["base_extracted"] & (frame["kind"] == "natural")
    exposures = schedule_exposures(frame, [exposure(3, int(free.sum()), 0)], 1)
    assert ((exposures == 3) == free).all()


@pytest.mark.parametrize(
    ("kind", "natural", "templates"), [("natural", 1000, 1), ("templates", 1, 31)]
)
def test_too_many_windows_are_an_error_with_both_counts(
    kind: str, natural: int, templates: int
) -> None:
    frame = windows()
    free = (~frame["base_extracted"] & ((frame["kind"] == "natural") == (kind == "natural"))).sum()
    wanted = {"natural": natural, "templates": templates}[kind]
    expected = (
        f"drilling.schedule asks for {wanted:,} {kind} windows; the base ships {free} that it does "
        f"not extract, lower the counts"
    )
    with pytest.raises(EngramError, match=re.escape(expected)):
        schedule_exposures(frame, [exposure(1, natural, templates)], 1)


def test_the_draw_depends_on_seed_and_windows_but_not_on_their_order() -> None:
    frame = windows()
    first, second = schedule_exposures(frame, SCHEDULE, 1), schedule_exposures(frame, SCHEDULE, 2)
    assert (first != second).any()
    turned = frame[::-1].reset_index(drop=True)
    np.testing.assert_array_equal(schedule_exposures(turned, SCHEDULE, 1)[::-1], first)


def test_a_further_step_changes_no_earlier_one() -> None:
    frame = windows(120, 60)
    few, many = (
        schedule_exposures(frame, SCHEDULE, 1),
        schedule_exposures(frame, [*SCHEDULE, exposure(128, 5, 5)], 1),
    )
    np.testing.assert_array_equal(many[few > 0], few[few > 0])
    assert set(many[few == 0]) == {0, 128}


@pytest.mark.parametrize("most", [1, 40, 60, 110, 500])
def test_candidates_are_all_drilled_windows_and_others_up_to_the_number(most: int) -> None:
    frame = windows().assign(exposures=lambda frame: schedule_exposures(frame, SCHEDULE, 1))
    drilled = (frame["exposures"] > 0).to_numpy()
    chosen = choose_candidates(frame, most, 1)
    assert chosen[drilled].all()
    assert chosen.sum() == min(len(frame), max(most, drilled.sum()))


def test_more_candidates_contain_fewer() -> None:
    frame = windows().assign(exposures=0)
    assert not (choose_candidates(frame, 30, 1) & ~choose_candidates(frame, 31, 1)).any()


# --- rows
# --------------------------------------------------------------------------------------------------

# Tokens beyond the tokenizer's vocabulary tell the origin of a row: windows, replayed text, and
# fresh templates below.
WINDOW, REPLAY = 20_000, 40_000


def drill(
    tokenizer: Tokenizer, exposures: np.ndarray, wanted: DrillingSettings = SETTINGS, seed: int = 1
) -> np.ndarray:
    tokens = (
        np.repeat(WINDOW + np.arange(len(exposures)), LENGTH).reshape(-1, LENGTH).astype(np.uint16)
    )
    replay = np.repeat(REPLAY + np.arange(50), LENGTH).reshape(-1, LENGTH).astype(np.uint16)
    rows, shown = drilling_rows(tokens, exposures, replay, tokenizer, wanted, seed)
    is_window = origin(rows) == "window"
    assert (shown == np.where(is_window, rows[:, 0].astype(int) - WINDOW, -1)).all()
    return rows


def origin(rows: np.ndarray) -> np.ndarray:
    return np.select([rows[:, 0] >= REPLAY, rows[:, 0] >= WINDOW], ["replay", "window"], "fresh")


@pytest.fixture(scope="module")
def exposures() -> np.ndarray:
    return np.random.default_rng(0).choice([0, 1, 4, 16, 64], 60).astype(np.int32)


@pytest.fixture(scope="module")
def drilled(tokenizer: Tokenizer, exposures: np.ndarray) -> np.ndarray:
    return drill(tokenizer, exposures)


def test_every_window_is_shown_as_often_as_scheduled(
    drilled: np.ndarray, exposures: np.ndarray
) -> None:
    shown = drilled[origin(drilled) == "window"]
    assert (shown == shown[:, :1]).all()
    np.testing.assert_array_equal(
        np.bincount(shown[:, 0] - WINDOW, minlength=len(exposures)), exposures
    )


def test_rows_are_tokens(drilled: np.ndarray) -> None:
    assert drilled.dtype == np.uint16
    assert drilled.shape[1] == LENGTH


def test_showings_are_spread_evenly(drilled: np.ndarray, exposures: np.ndarray) -> None:
    """The k-th of E showings falls into the k-th of E equal stretches, but for the unequal density
    of all rows.
    """
    place = np.arange(len(drilled)) / len(drilled)
    for window in np.flatnonzero(exposures > 1):
        found = place[drilled[:, 0] == WINDOW + window]
        first = np.arange(exposures[window]) / exposures[window]
        assert (found > first - 0.06).all()
        assert (found < first + 1 / exposures[window] + 0.06).all()


def test_single_showings_may_fall_anywhere(tokenizer: Tokenizer) -> None:
    rows = drill(tokenizer, np.ones(400, dtype=np.int32))
    order = rows[origin(rows) == "window"][:, 0] - WINDOW
    assert abs(np.corrcoef(order, np.arange(400))[0, 1]) < 0.3


@pytest.mark.parametrize(
    ("share", "templates"), [(0.4, 0.5), (0.0, 0.5), (0.95, 0.0), (0.5, 1.0), (0.25, 0.3)]
)
def test_replay_has_its_share(
    tokenizer: Tokenizer, exposures: np.ndarray, share: float, templates: float
) -> None:
    rows = drill(
        tokenizer, exposures, SETTINGS.replace(replay_share=share, replay_templates=templates)
    )
    counts = {kind: int((origin(rows) == kind).sum()) for kind in ("window", "replay", "fresh")}
    replayed = counts["replay"] + counts["fresh"]
    assert counts["window"] == exposures.sum()
    assert replayed / len(rows) == pytest.approx(share, abs=1 / len(rows))
    assert counts["fresh"] == pytest.approx(templates * replayed, abs=0.5)


def test_replay_is_spread_evenly(drilled: np.ndarray) -> None:
    quarters = [np.mean(origin(part) != "window") for part in np.array_split(drilled, 4)]
    assert max(quarters) - min(quarters) < 0.15


def test_one_seed_gives_the_same_rows(
    tokenizer: Tokenizer, exposures: np.ndarray, drilled: np.ndarray
) -> None:
    np.testing.assert_array_equal(drill(tokenizer, exposures), drilled)


def test_another_seed_gives_another_order_and_other_templates(
    tokenizer: Tokenizer, exposures: np.ndarray, drilled: np.ndarray
) -> None:
    other = drill(tokenizer, exposures, seed=2)
    assert other.shape == drilled.shape
    assert (other[:, 0] != drilled[:, 0]).mean() > 0.5
    fresh = [{row.tobytes() for row in rows[origin(rows) == "fresh"]} for rows in (other, drilled)]
    assert len(fresh[0] & fresh[1]) < 0.02 * len(fresh[0])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fresh_templates_have_a_seed_of_their_own(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The base's rows and the candidates' templates come from writers of small seeds, which the
    study's may equal.
    """
    seeds = []

    class Writer(TemplateWriter):
        def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
            seeds.append(seed)
            super().__init__(tokenizer, seed)

    monkeypatch.setattr(drilling, "TemplateWriter", Writer)
    drill(tokenizer, np.ones(5, dtype=np.int32), seed=seed)
    assert min(seeds) > 10**6


def test_nothing_scheduled_gives_no_rows(tokenizer: Tokenizer) -> None:
    assert drill(tokenizer, np.zeros(5, dtype=np.int32)).shape == (0, LENGTH)


# --- crossed exposures
# --------------------------------------------------------------------------------------------------


def crossed(
    tokenizer: Tokenizer, one: list[int], two: list[int], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of one token each (100, 101, …), replayed text of token 7, and both models' rows."""
    tokens = np.repeat(np.arange(100, 100 + len(one), dtype=np.uint16)[:, None], LENGTH, axis=1)
    replay = np.full((50, LENGTH), 7, np.uint16)
    ids, first, second = np.arange(len(one)) + 3, np.array(one), np.array(two)
    settings = DrillingSettings(replay_share=0.4, replay_templates=0.5)
    return (
        tokens,
        crossed_rows(tokens, ids, first, second, replay, tokenizer, settings, seed),
        crossed_rows(tokens, ids, second, first, replay, tokenizer, settings, seed),
    )


def test_the_models_of_a_pair_differ_in_their_windows_alone(tokenizer: Tokenizer) -> None:
    exposures = [40, 0, 20, 0, 30], [0, 40, 0, 16, 30]
    tokens, first, second = crossed(tokenizer, *exposures)
    assert first.shape == second.shape
    for rows, counts in ((first, exposures[0]), (second, exposures[1])):
        shown = [(rows == window).all(axis=1).sum() for window in tokens]
        assert shown == counts
    window_rows = np.isin(first[:, 0], tokens[:, 0]), np.isin(second[:, 0], tokens[:, 0])
    # Replayed rows, most of the others, are at the same places; four more stand in for windows.
    replayed = ~window_rows[0] & ~window_rows[1]
    assert (first[replayed] == second[replayed]).all()
    assert (window_rows[0] & ~window_rows[1]).sum() == 4
    assert not (window_rows[1] & ~window_rows[0]).any()


def test_showings_of_a_pair_are_spread_and_repeatable(tokenizer: Tokenizer) -> None:
    tokens, first, _ = crossed(tokenizer, [40, 0, 20], [0, 40, 20])
    places = np.flatnonzero((first == tokens[0]).all(axis=1)) / len(first)
    assert np.diff(places).max() < 0.12 and places[0] < 0.1 and places[-1] > 0.9
    again = crossed(tokenizer, [40, 0, 20], [0, 40, 20])[1]
    assert (first == again).all()
    assert (first != crossed(tokenizer, [40, 0, 20], [0, 40, 20], seed=1)[1]).any()
