"""Planted truth: the class depends on one band of one layer; which methods find it, and what a CNN
of shuffled labels shows.
"""

import numpy as np
import pytest
from planted import BANDS, CLASSES, PREFIX, planted, region

from engram.cnn.training import predict
from engram.saliency.delta import saliency_of_grid
from engram.saliency.delta_shares import draw_shares, top_regions
from engram.saliency.file import Saliency
from engram.saliency.held_out import HeldOut
from engram.saliency.methods import METHODS
from engram.saliency.sanity_checks import check_saliency
from engram.saliency.settings import CheckSettings

RESOLVED = [method for method in METHODS if method != "gradcam"]
"""Methods that tell layers apart."""


def overlap(delta: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of the planted cells and equally many cells of the greatest Δ; (L, P)
    both.
    """
    top = np.zeros(delta.size, bool)
    top[np.argsort(-delta.ravel(), kind="stable")[: truth.sum()]] = True
    both = top.reshape(delta.shape)
    return float((both & truth).sum() / (both | truth).sum())


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Saliency]]:
    """Kind of labels → method → saliency of held-out samples."""
    data, cnns = planted()
    test = data.rows("test")
    sets = {
        labels: {key.path: cnn for key, cnn in cnns.items() if key.labels == labels}
        for labels in ("real", "shuffled")
    }
    return {
        labels: saliency_of_grid(
            mine, data.mean[test], data.max[test], data.label[test], CLASSES, METHODS, PREFIX
        )
        for labels, mine in sets.items()
    }


def test_cnns_know_the_classes_and_those_of_shuffled_labels_do_not() -> None:
    data, cnns = planted()
    test = data.rows("test")
    hits = {
        key: (predict(cnn, data.mean, test).argmax(axis=1) == data.label[test]).mean()
        for key, cnn in cnns.items()
    }
    assert min(share for key, share in hits.items() if key.labels == "real") > 0.95
    assert np.mean([share for key, share in hits.items() if key.labels == "shuffled"]) < 0.6


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("method", RESOLVED)
def test_top_cells_are_the_planted_ones(
    found: dict[str, dict[str, Saliency]], method: str, name: str
) -> None:
    assert overlap(found["real"][method].delta[CLASSES.index(name)], region(name)) >= 0.5


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("method", METHODS)
def test_top_cells_of_shuffled_labels_are_not_the_planted_ones(
    found: dict[str, dict[str, Saliency]], method: str, name: str
) -> None:
    assert overlap(found["shuffled"][method].delta[CLASSES.index(name)], region(name)) < 0.5


@pytest.mark.parametrize("name", BANDS)
def test_neither_attention_alone_nor_a_map_without_layers_finds_the_planted_cells(
    found: dict[str, dict[str, Saliency]], name: str
) -> None:
    data, _ = planted()
    mine = data.rows("test")[data.label[data.rows("test")] == CLASSES.index(name)]
    assert overlap(data.max[mine].mean(axis=0), region(name)) < 0.5
    assert overlap(found["real"]["gradcam"].delta[CLASSES.index(name)], region(name)) < 0.5


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("method", RESOLVED)
def test_first_region_in_words_names_layer_and_distance(
    found: dict[str, dict[str, Saliency]], method: str, name: str
) -> None:
    saliency = found["real"][method]
    table = top_regions(draw_shares(saliency, resamples=100, confidence=0.95, seed=0))
    first = table[(table["class"] == name) & (table["rank"] == 1)].iloc[0]
    layer, distance = BANDS[name]
    assert (first["layers"], first["distances"]) == (f"{layer + 1}", f"{distance}")
    assert f"layer {layer + 1}, " in first["words"] and first["words"].endswith(
        f"distance {distance}"
    )
    assert first["low"] <= first["share"] <= first["high"] and first["low"] > first["attention"]


def test_checks_see_that_the_cnns_have_learned() -> None:
    data, cnns = planted()
    test = data.rows("test")
    samples = HeldOut(data.mean[test], data.max[test], data.label[test], CLASSES)
    settings = CheckSettings(
        methods=["integrated_gradients", "gradcam"], rank_draws=10, resamples=100
    )
    tables = check_saliency(cnns, samples, settings)

    validity = tables["validity"].set_index("method")
    assert (validity["used_low"] > 0.2).all()
    assert (validity["learned"] > 0).all()
    assert validity.loc["integrated_gradients", "over_shuffled_low"] > 0.1
    assert validity.loc["integrated_gradients", "over_attention"] > 0

    deletion = tables["deletion"].set_index(["cells", "mode", "class", "share"])["probability"]
    assert deletion["none", "deletion", "all", 0.0] > 0.9
    assert (
        deletion["integrated_gradients", "deletion", "all", 0.02]
        < deletion["shuffled labels", "deletion", "all", 0.02] - 0.1
    )
    assert deletion["random", "deletion", "all", 0.02] > 0.9
    assert (
        deletion["integrated_gradients", "insertion", "all", 0.02]
        > deletion["random", "insertion", "all", 0.02] + 0.2
    )

    randomization = tables["randomization"]
    assert set(randomization["against"]) == {
        "fc2",
        "fc2 to fc1",
        "fc2 to conv2",
        "fc2 to conv1",
        "shuffled labels",
        "attention",
    }
    assert set(tables["agreement"]["against"]) == {
        "seed", "seed (untrained)", "architecture", "architecture (untrained)", "gradcam",
    }  # fmt: skip
    assert (
        randomization["rho"].between(-1, 1).all()
        and (randomization["low"] <= randomization["high"]).all()
    )
    assert sorted(randomization["layer"].unique()) == ["1", "2", "3", "4", "all"]
