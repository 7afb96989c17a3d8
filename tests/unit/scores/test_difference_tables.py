"""Tables of differences: of taxonomies, of attention and its rivals, of protocols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_predictions
from scored_taxonomies import DRAWS, NAMES, read

from engram.scores import difference_tables
from engram.scores.trained import Trained, score_together
from engram.taxonomy.partitions import Named
from engram.taxonomy.taxonomy import Taxonomy


def test_a_better_taxonomy_is_told_from_a_worse_one(
    trained: list[Trained], names: list[Named]
) -> None:
    table = difference_tables.comparison_table(score_together(trained, **DRAWS), names)
    row = table[(table["models"] == "all") & (table["score"] == "balanced_accuracy")].iloc[0]
    assert (row["first"], row["second"], bool(row["different"])) == (NAMES[0], NAMES[1], True)
    assert (
        row["simultaneous_low"]
        <= row["difference_low"]
        <= row["difference"]
        <= row["difference_high"]
        <= row["simultaneous_high"]
    )


def test_attention_is_compared_with_every_other_run(
    trained: list[Trained], names: list[Named]
) -> None:
    table = difference_tables.added_table(trained, names, **DRAWS)
    assert set(zip(table["input"], table["labels"], strict=True)) == {
        ("attention", "shuffled"),
        ("token_identity", "real"),
    }
    shuffled = table[(table["labels"] == "shuffled") & (table["score"] == "balanced_accuracy")]
    assert shuffled["different"].all()
    assert np.allclose(table["difference"], table["attention"] - table["baseline"])


def test_text_alone_is_compared_with_text_and_attention(tmp_path: Path, names: list[Named]) -> None:
    """Attention is no better than its rivals and still adds to the text, or adds nothing to it."""
    slug, added = Taxonomy.parse(NAMES[0]).slug, {}
    for model, fused in (("adds", 0.95), ("not", 0.6)):
        frames = [
            tiny_predictions.predictions(0.6),
            tiny_predictions.predictions(
                0.6, cnns=["logistic"], seeds=[0], run=("text", "real"), seed=1
            ),
            tiny_predictions.predictions(fused, run=("text_and_attention", "real"), seed=2),
        ]
        path = tiny_predictions.write(frames, tmp_path, NAMES[0], slug, model=model)
        run = read(path, dict.fromkeys(tiny_predictions.CLASSES, 10))
        table = difference_tables.added_table([run], names, **DRAWS)
        assert table["input"].unique().tolist() == ["text"]
        assert table["compared"].unique().tolist() == ["text_and_attention"]
        added[model] = table[table["score"] == "balanced_accuracy"].iloc[0]
    assert added["adds"]["difference"] > 0.2 and added["adds"]["different"]
    assert not added["not"]["different"]
    for row in added.values():
        farthest = max(abs(row["simultaneous_low"]), abs(row["simultaneous_high"]))
        assert row["within_points"] == pytest.approx(100 * farthest)


def test_protocols_stand_side_by_side(tmp_path: Path, names: list[Named]) -> None:
    parts = []
    for protocol, accuracy in (("engram", 0.5), ("paper", 0.9)):
        frame = tiny_predictions.predictions(accuracy)
        path = tiny_predictions.write(
            [frame], tmp_path, NAMES[0], Taxonomy.parse(NAMES[0]).slug, protocol=protocol
        )
        parts.append(read(path, dict.fromkeys(tiny_predictions.CLASSES, 10)))
    leaked = {("m", "paper", parts[0].slug): set(range(30))}
    table = difference_tables.protocol_table(parts, names, leaked, **DRAWS).set_index("protocol")
    excess = table.loc["paper", "balanced_accuracy"] - table.loc["engram", "balanced_accuracy"]
    assert table.loc["paper", "excess_balanced_accuracy"] == pytest.approx(excess)
    assert table.loc["paper", "excess_balanced_accuracy_low"] > 0
    assert np.isnan(table.loc["engram", "excess_balanced_accuracy"])
    assert table.loc["paper", "leaked_share"] == pytest.approx(30 / 60)
    assert table.loc["engram", "leaked_share"] == 0


def test_leaked_groups_are_those_of_both_splits() -> None:
    samples = pd.DataFrame(
        {
            "sequence_id": [1, 2, 3, 4],
            "split": ["train", "test", "test", "validation"],
        }
    )
    groups = pd.Series([7, 7, 8, 8], index=[1, 2, 3, 4])
    assert difference_tables.leaked_groups(samples, groups) == {7}
