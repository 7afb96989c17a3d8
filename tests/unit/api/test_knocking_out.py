"""Knock-outs: the numbers of the room, paired with the intact model; texts that chose a region are
refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm, word_tokenizer
from tiny_models import HEADS, LAYERS, gpt_neox

from engram.api.attention import attention
from engram.api.content import all_halves
from engram.api.knocking_out import knock_out
from engram.api.language_model import LanguageModel
from engram.api.regions import Region
from engram.io.errors import EngramError
from engram.io.packing import pack, packed_length, unpack
from engram.io.spans import Spans
from engram.knockout.trials import units
from engram.lm.conditions import MEASURES, Condition
from engram.lm.generation import greedy_continuations
from engram.lm.interventions import average
from engram.lm.interventions import knock_out as room

WINDOW = PREFIX + SUFFIX
CHOOSERS = some_tokens(5, seed=9)


def texts() -> np.ndarray:
    """Six windows; the model writes the suffix of the first three itself."""
    tokens = some_tokens(6)
    tokens[:3, PREFIX:] = greedy_continuations(tiny_lm().model, tokens[:3, :PREFIX], SUFFIX)
    return tokens


def some_cells(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((LAYERS, packed_length(WINDOW))) < 0.3


def some_region(name: str = "Δ of Guess", seed: int = 0) -> Region:
    return Region(some_cells(seed), name, PREFIX, all_halves(CHOOSERS, PREFIX), len(CHOOSERS))


def knocked(held_out: Any, **options: Any) -> pd.DataFrame:
    return knock_out(tiny_lm(), held_out, PREFIX, SUFFIX, **options)


def measures(conditions: list[Condition], means: Any = None) -> np.ndarray:
    """Measures of the intact model and every condition by the room, (C, n, 3)."""
    found = dict(room(tiny_lm().model, texts(), PREFIX, [Condition(), *conditions], means))
    return np.stack([found[position] for position in range(len(conditions) + 1)])


def test_rows_are_the_room_s_measures_paired_with_the_intact_model() -> None:
    table = knocked(texts(), cells=some_region(), layers=[2], heads=[(3, 4)])
    heads = np.zeros((2, LAYERS, HEADS), bool)
    heads[0, 1], heads[1, 2, 3] = True, True
    cells = Condition("remove", cells=some_cells())
    expected = measures([cells, *(Condition("remove", heads=mask) for mask in heads)])
    assert list(table["kind"].unique()) == ["cells", "layer", "head"]
    assert list(table["region"].unique()) == ["Δ of Guess", "2", "3.4"]
    removed = [int(some_cells().sum()), HEADS, 1]
    for number, (_, part) in enumerate(table.groupby("kind", sort=False)):
        assert part["row"].tolist() == list(range(6))
        assert set(part["removed"]) == {removed[number]}
        for position, name in enumerate(MEASURES):
            values, intact = expected[number + 1, :, position], expected[0, :, position]
            np.testing.assert_array_equal(part[name].astype(np.float32), values)
            np.testing.assert_array_equal(part[f"{name}_intact"].astype(np.float32), intact)
            np.testing.assert_array_equal(part[f"{name}_difference"], values - intact)
    assert table["extracted"].dtype == table["extracted_intact"].dtype == bool
    assert table["extracted_intact"].tolist() == ([True] * 3 + [False] * 3) * 3
    assert not table["extracted"].all()


@pytest.mark.parametrize("name", ["3", "3.2"])
def test_numbers_are_those_of_the_tables(name: str) -> None:
    kind = "head" if "." in name else "layer"
    mask = units(LAYERS, HEADS, WINDOW, [])[kind][name]
    asked: dict[str, Any] = {"layers": [3]} if kind == "layer" else {"heads": [(3, 2)]}
    table = knocked(texts(), **asked)
    assert set(table["region"]) == {name}
    np.testing.assert_array_equal(
        table["suffix_log_prob"], measures([Condition("remove", heads=mask)])[1, :, 2]
    )


def test_groups_are_removed_at_once() -> None:
    table = knocked(texts(), layers=[(1, 3), 2], heads=[[(1, 2), (3, 4)]])
    assert list(table["region"].unique()) == ["1+3", "2", "1.2+3.4"]
    both = np.zeros((LAYERS, HEADS), bool)
    both[[0, 2]] = True
    expected = measures([Condition("remove", heads=both)])[1, :, 2]
    np.testing.assert_array_equal(table[table["region"] == "1+3"]["suffix_log_prob"], expected)
    one = knocked(texts(), layers=2)
    assert set(one["region"]) == {"2"}


def test_a_block_is_removed_with_all_its_pairs_of_tokens() -> None:
    spans = Spans(0, PREFIX, SUFFIX, 3)
    cells = np.random.default_rng(1).random((LAYERS, spans.packed)) < 0.3
    region = Region(cells, "blocks", PREFIX, frozenset(), 0, block=3)
    table = knocked(texts(), cells=[region, region.control()])
    pairs = spans.expand(cells)
    of_region = table[table["region"] == "blocks"]
    assert set(of_region["removed"]) == {int(pairs.sum())}
    expected = measures([Condition("remove", cells=pairs)])[1, :, 2]
    np.testing.assert_allclose(of_region["suffix_log_prob"], expected, atol=1e-6)
    assert "blocks of 3" in repr(region)
    with pytest.raises(EngramError, match="localize with the same model and window"):
        knock_out(tiny_lm(), texts(), PREFIX - 1, SUFFIX + 1, cells=region)


def test_nothing_removed_changes_nothing() -> None:
    table = knocked(texts(), cells=np.zeros((LAYERS, packed_length(WINDOW)), bool))
    assert set(table["region"]) == {"cells 1"} and set(table["removed"]) == {0}
    assert (table[[f"{name}_difference" for name in MEASURES]] == 0).all(axis=None)


def test_cells_in_every_form() -> None:
    first, second = some_region(), some_region("other", 1)
    packed, square = some_cells(), unpack(some_cells())
    tables = {
        "region": knocked(texts(), cells=first),
        "packed": knocked(texts(), cells=packed),
        "square": knocked(texts(), cells=square),
        "list": knocked(texts(), cells=[first, second]),
        "dict": knocked(texts(), cells={"a": first, "b": second.cells}),
    }
    assert list(tables["list"]["region"].unique()) == ["Δ of Guess", "other"]
    assert list(tables["dict"]["region"].unique()) == ["a", "b"]
    for table in tables.values():
        np.testing.assert_array_equal(
            table["suffix_log_prob"][:6], tables["region"]["suffix_log_prob"]
        )


def test_texts_tokens_and_maps_give_the_same_rows() -> None:
    table = knocked(texts(), layers=[1])
    pd.testing.assert_frame_equal(knocked(tiny_lm().decode(texts()), layers=[1]), table)
    maps = attention(tiny_lm(), texts(), PREFIX, SUFFIX)
    pd.testing.assert_frame_equal(knock_out(tiny_lm(), maps, layers=[1]), table)


def test_a_frame_brings_names_and_classes() -> None:
    frame = pd.DataFrame(
        {"tokens": texts().tolist(), "class": list("abcabc")}, index=list("uvwxyz")
    )
    table = knocked(frame, layers=[1, 2])
    assert table["row"].tolist() == list("uvwxyz") * 2
    assert table["class"].tolist() == list("abcabc") * 2


def test_mean_ablation_takes_its_means_from_the_reference() -> None:
    reference = some_tokens(4, seed=3)
    table = knocked(texts(), layers=[2], operation="mean", reference=reference)
    mask = np.zeros((LAYERS, HEADS), bool)
    mask[1] = True
    means = average(tiny_lm().model, reference, 4096)
    expected = measures([Condition("mean", heads=mask)], means)[1, :, 2]
    np.testing.assert_allclose(table["suffix_log_prob"], expected, rtol=1e-5)
    assert set(table["operation"]) == {"mean"}


def test_texts_that_chose_the_region_are_refused() -> None:
    mixed = np.concatenate([texts(), CHOOSERS[2:4]])
    message = "held_out: 2 of 8 texts chose the region `Δ of Guess`, the first is row 6"
    with pytest.raises(EngramError, match=message):
        knocked(mixed, cells=some_region())
    with pytest.raises(EngramError, match="2 of 8 texts chose the region `control`"):
        knocked(mixed, cells={"control": some_region().control()})
    assert len(knocked(mixed, layers=[1])) == 8  # a layer was chosen by no text


@pytest.mark.parametrize("half", [slice(0, PREFIX), slice(PREFIX, WINDOW)])
def test_half_of_a_text_is_enough_to_be_known(half: slice) -> None:
    tokens = texts()
    tokens[4, half] = CHOOSERS[0, half]
    with pytest.raises(EngramError, match=r"1 of 6 texts chose the region .*, the first is row 4"):
        knocked(tokens, cells=some_region())


def test_errors_are_one_line() -> None:
    tokens, region = texts(), some_region()
    upper = np.ones((LAYERS, WINDOW, WINDOW), bool)
    for options, message in (
        ({}, "nothing to remove; give cells=, layers= or heads="),
        ({"layers": [0]}, "layers: 0; the model has 1 to 3, counted from 1"),
        ({"layers": [4]}, "layers: 4; the model has 1 to 3"),
        ({"layers": ["2"]}, "layers: '2'; the model has 1 to 3"),
        ({"heads": [(4, 1)]}, "heads: layer: 4; the model has 1 to 3"),
        ({"heads": [(1, 5)]}, "heads: 5; the model has 1 to 4"),
        ({"heads": [3]}, r"heads: 3; give pairs of layer and head, \[\(3, 5\)\]"),
        ({"layers": [1, 1]}, "layer 1 is given twice"),
        ({"cells": [region, region]}, "cells Δ of Guess is given twice; name regions with a dict"),
        ({"cells": region, "operation": "zero"}, "operation: 'zero'; choose remove or mean"),
        ({"cells": region, "operation": "mean"}, "reference: none; operation='mean' needs texts"),
        ({"cells": some_cells()[:, :10]}, "3 layers of 10 packed cells, the model and window have"),
        ({"cells": some_cells()[:2]}, "2 layers of 136 packed cells"),
        ({"cells": some_cells().astype(int)}, "an array of int64 and shape"),
        ({"cells": upper}, "some have a key after their query"),
        ({"cells": upper[:, :4, :4]}, r"maps of shape \(4, 4\) for windows of 16 tokens"),
    ):
        with pytest.raises(EngramError, match=message) as error:
            knocked(tokens, **options)
        assert "\n" not in str(error.value)
    with pytest.raises(EngramError, match="lm: a GPTNeoXForCausalLM"):
        knock_out(gpt_neox(), tokens, layers=[1])
    with pytest.raises(EngramError, match="held_out: row 0 has 16 tokens"):
        knock_out(tiny_lm(), tokens, layers=[1])


def test_a_region_of_a_model_that_reads_a_token_first() -> None:
    lm = LanguageModel("begun", gpt_neox(), word_tokenizer((5,)))
    maps = attention(lm, some_tokens(4), PREFIX, SUFFIX)
    assert maps.mean.shape[-1] == 1 + WINDOW
    assert "1 special + 8 + 8" in repr(maps)
    cells = np.zeros((LAYERS, 1 + WINDOW, 1 + WINDOW), bool)
    cells[:, 1:, 0] = True  # attention to the token in front
    table = knock_out(lm, maps, cells=cells)
    assert (table["removed"] == LAYERS * WINDOW).all()
    whole = np.array([[5, *row] for row in some_tokens(4).tolist()])
    condition = Condition("remove", cells=pack(cells))
    ((_, expected),) = room(gpt_neox(), whole, 1 + PREFIX, [condition])
    np.testing.assert_allclose(table["suffix_log_prob"], expected[:, 2], rtol=1e-5)
    with pytest.raises(EngramError, match="localize with the same model and window"):
        knock_out(lm, some_tokens(4), PREFIX, SUFFIX, cells=some_region())
    region = Region(pack(cells), "first", PREFIX, frozenset(), 1, opening=1)
    assert "1 special + 8 + 8" in repr(region)
    drawn = region.control().cells
    in_prefix = (np.add(*np.tril_indices(1 + WINDOW)) >= 0) & (
        np.tril_indices(1 + WINDOW)[0] < 1 + PREFIX
    )
    assert (drawn[:, in_prefix].sum(1) == region.cells[:, in_prefix].sum(1)).all()
