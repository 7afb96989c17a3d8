"""Localization: planted regions are found, by the same steps as a study's."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from planted import CLASSES, LAYERS, PREFIX, SETTINGS, TOKENS, planted_dataset, region

from engram.api.attention import AttentionMaps
from engram.api.content import all_halves, content_numbers
from engram.api.localization import QUICK, STANDARD, Localization, localize
from engram.cnn.grid import train_grid
from engram.cnn.network import AttentionCNN
from engram.io.errors import EngramError
from engram.io.packing import pack, unpack
from engram.io.spans import Spans
from engram.knockout.regions import blocks as blocks_of_map
from engram.saliency.delta import saliency_of_grid
from engram.scores.score_table import score_table

FEWER = SETTINGS.model_copy(update={"seeds": (0,)})


@cache
def planted_maps(rows: int = 450) -> tuple[AttentionMaps, pd.Series]:
    """Maps whose classes depend on one band of one layer each, and their classes."""
    data = planted_dataset(rows)
    index = pd.Index([f"t{i}" for i in range(rows)])
    tokens = np.random.default_rng(0).integers(0, 1000, (rows, TOKENS))
    verification = pd.DataFrame({"extracted": True}, index=index)
    maps = AttentionMaps(
        tokens, index, PREFIX, data.mean, data.max.astype(np.float16), verification, "planted"
    )
    return maps, pd.Series(np.array(CLASSES)[data.label], index=index)


@cache
def planted_delta() -> Localization:
    maps, classes = planted_maps()
    return localize(maps, classes, settings=FEWER, resamples=200)


def test_real_labels_are_learned_and_shuffled_ones_are_not() -> None:
    scores = planted_delta().scores.set_index("labels")
    assert list(scores.index) == ["real", "shuffled"]
    real, shuffled = scores.loc["real"], scores.loc["shuffled"]
    assert real["balanced_accuracy_low"] > 0.8
    assert shuffled["balanced_accuracy"] < 0.6 < real["balanced_accuracy"]
    assert (real["balanced_accuracy_low"] <= real["balanced_accuracy"]) and real["cnns"] == 2


@pytest.mark.parametrize("name", ["Near", "Far"])
def test_the_top_cells_of_a_class_are_the_planted_ones(name: str) -> None:
    planted = region(name)
    chosen = planted_delta().top(planted.mean(), name)
    assert (chosen.cells & planted).sum() > 0.5 * planted.sum()
    layers = planted_delta().layers
    mine = layers[layers["class"] == name].set_index("layer")["share"]
    assert mine.idxmax() == int(planted.any(1).argmax()) + 1


def test_blocks_go_through_to_the_region() -> None:
    """The maps of 2 × 2 tokens of maps that are twice as large, with a ragged end."""
    maps, classes = planted_maps()
    spans = Spans(0, 2 * PREFIX - 1, 2 * (TOKENS - PREFIX) - 1, 2)
    tokens = np.random.default_rng(0).integers(0, 1000, (len(maps), spans.tokens))
    blocks = replace(maps, tokens=tokens, prefix=spans.prefix, block=2)
    found = localize(blocks, classes, settings=FEWER, resamples=50)
    assert found.delta().shape == (LAYERS, TOKENS, TOKENS)
    assert f"{PREFIX} + {TOKENS - PREFIX} blocks of 2 tokens" in repr(found)
    chosen = found.top(region("Near").mean(), "Near")
    assert (chosen.cells & region("Near")).sum() > 0.5 * region("Near").sum()
    parts = [
        blocks_of_map(TOKENS, PREFIX)[cells.any(0)]
        for cells in (chosen.cells, chosen.control().cells)
    ]
    assert set(parts[0]) == set(parts[1]) and chosen.block == 2
    assert isinstance(found.plot(), Figure)


def test_without_a_class_the_memorized_ones_are_averaged() -> None:
    delta = replace(planted_delta(), classes=["Non-Memo", "Near", "Far"])
    expected = (delta.saliency.delta[1] + delta.saliency.delta[2]) / 2
    np.testing.assert_allclose(delta.delta(), unpack(expected))
    cells = delta.top(0.01).cells
    assert expected[cells].min() >= expected[~cells].max()
    assert delta.top(0.01).name == "Δ of memorized classes, 1.00%"


def test_it_is_the_work_of_the_rooms() -> None:
    """Grid, scores and Δ of the same data set by the functions that a study calls."""
    maps, classes = planted_maps()
    delta = planted_delta()
    rows = maps.index.get_indexer(delta.samples.index)
    data = replace(
        planted_dataset(),
        sequence_id=rows,
        content_group=content_numbers(maps.tokens[rows][:, PREFIX:]),
        tokens=maps.tokens[rows],
        mean=maps.packed_mean[rows],
        max=maps.packed_max[rows],
        label=pd.Categorical(classes.iloc[rows], categories=delta.classes).codes.astype(np.int64),
        split=delta.samples["split"].to_numpy(dtype=object),
        classes=delta.classes,
    )
    result = train_grid(data, FEWER, "best_epoch")
    trained = {key: result.trained[key] for key in FEWER.grid() if key.labels == "real"}
    frames = [
        pd.DataFrame(
            {
                "sequence_id": data.sequence_id[cnn.row],
                "content_group": data.content_group[cnn.row],
                "split": data.split[cnn.row],
                "class": np.array(data.classes, object)[data.label[cnn.row]],
                **vars(key),
                "logits": list(cnn.logits),
            }
        )
        for key, cnn in trained.items()
    ]
    scores = score_table(pd.concat(frames), data.classes, resamples=200, seed=1)
    pd.testing.assert_frame_equal(delta.scores.iloc[[0]], scores)
    assert len(delta.history) == sum(len(cnn.history) for cnn in result.trained.values())
    test = data.rows("test")
    assert delta.saliency.n == np.bincount(data.label[test]).tolist()
    cnns = {}
    for key, cnn in trained.items():
        built = AttentionCNN.of(result.architectures[key], LAYERS, 3, TOKENS)
        built.load_state_dict(cnn.parameters)
        cnns[f"{key.cnn}/{key.seed}"] = built.eval()
    expected = saliency_of_grid(
        cnns, data.mean[test], data.max[test], data.label[test], data.classes, ["guided"], PREFIX
    )["guided"]
    np.testing.assert_array_equal(delta.saliency.delta, expected.delta)


def test_the_same_arguments_give_the_same_numbers() -> None:
    maps, classes = planted_maps(120)
    quick = SETTINGS.model_copy(update={"kernels": (3,), "epochs": 2})
    first, second = (localize(maps, classes, settings=quick, resamples=50) for _ in range(2))
    pd.testing.assert_frame_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.saliency.delta, second.saliency.delta)
    pd.testing.assert_frame_equal(first.layers, second.layers)


QUICKER = SETTINGS.model_copy(update={"kernels": (3,), "epochs": 1, "controls": ()})


def quick(maps: AttentionMaps, classes: Any, **options: Any) -> Localization:
    return localize(maps, classes, settings=QUICKER, resamples=20, **options)


def test_equal_suffixes_stay_in_one_split() -> None:
    maps, classes = planted_maps(240)
    tokens = maps.tokens.copy()
    tokens[120:, PREFIX:] = tokens[:120, PREFIX:]
    delta = quick(replace(maps, tokens=tokens), classes)
    split = delta.samples["split"].reindex(maps.index)
    both = pd.DataFrame({"a": split[:120].to_numpy(), "b": split[120:].to_numpy()}).dropna()
    assert len(both) > 50 and (both["a"] == both["b"]).all()


def test_classes_are_balanced_and_what_took_part_is_remembered() -> None:
    maps, classes = planted_maps(150)
    fewer = classes.copy()
    fewer[(classes == "Far") & (np.arange(150) >= 90)] = None
    delta = quick(maps, fewer)
    assert delta.samples["class"].value_counts().to_dict() == dict.fromkeys(delta.classes, 30)
    used = maps.index.get_indexer(delta.samples.index)
    assert delta.chosen_by == all_halves(maps.tokens[used], PREFIX)
    assert (classes[delta.samples.index] == delta.samples["class"].astype(object)).all()
    assert quick(maps, fewer, per_class=25).samples["class"].value_counts().max() == 25
    assert delta.top(0.1).texts == 90


def test_a_text_keeps_its_split_when_others_come_along() -> None:
    maps, classes = planted_maps(240)
    small = quick(maps[:120], classes[:120]).samples["split"]
    large = quick(maps, classes).samples["split"]
    both = pd.concat([small, large], axis=1, join="inner")
    assert len(both) > 50 and (both.iloc[:, 0] == both.iloc[:, 1]).all()


def test_classes_are_matched_by_name_or_by_place() -> None:
    maps, classes = planted_maps(120)
    by_name = quick(maps, classes.sample(frac=1, random_state=0))
    by_place = quick(maps, classes.tolist())
    by_array = quick(maps, classes.to_numpy())
    more = quick(maps, pd.concat([classes, pd.Series({"unseen": "Near"})]))
    for other in (by_place, by_array, more):
        pd.testing.assert_frame_equal(by_name.samples, other.samples)


def test_categories_give_the_order_of_the_classes() -> None:
    maps, classes = planted_maps(120)
    order = ["Far", "Neither", "Unused", "Near"]
    ordered = pd.Series(pd.Categorical(classes, categories=order), index=classes.index)
    assert quick(maps, ordered).classes == ["Far", "Neither", "Near"]
    renamed = classes.replace({"Near": "Others", "Neither": "Non-Memo"})
    assert quick(maps, renamed).classes == ["Non-Memo", "Far", "Others"]


def test_few_texts_get_the_quick_grid() -> None:
    assert set(QUICK.kernels) < set(STANDARD.kernels)
    assert STANDARD.controls == QUICK.controls == ("shuffled",)


def test_a_localization_says_what_it_is() -> None:
    delta = planted_delta()
    said = repr(delta)
    for part in (
        "Localization: model planted",
        "classes Far, Near, Neither",
        "balanced accuracy 1.000 [",
        "balanced accuracy, shuffled labels 0.",
        "Δ guided, 2 CNNs",
        f"{LAYERS} layers, 12 + 12 tokens",
    ):
        assert part in said
    assert "<strong>Localization</strong>" in delta._repr_html_()
    for figure in (delta.plot(), delta.plot_layers()):
        assert isinstance(figure, Figure) and figure._repr_png_()


def test_other_methods_may_be_asked_for() -> None:
    maps, classes = planted_maps(120)
    assert quick(maps, classes, method="gradient").method == "gradient"


def test_errors_are_one_line() -> None:
    maps, classes = planted_maps(150)
    few = classes.where(np.arange(150) < 30)
    same = maps.tokens.copy()
    same[:, PREFIX:] = same[0, PREFIX:]
    for call, message in (
        (lambda: localize(maps.mean, classes), "maps: a ndarray; give what engram.attention"),
        (lambda: localize(maps, classes[:-1]), "classes: the index lacks row t149"),
        (lambda: localize(maps, pd.concat([classes, classes[:1]])), "names a row twice"),
        (lambda: localize(maps, ["a"] * 7), "classes: 7 for 150 texts"),
        (lambda: localize(maps, ["a"] * 150), r"classes: 1 with texts \(a\); two are needed"),
        (lambda: localize(maps, [None] * 150), r"classes: 0 with texts \(none\)"),
        (lambda: localize(maps, ["a", "b \ud800"] * 75), r"classes: b \\ud800 holds half a char"),
        (lambda: localize(maps, few), r"Far has 10 texts, 20 are needed \(Far 10, Near 10, Neit"),
        (lambda: localize(maps, classes, method="magic"), "saliency method 'magic': choose"),
        (lambda: localize(replace(maps, tokens=same), classes), "no sample in the"),
        (lambda: planted_delta().top(0), "share: 0; give the fraction of all cells"),
        (lambda: planted_delta().top(1.5), "share: 1.5"),
        (lambda: planted_delta().top("all"), "share: 'all'"),
        (lambda: planted_delta().top(0.1, "Guess"), "class 'Guess': choose Far, Near, Neither"),
    ):
        with pytest.raises(EngramError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_region_and_its_control() -> None:
    chosen = planted_delta().top(0.05, "Near")
    assert chosen.share == pytest.approx(0.05, abs=1e-3)
    assert chosen.layers["cells"].sum() == chosen.cells.sum()
    np.testing.assert_array_equal(pack(chosen.mask), chosen.cells)
    control = chosen.control()
    assert control.layers["cells"].tolist() == chosen.layers["cells"].tolist()
    assert not (control.cells & chosen.cells).any()
    assert control.chosen_by == chosen.chosen_by
    np.testing.assert_array_equal(chosen.control(1).cells, control.cells)
    assert (chosen.control(2).cells != control.cells).any()
    assert repr(chosen).startswith("Region Δ of Near, 5.00%: cells 60 of 1,200 (5.00%), layers ")
    assert "chosen by 450 texts" in repr(chosen)
    assert "<strong>Region Δ of Near" in chosen._repr_html_()


def test_maps_with_a_token_in_front_are_localized_like_others() -> None:
    """The first of the planted windows' tokens is taken for one that the model reads first."""
    maps, classes = planted_maps()
    begun = replace(maps, tokens=maps.tokens[:, 1:], prefix=PREFIX - 1, opening=(7,))
    assert begun.read_tokens.shape == maps.tokens.shape
    found = localize(begun, classes, settings=FEWER, resamples=200)
    assert (found.opening, found.prefix) == (1, PREFIX - 1)
    assert found.saliency.bins.prefix == PREFIX
    assert found.top(0.01).opening == 1
    assert f"1 special + {PREFIX - 1} + {TOKENS - PREFIX} tokens" in repr(found)
    assert found.chosen_by <= all_halves(begun.tokens, PREFIX - 1)
    assert found.scores.set_index("labels").loc["real", "balanced_accuracy"] > 0.6
    assert isinstance(found.plot(), Figure)
    assert isinstance(begun.plot(0), Figure)
