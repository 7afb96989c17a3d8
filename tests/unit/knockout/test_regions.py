"""Regions and their controls: cells of largest Δ, equal counts, equal attention, bands."""

from pathlib import Path

import numpy as np
import pytest
from tiny_knockout import CELLS, CLASSES, PREFIX, SETTINGS, WINDOW, runner, samples, some_delta
from tiny_models import LAYERS

from engram.io.errors import EngramError
from engram.io.packing import packed_length, query_key
from engram.knockout import experiment
from engram.knockout.experiment import run
from engram.knockout.regions import blocks, distance_band, random_region, top_cells
from engram.knockout.trials import region_trials
from engram.lm.inputs import begin_with


def test_top_cells_are_those_of_largest_delta_and_never_of_none() -> None:
    delta = some_delta()[0]
    region = top_cells(delta, 0.1)
    assert region.sum() == round(0.1 * delta.size)
    assert delta[region].min() >= delta[~region].max()
    assert top_cells(np.where(region, delta, 0), 0.5).sum() == region.sum()


def layout(region: np.ndarray) -> np.ndarray:
    """Cells of a region per layer and block, (L, 3)."""
    return np.stack(
        [[(row & (blocks(WINDOW, PREFIX) == part)).sum() for part in range(3)] for row in region]
    )


@pytest.mark.parametrize("share", [0.02, 0.2, 0.8])
def test_controls_of_equal_count_have_the_layers_and_blocks_of_the_region(share: float) -> None:
    region = top_cells(some_delta()[0], share)
    draws = [random_region(region, PREFIX, np.random.default_rng(seed)) for seed in range(3)]
    for drawn in draws:
        np.testing.assert_array_equal(layout(drawn), layout(region))
        assert share > 0.5 or not (drawn & region).any()
    assert (draws[0] != draws[1]).any()


def test_controls_of_equal_attention_come_as_near_as_one_cell() -> None:
    mass = np.random.default_rng(1).random((LAYERS, CELLS))
    region = top_cells(mass, 0.05)
    drawn = random_region(region, PREFIX, np.random.default_rng(0), mass)
    assert not (drawn & region).any()
    assert drawn.sum() > region.sum()
    for layer in range(LAYERS):
        for part in range(3):
            here = blocks(WINDOW, PREFIX) == part
            assert (
                abs(
                    mass[layer, drawn[layer] & here].sum() - mass[layer, region[layer] & here].sum()
                )
                <= 0.5 * mass.max()
            )


def test_bands_hold_their_distances() -> None:
    queries, keys = query_key(WINDOW)
    band = distance_band(1, 3, 2, WINDOW)
    np.testing.assert_array_equal(band[1], np.isin(queries - keys, [1, 2, 3]))


def test_regions_know_what_the_model_reads_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noted(*arguments: object) -> list:
        asked.append(arguments[3])  # type: ignore[arg-type]
        return region_trials(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(experiment, "region_trials", noted)
    other = runner(tmp_path)
    begin_with(other.model, (5,))
    cells = packed_length(1 + WINDOW)
    delta = np.random.default_rng(0).random((len(CLASSES), LAYERS, cells))
    conditions, results = run(other, samples(4, 1), samples(4, 2), delta, CLASSES, SETTINGS, 5)
    assert asked == [1 + PREFIX]
    assert (conditions["kind"] == "delta").any()
    assert len(results) == 4 * len(conditions)
    with pytest.raises(EngramError, match="Δ has shape"):
        run(other, samples(4, 1), samples(4, 2), some_delta(), CLASSES, SETTINGS, 5)
