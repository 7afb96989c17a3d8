"""Models that are trained from scratch: every architecture learns, is saved and comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_sources import byte_tokenizer

from engram.lm.generation import teacher_forced_scores
from engram.lm.models import load_model
from engram.nursery.architectures import CONFIGURATIONS, random_model
from engram.nursery.settings import DrillingSettings, ShapeSettings
from engram.nursery.starting_point import StartingPoint

PREFIX, LENGTH = 4, 8
TRAINING = {"batch_size": 4, "learning_rate": 0.01, "warmup_steps": 5, "workers": 1}


def shape(architecture: str) -> ShapeSettings:
    return ShapeSettings(architecture=architecture, layers=2, width=24, heads=2)


@pytest.mark.parametrize("architecture", CONFIGURATIONS)
def test_weights_follow_from_shape_and_seed(architecture: str) -> None:
    model, again, other = (random_model(shape(architecture), 50, 16, seed) for seed in (1, 1, 2))
    config = model.config
    assert config.model_type == architecture and config.num_hidden_layers == 2
    assert (config.hidden_size, config.num_attention_heads, config.vocab_size) == (24, 2, 50)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    states = [each.state_dict() for each in (model, again, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


@pytest.mark.parametrize("architecture", CONFIGURATIONS)
def test_a_model_from_scratch_learns_a_window_and_comes_back(
    architecture: str, tmp_path: Path
) -> None:
    rows = np.random.default_rng(0).integers(1, 50, (2, LENGTH)).astype(np.uint16)
    base = StartingPoint(tmp_path / "no base", byte_tokenizer(), pd.DataFrame(), rows[:1], rows[:0])
    settings = DrillingSettings(training=TRAINING)
    files = (tmp_path / "state", tmp_path / "model", tmp_path / "curve.csv")
    base.drill(np.tile(rows[:1], (240, 1)), settings, *files, shape=shape(architecture), seed=1)
    model = load_model(tmp_path / "model", device="cpu")
    assert model.config.model_type == architecture
    scores = teacher_forced_scores(model, rows.astype(np.int64), PREFIX)
    assert scores["extracted"].tolist() == [True, False]  # the second was never shown
    assert pd.read_csv(files[2])["step"].iloc[-1] == 60
