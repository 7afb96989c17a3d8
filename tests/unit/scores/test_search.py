"""Taxonomy search: candidates against brute force, the estimate against a direct count, a planted
best taxonomy, one test.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_samples import tiny_dataset

from engram.cnn.settings import CnnSettings
from engram.io.errors import EngramError
from engram.run.config import complete
from engram.scores.metrics import class_scores, confusion_matrix
from engram.scores.search import estimate, search_taxonomies
from engram.taxonomy import search
from engram.taxonomy.sampling import draw_samples
from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import PAPER_CATEGORIES, Taxonomy

TERMS = ["Recite[5]", "Reconstruct", "Code"]
SETTINGS = DrawSettings(
    per_class=60, minimum=20, train=0.6, validation=0.2, split_by="content_group"
)


def labels(n: int = 3000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "sequence_id": np.arange(n),
            "content_group": np.arange(n),
            "memorization_score": random.choice([0.5, 1.0], n, p=[0.3, 0.7]),
            "sequence_duplicates": random.choice([1, 9], n),
            "rouge_l": 0.1,
            "rouge_3": 0.1,
            "is_repeating": random.random(n) < 0.3,
            "is_incrementing": False,
            "is_code": random.random(n) < 0.4,
        }
    )


def test_atoms_are_the_finest_partition() -> None:
    frame = labels()
    of = search.atoms(frame, TERMS, PAPER_CATEGORIES)
    assert of.nunique() == 1 + 2**3
    assert (of == "Non-Memo").tolist() == frame["memorization_score"].lt(1).tolist()
    both = (
        frame["is_code"]
        & frame["is_repeating"]
        & (frame["sequence_duplicates"] <= 5)
        & (frame["memorization_score"] == 1)
    )
    assert (of == "Reconstruct & Code").tolist() == both.tolist()


def test_candidates_are_all_different_partitions_of_the_labels() -> None:
    frame = labels()
    counts = search.atoms(frame, TERMS, PAPER_CATEGORIES).value_counts().drop("Non-Memo")
    found, left_out = search.candidates(TERMS, 4, PAPER_CATEGORIES, counts, 1)
    # One middle class: 7 merges; two: 12 ordered pairs of disjoint merges. A disjoint pair and
    # another one never divide alike.
    assert len(found) + left_out == 7 + 12
    patterns = {pd.factorize(taxonomy.assign(frame))[0].tobytes() for taxonomy in found}
    assert len(patterns) == len(found)


def test_candidates_need_members() -> None:
    counts = search.atoms(labels(), TERMS, PAPER_CATEGORIES).value_counts().drop("Non-Memo")
    with pytest.raises(EngramError, match="has 10000 samples in every class"):
        search.candidates(TERMS, 4, PAPER_CATEGORIES, counts, 10_000)


def test_a_candidate_needs_no_sample_that_the_atoms_lack() -> None:
    frame = labels()
    of = search.atoms(frame, TERMS, PAPER_CATEGORIES)
    drawn = search.draw_atoms(frame, of, SETTINGS, seed=3)
    taxonomies, _ = search.candidates(
        TERMS, 4, PAPER_CATEGORIES, of.value_counts().drop("Non-Memo"), 20
    )
    for taxonomy in taxonomies:
        own = draw_samples(frame, taxonomy, SETTINGS, seed=3)
        merged = own.merge(drawn, on="sequence_id", suffixes=("", "_atom"))
        assert len(merged) == len(own), taxonomy.name
        assert (merged["split"] == merged["split_atom"]).all()


def test_the_estimate_is_the_minimum_f1_where_weights_are_equal() -> None:
    random = np.random.default_rng(1)
    names, taxonomy = ["Non-Memo", "Code", "none of them"], Taxonomy.parse("Non-Memo, Code, Others")
    atom = np.repeat([0, 1, 2], 50)
    logits = random.normal(size=(150, 3)) + np.eye(3)[atom]
    counts = pd.Series([500, 30, 70], index=names)
    direct = class_scores(confusion_matrix(atom, logits.argmax(axis=1), 3))["min_f1"]
    assert estimate(taxonomy, names, counts, logits, atom, np.full(3, 1 / 3)) == pytest.approx(
        float(direct)
    )


def test_merged_atoms_are_weighed_by_their_frequency() -> None:
    names, taxonomy = (
        ["Non-Memo", "Code", "Reconstruct", "none of them"],
        Taxonomy.parse("Non-Memo, Code-or-Reconstruct, Others"),
    )
    atom = np.array([0] * 10 + [1] * 10 + [2] * 10 + [3] * 10)
    seen = np.where(atom == 2, 3, atom)  # Reconstruct is always taken for the rest
    logits = 20.0 * np.eye(4)[seen]
    for share in (0.1, 0.4):
        counts = pd.Series([100, 1000 * (1 - share), 1000 * share, 100], index=names)
        recall, f1_rest = 1 - share, 2 / (2 + share)
        expected = min(2 * recall / (1 + recall), f1_rest)
        assert estimate(taxonomy, names, counts, logits, atom, np.full(4, 0.25)) == pytest.approx(
            expected, abs=1e-6
        )


def test_the_planted_taxonomy_is_found_and_alone_tested() -> None:
    """Attention shows Code and nothing else."""
    frame = labels()
    of = search.atoms(frame, TERMS, PAPER_CATEGORIES)
    drawn = search.draw_atoms(frame, of, SETTINGS, seed=3)
    base = tiny_dataset(rows=len(frame), signal=0)
    kind = np.where(frame["memorization_score"] < 1, 0, np.where(frame["is_code"], 1, 2))
    shown = replace(base, label=kind).mean.copy()
    queries = np.repeat(np.arange(16), np.arange(1, 17))
    keys = np.concatenate([np.arange(i + 1) for i in range(16)])
    shown[:, 1] += 0.6 * ((queries - keys)[None] == (2 + 3 * kind)[:, None])

    def assemble(chosen: pd.DataFrame, classes: list[str]):
        ids = chosen["sequence_id"].to_numpy()
        return replace(
            base,
            sequence_id=ids,
            content_group=ids,
            tokens=base.tokens[ids],
            mean=shown[ids],
            max=shown[ids].astype(np.float16),
            label=pd.Categorical(chosen["class"], categories=classes).codes.astype(np.int64),
            split=chosen["split"].to_numpy(dtype=object),
            classes=classes,
        )

    cnn = CnnSettings(
        kernels=(3,),
        features=(6,),
        head_poolings=("mean",),
        epochs=20,
        learning_rate=5e-3,
        dropout=0.1,
        controls=(),
        baselines=(),
    )
    settings = {"most_classes": 4, "finalists": 2, "seed": 3, "resamples": 100, "confidence": 0.95}
    table = search_taxonomies(
        frame, drawn, TERMS, PAPER_CATEGORIES, assemble, SETTINGS, cnn, **settings
    )
    chosen = table[table["chosen"]]
    assert chosen["taxonomy"].tolist() == ["Non-Memo, Code, Others"]
    assert chosen["test_min_f1"].iloc[0] > 0.8
    assert table["test_min_f1"].notna().sum() == 1
    assert table["validation_min_f1"].notna().sum() == 2
    assert (table["tried"] == len(table)).all()


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (["Guess"], "search.categories: `Guess` alone can be neither"),
        (["Guess", "Recite"], "needs its delta"),
        (["Guess", "Recite[5]-or-Code"], "is not a single category"),
        (["Guess", "Nonsense"], "unknown class `Nonsense`"),
    ],
)
def test_mistakes_are_named(categories: list[str], message: str) -> None:
    config = {
        "study": "x",
        "models": [{"name": "m", "source": "nursery"}],
        "taxonomies": ["Non-Memo, Guess, Others"],
    }
    with pytest.raises(EngramError, match=r"categor|unknown|needs") as caught:
        complete(config | {"search": {"categories": categories}})
    assert message in str(caught.value)
