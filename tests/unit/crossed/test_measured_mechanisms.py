"""What is measured inside both models of a pair, and how the paired scorer is shown it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_language_model import PREFIX, SUFFIX, tokenizer
from tiny_models import LAYERS, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.crossed.measured_mechanisms import measure_windows
from engram.crossed.mechanism_inputs import MechanismInputs
from engram.crossed.mechanism_values import inputs_of, read_values
from engram.lm import kept_batches, models
from engram.lm.kept_batches import Kept
from engram.lm.tokens import decode
from engram.mechanisms.entropy import representation_entropy
from engram.mechanisms.logit_lens import layer_values, read_layers
from engram.mechanisms.remind import FEATURES, Neighbourhood, measure_landscape
from engram.run.config import complete

N = 6
TOKENS = random_tokens(N, PREFIX + SUFFIX, 3)
IDS = np.array([5, 3, 9, 1, 7, 2])
WINDOWS = pd.DataFrame({"sequence_id": IDS, "tokens": [*TOKENS]})
INPUTS = MechanismInputs(
    measures=("entropy", "remind", "lens", "noise"),
    patch=4,
    neighbours=3,
    share=0.3,
    nearest=5,
    alphas=(0.0, 0.1, 0.4),
    depth=1,
    scale="norm",
    noise_seeds=2,
    seed=1,
)


def measured(model: PreTrainedModel, kept: Kept | None = None) -> pd.DataFrame:
    return measure_windows(model, tokenizer(), WINDOWS, PREFIX, INPUTS, 256, kept)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return measured(gpt_neox())


def of_value(table: pd.DataFrame, measure: str, value: str) -> np.ndarray:
    """Numbers of a value, (values of depth or α, n)."""
    own = table[(table["measure"] == measure) & (table["value"] == value)]
    return own["number"].to_numpy().reshape(-1, N)


def test_values_are_those_of_the_measures(table: pd.DataFrame) -> None:
    model = gpt_neox()
    expected = representation_entropy(model, TOKENS, PREFIX, 4).values()
    for name, values in expected.items():
        np.testing.assert_allclose(of_value(table, "entropy", name), values.T, atol=1e-6)
    lens = layer_values(read_layers(model, TOKENS, PREFIX))
    np.testing.assert_allclose(of_value(table, "lens", "kl"), lens["kl"].T, atol=1e-5)
    landscape = measure_landscape(
        model, TOKENS, decode(tokenizer(), TOKENS), Neighbourhood(3, nearest=5, seed=1)
    ).values()
    for name in ("loss", "curvature"):
        np.testing.assert_allclose(of_value(table, "remind", name)[0], landscape[name], atol=1e-5)
    np.testing.assert_allclose(of_value(table, "rival", "min_k")[0], landscape["min_k"], atol=1e-5)
    noise = table[table["measure"] == "noise"]
    assert set(noise["alpha"]) == {0.1, 0.4}
    recovery = noise[noise["value"] == "recovery"]
    assert sorted(set(recovery["depth"])) == [1, 2, 3]
    strong, weak = (recovery[recovery["alpha"] == alpha]["number"].mean() for alpha in (0.4, 0.1))
    assert strong < weak < 1


def test_values_are_read_window_by_window(table: pd.DataFrame) -> None:
    wide = read_values(table, IDS[::-1])
    assert len(wide) == N and wide.index.tolist() == IDS[::-1].tolist()
    depths = LAYERS + 1
    assert wide.shape[1] == 2 * depths + len(FEATURES) + 3 + 5 * depths + 2 * (1 + LAYERS)
    own = wide.loc[:, [key[:2] == ("remind", "loss") for key in wide.columns]].to_numpy()[:, 0]
    np.testing.assert_array_equal(own, of_value(table, "remind", "loss")[0][::-1])


def test_the_scorer_is_shown_a_measure_or_a_rival(table: pd.DataFrame) -> None:
    other = gpt_neox()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    first, second = (read_values(own, IDS) for own in (table, measured(other)))
    inputs = inputs_of(first, second)
    widths = {name: values.shape for name, values in inputs.items()}
    depths = LAYERS + 1
    assert widths == {
        "entropy": (N, 2 * depths),
        "remind": (N, len(FEATURES)),
        "lens": (N, 5 * depths),
        "noise": (N, 2 * (1 + LAYERS)),
        **dict.fromkeys(("loss", "zlib", "min_k", "min_k_plus_plus"), (N, 1)),
    }
    assert all(np.abs(values).max() > 0 for values in inputs.values())
    same = inputs_of(first, first)
    assert all(not values.any() for values in same.values())
    np.testing.assert_array_equal(inputs["loss"][:, 0], inputs["remind"][:, 0])


def test_without_remind_there_are_no_rivals() -> None:
    entropy = replace(INPUTS, measures=("entropy",))
    own = measure_windows(gpt_neox(), tokenizer(), WINDOWS, PREFIX, entropy, 256)
    assert [*inputs_of(*[read_values(own, IDS)] * 2)] == ["entropy"]


def test_a_second_job_computes_nothing_again(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, "weights")
    first = measured(gpt_neox(), kept)
    computed = []

    def in_batches(run: Any, rows: int, *arguments: Any) -> Any:
        computed.append(rows)
        return models.in_batches(run, rows, *arguments)

    monkeypatch.setattr(kept_batches, "in_batches", in_batches)
    pd.testing.assert_frame_equal(measured(gpt_neox(), kept), first)
    # Entropy, windows and neighbours of REMIND, lens, noise.
    assert computed == [0] * 5
    pd.testing.assert_frame_equal(first, table)


def test_forwards_are_counted_by_measure() -> None:
    assert INPUTS.forwards() == {"entropy": 1, "remind": 4, "lens": 1, "noise": 8}
    study = complete(
        {
            "study": "x",
            "taxonomies": ["Non-Memo, Others"],
            "models": [{"name": "a", "source": "nursery"}],
            "mechanisms": {"entropy": {"patch": 4}, "remind": {"neighbours": 2}, "alphas": [0.2]},
        }
    )
    assert not study["crossed"]["mechanisms"]["enabled"]
    asked = MechanismInputs.of(study["crossed"]["mechanisms"], study["mechanisms"], seed=9)
    assert (asked.measures, asked.patch, asked.seed) == (("entropy", "remind", "lens"), 4, 9)
    assert asked.forwards() == {"entropy": 1, "remind": 3, "lens": 1}
