"""Entropy in the course of a training: watched at every state, also of a run that was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import LAYERS, VOCABULARY, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.figures.entropy_course import entropy_course
from engram.figures.style import FigureStyle
from engram.io.errors import EngramError
from engram.mechanisms.entropy import representation_entropy
from engram.mechanisms.entropy_course import EntropyCourse, course_of, course_windows
from engram.mechanisms.entropy_steps import entropy_by_step
from engram.nursery.settings import TrainingSettings
from engram.nursery.training import train

PREFIX, PATCH = 4, 2
TOKENS = random_tokens(6, 8, 1)
WINDOWS = pd.DataFrame(
    {"sequence_id": np.arange(6), "tokens": [*TOKENS], "exposures": [0, 3, 0, 0, 1, 0]}
)
ROWS = np.random.default_rng(0).integers(VOCABULARY, size=(20, 8)).astype(np.uint16)
SETTINGS = TrainingSettings(batch_size=4, warmup_steps=1, checkpoint_steps=2, workers=1)


def test_as_many_windows_of_either_kind_are_drawn() -> None:
    chosen = course_windows(WINDOWS, 2, seed=1)
    assert (chosen["exposures"] > 0).sum() == (chosen["exposures"] == 0).sum() == 2
    assert chosen.equals(course_windows(WINDOWS.sample(frac=1, random_state=0), 2, seed=1))
    assert course_of(WINDOWS, None, PREFIX, Path("nowhere"), 1) is None


def weights(model: PreTrainedModel) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in model.parameters()]


def test_a_watched_training_is_the_training_and_its_end_the_model(tmp_path: Path) -> None:
    plain, watched = gpt_neox(), gpt_neox()
    train(plain, ROWS, SETTINGS, tmp_path / "plain", "plain")
    course = course_of(
        WINDOWS, {"course_windows": 9, "patch": PATCH}, PREFIX, tmp_path / "watched/entropy", 1
    )
    assert course is not None
    with pytest.raises(EngramError, match="drill the model again"):
        course.table()
    train(watched, ROWS, SETTINGS, tmp_path / "watched", "watched", course)
    assert all(map(torch.equal, weights(plain), weights(watched)))
    table = course.table()
    assert sorted(set(table["step"])) == [0, 2, 4, 5]
    assert len(table) == 4 * 6 * (LAYERS + 1)
    for step, model in ((0, gpt_neox()), (5, watched.eval())):
        expected = representation_entropy(model, TOKENS, PREFIX, PATCH).values()
        own = table[table["step"] == step].sort_values(["sequence_id", "depth"])
        for name, values in expected.items():
            np.testing.assert_allclose(own[name].to_numpy(), values.ravel(), atol=1e-6)


def test_a_killed_training_keeps_its_steps(tmp_path: Path) -> None:
    course = EntropyCourse(WINDOWS, PREFIX, PATCH, tmp_path / "entropy")

    def dies(model: PreTrainedModel, step: int) -> None:
        course(model, step)
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(gpt_neox(), ROWS, SETTINGS, tmp_path, "killed", dies)
    seen: list[int] = []
    resumed = gpt_neox()

    def watch(model: PreTrainedModel, step: int) -> None:
        seen.append(step)
        course(model, step)

    train(resumed, ROWS, SETTINGS, tmp_path, "resumed", watch)
    assert seen == [4, 5]
    assert sorted(set(course.table()["step"])) == [0, 2, 4, 5]


def test_steps_have_means_with_intervals_and_lines() -> None:
    course = pd.DataFrame(
        {
            "step": [0] * 4 + [10] * 4,
            "depth": 0,
            "sequence_id": [0, 1, 2, 3] * 2,
            "exposures": [1, 1, 0, 0] * 2,
            "entropy": [1.0, 2.0, 3.0, 3.0, 0.0, 1.0, 3.0, 3.0],
            "suffix_entropy": 1.0,
        }
    )
    table = entropy_by_step(course, 0.95).set_index(["windows", "step", "depth"])
    shown = table.loc["shown", 10, 0]
    assert (shown["n"], shown["entropy"], shown["suffix_entropy_low"]) == (2, 0.5, 1.0)
    assert shown["entropy_high"] - 0.5 == pytest.approx(12.706 * 0.5, rel=1e-3)
    assert table.loc["never shown", 0, 0]["entropy"] == 3
    figure = entropy_course(table.reset_index(), style=FigureStyle())
    assert [axes.get_title() for axes in figure.axes] == ["never shown", "shown"]
    line = figure.axes[1].get_lines()[0]
    assert line.get_xydata().tolist() == [[0, 1.5], [10, 0.5]]
