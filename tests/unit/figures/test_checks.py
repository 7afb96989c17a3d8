"""Saliency checks: every method and control in its place."""

import numpy as np
import pytest

from engram.figures.checks import saliency_checks

METHODS = ["guided", "gradient", "integrated_gradients", "gradcam"]


def test_points_are_the_correlations_and_lines_the_probabilities(check_tables, style):
    figure = saliency_checks(*check_tables, METHODS, style=style)
    randomization, _, deletion = check_tables
    left, right, removed, kept = figure.axes
    points = [line.get_xdata()[0] for line in left.lines if line.get_marker() == "o"]
    assert sorted(points) == pytest.approx(sorted(randomization["rho"]))
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels[0] == "fc2 re-initialized" and labels[-1] == "attention" and len(labels) == 6
    assert [label.get_text() for label in right.get_yticklabels()] == [
        "architecture",
        "architecture\n(one untrained)",
    ]
    guided = deletion[(deletion["cells"] == "guided") & (deletion["mode"] == "deletion")]
    np.testing.assert_allclose(removed.lines[0].get_ydata(), guided["probability"])
    assert len(kept.lines) == 7


def test_one_cnn_is_said_to_have_nothing_to_compare(check_tables, style):
    randomization, agreement, deletion = check_tables
    figure = saliency_checks(randomization, agreement.iloc[:0], deletion, METHODS, style=style)
    assert "one CNN: nothing to compare" in [text.get_text() for text in figure.axes[1].texts]
