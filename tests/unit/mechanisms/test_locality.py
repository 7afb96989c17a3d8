"""Locality: recall through one head is found local, recall that leaves a trace elsewhere is not."""

from __future__ import annotations

from functools import cache
from math import comb

import numpy as np
import pytest
from planted_recall import PLANTED_PREFIX, planted_windows, recalling_model
from slow_attack import slow_attack
from slow_mechanisms import SIX, slow_head_ablation
from tiny_models import HEADS, LAYERS, gpt_neox, random_tokens

from engram.io.errors import EngramError
from engram.lm.conditions import Condition
from engram.lm.generation import greedy_continuations
from engram.lm.interventions import knock_out
from engram.mechanisms.locality import probe_locality, rank_heads
from engram.mechanisms.locality_results import (
    INTACT,
    RECALLED,
    REMOVED,
    UNSEEN,
    Locality,
    Texts,
)
from engram.mechanisms.locality_settings import LocalitySettings

WINDOW, PREFIX = 12, 7
STATISTICS = {"resamples": 200, "confidence": 0.95, "seed": 3}
SETTINGS = LocalitySettings(steps=3, learning_rate=0.01, most=1.0, top=0.25)


def recalled_tokens(rows: int, seed: int) -> np.ndarray:
    """Windows that the tiny model writes."""
    tokens = random_tokens(rows, WINDOW, seed)
    tokens[:, PREFIX:] = greedy_continuations(gpt_neox(), tokens[:, :PREFIX], WINDOW - PREFIX)
    return tokens


@cache
def probed() -> Locality:
    return probe_locality(
        gpt_neox(),
        Texts(recalled_tokens(5, 0), np.array([0, 1, 2, 3, 3])),
        Texts(random_tokens(4, WINDOW, 1), np.arange(4)),
        PREFIX,
        SETTINGS,
        ranking=recalled_tokens(5, 2),
        batch_tokens=20 * WINDOW,
    )


@pytest.mark.parametrize("architecture", SIX)
def test_heads_are_ranked_by_what_texts_lose_without_them(architecture: str) -> None:
    model, tokens = SIX[architecture](), random_tokens(2, WINDOW)
    cost = {
        (layer + 1, head + 1): slow_head_ablation(model, tokens, PREFIX, layer, head, "remove")[
            :, 2
        ].mean()
        for layer in range(LAYERS)
        for head in range(HEADS)
    }
    assert rank_heads(model, tokens, PREFIX) == sorted(cost, key=cost.__getitem__)


def test_as_few_heads_are_removed_as_leave_the_share() -> None:
    result, model = probed(), gpt_neox()
    assert (
        list(result.heads) == rank_heads(model, recalled_tokens(5, 2), PREFIX)[: len(result.heads)]
    )
    shares = []
    for count in range(result.removed + 1):
        mask = np.zeros((LAYERS, HEADS), bool)
        for layer, head in result.heads[:count]:
            mask[layer - 1, head - 1] = True
        condition = Condition("remove", heads=mask) if count else Condition()
        (_, measures), *_ = knock_out(model, result.recalled.tokens, PREFIX, [condition])
        np.testing.assert_allclose(result.left[:, count], measures, atol=1e-5)
        shares.append(measures[:, 0].mean())
    assert shares[0] == 1 and result.gone
    assert min(shares[:-1]) > SETTINGS.left >= shares[-1]
    table = result.removal(**STATISTICS)
    assert table["removed"].tolist() == [*range(result.removed + 1)]
    assert table["chosen"].tolist() == [False] * result.removed + [True]
    np.testing.assert_allclose(table["extracted"], shares)
    assert (table["layer"][1], table["head"][1]) == result.heads[0]
    never = probe_locality(
        model, result.recalled, result.unseen, PREFIX, SETTINGS.replace(left=0.0, most=0.1),
        heads=[(1, 1)],
    )  # fmt: skip
    assert not never.gone and never.removed == 1
    assert not never.comparison(**STATISTICS)["local"][1]


def test_attacks_are_those_of_the_slow_implementation() -> None:
    result = probed()
    heads = [(layer - 1, head - 1) for layer, head in result.heads[: result.removed]]
    for (kind, state), attacked in result.attacks.items():
        texts = result.recalled if kind == RECALLED else result.unseen
        silent = heads if state == REMOVED else []
        for row in (0, 3):
            measures, _ = slow_attack(gpt_neox(), texts.tokens[row], PREFIX, silent, 3, 0.01)
            np.testing.assert_allclose(attacked.measures[row], measures, atol=1e-5)


def test_tables_are_means_of_the_measures() -> None:
    result = probed()
    curves = result.curves(**STATISTICS).set_index(["texts", "model", "step"]).sort_index()
    assert len(curves) == 4 * 4
    for (kind, state), attacked in result.attacks.items():
        of_kind = curves.loc[kind, state]
        np.testing.assert_allclose(
            of_kind["suffix_log_prob"], attacked.measures[..., 2].mean(0), rtol=1e-5
        )
        recovered = (np.cumsum(attacked.measures[..., 0], 1) > 0).mean(0)
        np.testing.assert_allclose(of_kind["recovered"], recovered)
    table = result.comparison(**STATISTICS).set_index("model")
    assert table["removed"].to_dict() == {INTACT: 0, REMOVED: result.removed}
    for state in (INTACT, REMOVED):
        steps = [result.attacks[kind, state].steps_needed.mean() for kind in (RECALLED, UNSEEN)]
        row = table.loc[state]
        assert row["steps_recalled"] == pytest.approx(steps[0])
        assert row["steps_difference"] == pytest.approx(steps[0] - steps[1])
        assert (
            row["steps_difference_low"] <= row["steps_difference"] <= row["steps_difference_high"]
        )
        assert row["sooner"] == (row["steps_difference_high"] < 0)
    assert table.loc[INTACT, "steps_recalled"] == 0


