"""Measures that a killed job has begun: what was finished is read, nothing is computed again, and
the values are those of a job that ran through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import LAYERS, WIDTH, gpt_neox, random_tokens

from engram.knockout import kept_conditions
from engram.lm import interventions, kept_batches, models
from engram.lm.conditions import Condition
from engram.lm.kept_batches import Kept
from engram.mechanisms.compression import compress
from engram.mechanisms.edits import Edit, measure_edits
from engram.mechanisms.embedding_attack import attack_prefixes, measure_embedded
from engram.mechanisms.feed_forward import ablate_blocks
from engram.mechanisms.heads import ablate_each_head

PREFIX, BATCH = 4, 24
TOKENS = random_tokens(6, 8, 1)
"""Three batches of two texts."""
VECTOR = np.eye(WIDTH, dtype=np.float32)[0]
EDITS = [Edit(1, VECTOR, VECTOR, gain=gain) for gain in (0.0, 0.5)] + [
    Edit(LAYERS, VECTOR, VECTOR, offset=1)
]
MODEL = gpt_neox()

MEASURED: dict[str, Callable[[Kept | None], list[np.ndarray]]] = {
    "edits": lambda kept: [measure_edits(MODEL, TOKENS, PREFIX, EDITS, BATCH, kept)],
    "attack": lambda kept: [
        *vars(
            attack_prefixes(MODEL, TOKENS, PREFIX, steps=2, batch_tokens=BATCH, kept=kept)
        ).values()
    ],
    "embedded": lambda kept: [
        measure_embedded(
            MODEL,
            TOKENS,
            np.ones((6, PREFIX, WIDTH), np.float32),
            [Condition(), Condition("remove", heads=np.eye(LAYERS, 4, dtype=bool))],
            batch_tokens=BATCH,
            kept=kept,
        )
    ],
    "heads": lambda kept: [
        ablate_each_head(MODEL, TOKENS, PREFIX, "mean", TOKENS[:3], BATCH, kept).ablated
    ],
    "blocks": lambda kept: [
        ablate_blocks(MODEL, TOKENS, PREFIX, "mean", TOKENS[:3], BATCH, kept).ablated
    ],
    "compression": lambda kept: [
        compress(MODEL, TOKENS, PREFIX, batch_tokens=BATCH, kept=kept).gives
    ],
}


class Killed(Exception):
    """Raised in place of a kill."""


@pytest.mark.parametrize("name", MEASURED)
def test_what_was_finished_is_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, computed, limit = MEASURED[name], [], 1
    expected = measure(None)

    def in_batches(*arguments: Any) -> Any:
        for batch in models.in_batches(*arguments):
            yield counted(batch)

    def knock_out(*arguments: Any) -> Any:
        for condition in interventions.knock_out(*arguments):
            yield counted(condition)

    def counted(result: Any) -> Any:
        if len(computed) >= limit:
            raise Killed
        computed.append(result)
        return result

    monkeypatch.setattr(kept_batches, "in_batches", in_batches)
    monkeypatch.setattr(kept_conditions, "knock_out", knock_out)
    for room in (kept_batches, kept_conditions):
        monkeypatch.setattr(room, "PART_SECONDS", 0.0)
    kept = Kept(tmp_path, "weights and code")
    with pytest.raises(Killed):
        measure(kept)
    begun, limit = len(computed), 10_000
    assert begun == 1
    resumed = measure(kept)
    whole = len(computed)
    for own, other in zip(resumed, expected, strict=True):
        np.testing.assert_array_equal(own, other)
    assert measure(kept) is not None
    assert len(computed) == whole > begun
    # Without what the first job left, one batch or condition more is computed.
    computed.clear()
    measure(Kept(tmp_path, "other code"))
    assert len(computed) == whole
