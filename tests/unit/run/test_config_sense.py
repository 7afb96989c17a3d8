"""Values of a config that do not go together: one clear line each."""

import pytest
from configs import CROSSED, changed, message, one_line

MISTAKES: dict[str, tuple[dict, str]] = {
    "study of the base": (
        changed("study", to="nursery_base"),
        "study: results/nursery_base/ is where",
    ),
    "window too short": (
        changed("prefix", to=4, of=changed("suffix", to=4)),
        "cnn.kernels: 6 is too large for windows of prefix + suffix = 8",
    ),
    "splits without a test": (
        changed("samples", "train", to=0.8),
        "samples: train 0.8 and validation 0.2 leave nothing to test on",
    ),
    "minimum above size": (
        changed("samples", "minimum", to=500),
        "samples.minimum: 500 is greater than samples.per_class, 400",
    ),
    "unknown category": (
        changed("taxonomies", to=["Non-Memo, Recal, Others"]),
        "unknown class `Recal`; the categories are",
    ),
    "no taxonomy": (
        changed("taxonomies", to=["Non-Memo"]),
        "taxonomy `Non-Memo`: at least two classes are needed",
    ),
    "one taxonomy twice": (
        changed("taxonomies", to=["Non-Memo, Code", "Non-Memo,Code"]),
        "are one taxonomy or have one folder name",
    ),
    "localized elsewhere": (
        changed("saliency", "localize", to=["Non-Memo, Code"]),
        "`Non-Memo, Code` is not among the study's taxonomies",
    ),
    "knocked out elsewhere": (
        changed("knockout", "taxonomies", to=["Non-Memo, Code"]),
        "knockout.taxonomies: `Non-Memo, Code` is not among the localized taxonomies",
    ),
    "a band from far to near": (
        changed("knockout", "bands", to=[[4, 2]]),
        "knockout.bands: [4, 2] runs from far to near",
    ),
    "steered classes that no taxonomy has": (
        changed("mechanisms", "steering", to={"enabled": True, "recalled": "Recite[5]"}),
        "mechanisms.steering: no localized taxonomy has the class Recite[5] and the class Guess; "
        "name classes of one of Non-Memo, Guess, Others",
    ),
    "an attacked class that no taxonomy has": (
        changed("mechanisms", "locality", to={"enabled": True, "recalled": "Recite[5]"}),
        "mechanisms.locality: no localized taxonomy has the class Recite[5] and the class Guess; "
        "name classes of one of Non-Memo, Guess, Others",
    ),
    "a class that is steered and kept": (
        changed("mechanisms", "steering", to={"recalled": "Guess"}),
        "mechanisms.steering.kept: `Guess` is also `recalled`; name another class",
    ),
    "localized nonsense": (
        changed("saliency", "localize", to=["x"]),
        "taxonomy `x`: unknown class `x`",
    ),
    "half a flow": (
        changed("flow", to=["Non-Memo, Code"]),
        "flow: only `Non-Memo, Code` is given; name two",
    ),
    "flow of nonsense": (
        changed("flow", to=["Non-Memo, Code", "x"]),
        "taxonomy `x`: unknown class `x`",
    ),
    "category of lower case": (
        changed("categories", to=[{"name": "x", "where": "is_code"}]),
        "category `x`: a name is capitalised words",
    ),
    "category of two lines": (
        changed("categories", to=[{"name": "X", "where": "a\n>"}]),
        "predicate `a >`: not an expression",
    ),
    "category twice": (
        changed("categories", to=[{"name": "X", "where": "is_code"}] * 2),
        "categories: X is defined twice",
    ),
    "unknown colours": (
        changed("figures", "colormap", to="jett"),
        "figures.colormap: matplotlib has no `jett`",
    ),
    "no colour": (
        changed("figures", "palette", to={"Guess": "orangish"}),
        "figures.palette.Guess: `orangish` is not a colour",
    ),
    "a layer for a class that is not there": (
        changed("saliency", "shown_layers", to=[{"name": "Quote", "layer": 3}]),
        "saliency.shown_layers: `Quote` is not a class of the study's taxonomies; name one of",
    ),
    "two layers of one class": (
        changed("saliency", "shown_layers", to=2 * [{"name": "Guess", "layer": 3}]),
        "saliency.shown_layers: Guess appears twice; give each class one layer",
    ),
    "pooling that leaves nothing": (
        changed("cnn", "pooling_kernel", to=8),
        "cnn.kernels: 6 with cnn.pooling_kernel 8 is too large for windows of prefix + suffix = 64",
    ),
    "seed too large to be doubled": (
        changed("cnn", "seeds", to=[2**31], of=changed("protocols", to=["reference"])),
        "cnn.seeds: 2147483648 is too large for the protocol `reference`",
    ),
    "one category to search": (
        changed("search", "categories", to=["Guess"]),
        "search.categories: `Guess` alone can be neither merged nor ordered",
    ),
    "blocks that leave nothing": (
        changed("attention", "block", to=16),
        "cnn.kernels: 6 is too large for windows of prefix + suffix = 64 tokens in 4 blocks of "
        "attention.block; take smaller kernels",
    ),
    "blocks under the paper's protocol": (
        changed("attention", "block", to=2, of=changed("protocols", to=["engram", "paper"])),
        "attention.block: 2; the protocol `paper` has a cell for every token, set it to 1",
    ),
    "blocks of a crossed pair": (
        changed("attention", "block", to=2, of=CROSSED),
        "attention.block: 2; crossed pairs are compared token by token, set it to 1",
    ),
    "row below window": (
        changed("nursery_base", "text", "row_tokens", to=32),
        "nursery_base.text.row_tokens: 32 is less than prefix + suffix = 64",
    ),
}


@pytest.mark.parametrize(("config", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_clear_line(config: dict, expected: str) -> None:
    assert expected in one_line(config)


@pytest.mark.parametrize(
    ("place", "values"),
    [
        (("knockout", "bands"), [[4, 2], [9, 3]]),
        (("search", "categories"), ["Guess, Code", "Guess-or-Code"]),
        (("flow",), ["x", "y"]),
    ],
)
def test_every_wrong_item_has_a_line(place: tuple, values: list) -> None:
    assert len(message(changed(*place, to=values)).splitlines()) == 2


def test_categories_of_one_folder_name_are_refused() -> None:
    config = changed("categories", to=[{"name": "CODE", "where": "is_code"}])
    assert "have one folder name, non-memo_code" in message(
        changed("taxonomies", to=["Non-Memo, Code", "Non-Memo, CODE"], of=config)
    )