@cache
def planted(spread: bool) -> Locality:
    recalled, unseen, ranking = (
        planted_windows(12, seed, kind) for seed, kind in ((1, True), (2, False), (3, True))
    )
    texts = Texts(recalled, np.arange(12)), Texts(unseen, np.arange(12))
    return probe_locality(
        recalling_model(spread), *texts, PLANTED_PREFIX, LocalitySettings(), ranking=ranking
    )


@pytest.mark.parametrize("spread", [False, True])
def test_the_head_that_recalls_is_named_and_removing_it_is_enough(spread: bool) -> None:
    result = planted(spread)
    assert result.heads == ((1, 1),) and result.removed == 1 and result.gone
    assert result.left[:, 0, 0].mean() == 1 and result.left[:, 1, 0].mean() == 0


def test_recall_through_one_head_is_local_and_the_attack_needs_ten_times_the_steps() -> None:
    local, spread = planted(False), planted(True)
    steps = [result.attacks[RECALLED, REMOVED].steps_needed for result in (local, spread)]
    assert steps[0].min() > 10 * steps[1].max() and steps[1].min() >= 1
    tables = [result.comparison(**STATISTICS).set_index("model") for result in (local, spread)]
    assert tables[0].loc[REMOVED, "local"] and not tables[0].loc[REMOVED, "sooner"]
    assert not tables[1].loc[REMOVED, "local"] and tables[1].loc[REMOVED, "sooner"]
    # The attack itself is strong enough: the intact model writes what it has never seen.
    assert all(table.loc[INTACT, "recovered_unseen"] == 1 for table in tables)
    assert all(table.loc[INTACT, "steps_recalled"] == 0 for table in tables)


def test_overlap_compares_sets_of_heads_with_chance() -> None:
    result = planted(True)
    row = result.overlap(**STATISTICS).iloc[0]
    assert (row["n"], row["heads"], row["top"]) == (12, 2, 1)
    own, found = (part.mean(0).argmax() for part in (result.own_loss, result.found_loss))
    assert own == 0
    assert row["shared"] == row["jaccard"] == row["shared_removed"] == (found == 0)
    assert row["chance"] == pytest.approx(0.5)
    nothing = planted(False).overlap(**STATISTICS).iloc[0]
    assert nothing["n"] == 0 and np.isnan(nothing["jaccard"])


def test_chance_is_hypergeometric() -> None:
    result = probed()
    attack = result.attacks[RECALLED, REMOVED]
    if not attack.recovered.any():  # the comparison needs texts that came back
        attack.measures[:, -1, 0] = 1
    n = int(attack.recovered.sum())
    random = np.random.default_rng(0)
    own, found = random.random((2, n, LAYERS * HEADS))
    fields = result.__dict__ | {"own_loss": own, "found_loss": found}
    row = Locality(**fields).overlap(**STATISTICS).iloc[0]
    sets = [set(np.argsort(-part.mean(0))[:3]) for part in (own, found)]
    shared = len(sets[0] & sets[1])
    assert row["shared"] == shared
    assert row["jaccard"] == pytest.approx(shared / (6 - shared))
    chances = [comb(3, k) * comb(9, 3 - k) / comb(12, 3) for k in range(4)]
    assert row["p_chance"] == pytest.approx(sum(chances[shared:]))
    assert row["chance"] == pytest.approx(sum(p * k / (6 - k) for k, p in enumerate(chances)))


def test_what_cannot_be_attacked_is_refused() -> None:
    texts, none = (
        Texts(random_tokens(2, WINDOW), np.arange(2)),
        Texts(np.empty((0, 12)), np.empty(0)),
    )
    arguments = (gpt_neox(), texts, texts, PREFIX, SETTINGS)
    for heads, message in (
        ([(1, 1), (1, 1)], r"heads: \[\(1, 1\), \(1, 1\)\]; give different heads"),
        ([(1, 1), (4, 1)], r"heads: \(4, 1\); the model has layers 1 to 3 and heads 1 to 4"),
    ):
        with pytest.raises(EngramError, match=message):
            probe_locality(*arguments, heads=heads)
    with pytest.raises(EngramError, match="locality: no text to rank heads on"):
        probe_locality(*arguments)
    with pytest.raises(EngramError, match="locality: no never-seen text"):
        probe_locality(gpt_neox(), texts, none, PREFIX, SETTINGS, heads=[(1, 1)])


def test_the_plan_counts_no_fewer_passes_than_are_made() -> None:
    model, rows = gpt_neox(), []

    def count(_module: object, _inputs: object, output: object) -> None:
        # A backward pass counts as two more.
        rows.append(len(output.logits) * (3 if output.logits.requires_grad else 1))

    model.register_forward_hook(count)
    settings = SETTINGS.replace(samples_per_class=5, unseen_texts=4)
    texts = probed().recalled, probed().unseen
    probe_locality(model, *texts, PREFIX, settings, ranking=recalled_tokens(5, 2))
    assert sum(rows) <= settings.forwards(LAYERS, HEADS) < 3 * sum(rows)
