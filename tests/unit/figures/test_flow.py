"""Flow between taxonomies: the drawn shares."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch, Rectangle

from engram.figures.flow import taxonomy_flow
from engram.io.errors import EngramError

OLD, NEW = (
    ["Recite[5]", "Reconstruct", "Code", "Recollect[5]", "Others"],
    ["Guess", "Code", "Reconstruct-or-Recollect[50]", "Others"],
)


def flow(samples, style):
    return taxonomy_flow(samples, OLD, NEW, ("old", "new"), style=style).axes[0]


def test_bars_are_the_shares_of_the_classes(flows, style):
    bars = [
        patch.get_height() for patch in flow(flows, style).patches if isinstance(patch, Rectangle)
    ]
    expected = [(flows["old"] == name).mean() for name in OLD] + [
        (flows["new"] == name).mean() for name in NEW
    ]
    np.testing.assert_allclose(bars, expected)


def test_bands_are_the_shares_of_the_pairs_and_keep_their_width(flows, style):
    paths = [
        patch.get_path().vertices
        for patch in flow(flows, style).patches
        if isinstance(patch, PathPatch)
    ]
    left, right = [[path[a, 1] - path[b, 1] for path in paths] for a, b in ((7, 0), (4, 3))]
    expected = [
        ((flows["old"] == old) & (flows["new"] == new)).mean() for old in OLD for new in NEW
    ]
    np.testing.assert_allclose(left, [share for share in expected if share])
    np.testing.assert_allclose(right, left)


def test_bands_of_a_bar_do_not_overlap(flows, style):
    paths = [
        patch.get_path().vertices
        for patch in flow(flows, style).patches
        if isinstance(patch, PathPatch)
    ]
    for above, below in ((0, 7), (3, 4)):
        edges = sorted((path[above, 1], path[below, 1]) for path in paths)
        assert all(after[0] >= before[1] - 1e-12 for before, after in itertools.pairwise(edges))


def test_percentages_and_counts_are_written(flows, style):
    texts = [text.get_text() for text in flow(flows, style).texts]
    assert {"80.0 % (800)", "4.1 % (41)", "60.0 %", "20.0 %", "n = 1,000 memorized samples"} <= set(
        texts
    )


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_two_to_five_classes_can_be_drawn(classes, style, overlapping):
    samples = pd.DataFrame({"old": OLD[:classes] * 20, "new": (NEW * 5)[:classes] * 20})
    assert overlapping(flow(samples, style).figure) == []


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (pd.DataFrame({"old": [], "new": []}), "no rows"),
        (pd.DataFrame({"old": ["Code"], "new": ["Poem"]}), "new class Poem is not one of Guess"),
        (pd.DataFrame({"old": ["Code", None], "new": ["Code", "Code"]}), r"old class \(none\)"),
    ],
)
def test_what_cannot_be_drawn_is_named(samples, message, style):
    with pytest.raises(EngramError, match=message):
        flow(samples, style)
