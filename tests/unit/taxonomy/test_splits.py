"""Splits of sample lists: their shares, and no text on two sides, or as much as a protocol has."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sampled_labels import NEW, OLD, SETTINGS, labels

from engram.io.errors import EngramError
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.sampling import SPLITS, draw_samples, leakage
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.text_features import content_groups


@settings(max_examples=20, deadline=None)
@given(st.integers(60, 500), st.integers(0, 2**32 - 1))
def test_equal_text_never_crosses_a_split(groups: int, seed: int) -> None:
    frame = labels(800, groups=groups, seed=seed % 7)
    group = frame.set_index("sequence_id")["content_group"]
    try:
        drawn = [draw_samples(frame, taxonomy, SETTINGS, seed) for taxonomy in (NEW, OLD)]
    except EngramError as error:  # few groups may leave a split without a class
        assert "too few samples with different text" in str(error)
        reject()
    samples = pd.concat(drawn)
    splits = samples["split"].groupby(samples["sequence_id"].map(group)).nunique()
    assert splits.max() == 1
    assert len(splits) < len(samples), "no content group was drawn twice: the test tests nothing"


def test_split_by_sequence_lets_equal_text_cross() -> None:
    frame = labels(800, groups=60)
    sample = draw_samples(frame, NEW, SETTINGS.replace(split_by="sequence"), 1)
    groups = sample["sequence_id"].map(frame.set_index("sequence_id")["content_group"])
    assert sample["split"].groupby(groups).nunique().max() > 1


def test_a_sequence_has_one_split_in_all_taxonomies_and_sizes() -> None:
    frame = labels(800, groups=300)
    wanted = SETTINGS
    draws = [
        draw_samples(frame, taxonomy, wanted.replace(per_class=size), 1)
        for taxonomy in (NEW, OLD)
        for size in (40, 50)
    ]
    assert pd.concat(draws).groupby("sequence_id")["split"].nunique().max() == 1


@pytest.mark.parametrize(("train", "validation"), [(0.6, 0.2), (0.1, 0.8), (2 / 3, 0.0)])
def test_splits_have_their_shares(train: float, validation: float) -> None:
    frame = labels(20_000)
    sample = draw_samples(
        frame, NEW, SETTINGS.replace(per_class=10_000, train=train, validation=validation), 1
    )
    shares = sample["split"].value_counts(normalize=True).reindex(list(SPLITS), fill_value=0)
    assert shares.to_numpy() == pytest.approx(
        [train, validation, 1 - train - validation], abs=6 * 0.5 / np.sqrt(len(sample))
    )


def test_split_and_priority_are_independent() -> None:
    """Else the lowest numbers would all fall into one split."""
    frame = labels(5000)
    sample = draw_samples(frame, NEW, SETTINGS.replace(per_class=5000), 1)
    means = sample.groupby("split")["priority"].mean()
    assert max(abs(a - b) for a, b in itertools.combinations(means, 2)) < 6 * np.sqrt(
        1 / 12 / sample["split"].value_counts().min() * 2
    )


def test_a_class_of_one_text_cannot_be_split() -> None:
    frame = labels(500)
    frame.loc[NEW.assign(frame) == "Guess", "content_group"] = 7
    with pytest.raises(
        EngramError,
        match=r"taxonomy `Non-Memo, Guess, Others`: too few samples with different text .* \(Guess "
        r"has none in \w+, of 50\)",
    ):
        draw_samples(frame, NEW, SETTINGS, 1)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_planted_suffixes_never_cross_splits(planted: int, copies: int, seed: int) -> None:
    """Identical suffix tokens under many sequence ids, in prefixes and classes of all kinds,
    through the real grouping.
    """
    random = np.random.default_rng(seed)
    n = 400 + planted * copies
    suffixes = random.integers(0, 50, (n, 32))
    suffixes[400:] = np.repeat(random.integers(0, 50, (planted, 32)), copies, axis=0)
    shuffled = random.permutation(n)
    frame = labels(n, seed=seed).assign(content_group=content_groups(suffixes[shuffled]))
    loose = SETTINGS.replace(per_class=300, minimum=1)
    try:
        drawn = pd.concat([draw_samples(frame, taxonomy, loose, seed) for taxonomy in (NEW, OLD)])
    except EngramError as error:
        assert "too few samples with different text" in str(error)
        return
    text = dict(
        zip(frame["sequence_id"], map(bytes, suffixes[shuffled].astype(np.uint8)), strict=True)
    )
    assert (
        drawn.assign(text=drawn["sequence_id"].map(text)).groupby("text")["split"].nunique().max()
        == 1
    )
    windows = frame[["sequence_id"]].assign(tokens=list(suffixes[shuffled]))
    assert leakage(drawn, frame, windows)["leaked"].sum() == 0


def test_leakage_counts_test_samples_whose_text_is_trained_on_in_any_class() -> None:
    drawn = pd.DataFrame(
        {
            "sequence_id": range(6),
            "class": ["A", "B", "A", "A", "B", "B"],
            "split": ["train", "train", "test", "test", "test", "validation"],
        }
    )
    groups = pd.DataFrame({"sequence_id": range(6), "content_group": [10, 11, 11, 12, 13, 13]})
    tokens = np.random.default_rng(0).integers(0, 9_999, (6, 24))
    tokens[3, 4:16] = tokens[0, 9:21]  # 12 tokens in a row, at another offset
    tokens[4, :11] = tokens[1, :11]  # only 11
    windows = pd.DataFrame({"sequence_id": range(6), "tokens": list(tokens)})
    table = leakage(drawn, groups, windows).set_index("class")
    assert table["shared_run"].to_dict() == {"all": 1, "A": 1, "B": 0}
    assert table.loc["all", "shared_run_share"] == pytest.approx(1 / 3)
    assert table["shared_document"].isna().all()
    of_files = windows.assign(document=["x", "y", "y", "z", "x", "z"])
    known = leakage(drawn, groups, of_files).set_index("class")
    assert known["shared_document"].to_dict() == {"all": 2, "A": 1, "B": 1}
    assert table[["test", "leaked"]].to_dict("index") == {
        "all": {"test": 3, "leaked": 1},
        "A": {"test": 2, "leaked": 1},
        "B": {"test": 1, "leaked": 0},
    }
    assert table.loc["A", "share"] == 0.5


def test_a_split_by_sequence_leaks_what_it_must() -> None:
    """With every text twice, a test sample's twin is in the training split (two thirds) or not: 2/3
    of them leak.
    """
    frame = labels(6000).assign(
        memorization_score=1.0,
        is_repeating=np.arange(6000) % 2 == 0,
        content_group=np.arange(6000) // 2,
    )
    by_sequence = SETTINGS.replace(per_class=3000, train=2 / 3, validation=0.0, split_by="sequence")
    taxonomy = Taxonomy.parse("Reconstruct, Others")
    frame = frame.assign(is_incrementing=False)
    drawn = draw_samples(frame, taxonomy, by_sequence, 1)
    windows = frame[["sequence_id"]].assign(tokens=[np.arange(12)] * 6000)
    assert leakage(drawn, frame, windows)["share"].iloc[0] == pytest.approx(2 / 3, abs=0.04)


@pytest.mark.parametrize("protocol", ["engram", "paper", "reference"])
def test_a_given_split_is_that_of_the_published_protocols(protocol: str) -> None:
    frame = labels(900).assign(trains=np.random.default_rng(5).random(900) < 0.4)
    settings = PROTOCOLS[protocol].sample_settings(
        per_class=900, minimum=10, train=0.6, validation=0.2
    )
    drawn = draw_samples(frame, NEW, settings, seed=7)
    trains = frame.set_index("sequence_id")["trains"].loc[drawn["sequence_id"]].to_numpy()
    given = np.where(trains, "train", "test")
    assert (drawn["split"].to_numpy() == given).all() == (protocol != "engram")


@pytest.mark.parametrize(("per_class", "train"), [(6000, 4000), (100, 67), (30, 20)])
@pytest.mark.parametrize("protocol", ["paper", "reference"])
def test_the_published_protocols_split_every_class_exactly(
    protocol: str, per_class: int, train: int
) -> None:
    """The paper trains on 4,000 samples of each class and scores the other 2,000."""
    n = 2 * per_class + 100
    labels = pd.DataFrame(
        {
            "sequence_id": np.arange(n),
            "content_group": np.arange(n) // 3,
            "memorization_score": np.where(np.arange(n) % 2, 1.0, 0.5),
        }
    )
    settings = PROTOCOLS[protocol].sample_settings(
        per_class=per_class, minimum=10, train=0.6, validation=0.2
    )
    samples = draw_samples(labels, Taxonomy.parse("Non-Memo, Others"), settings, seed=7)
    counts = samples.groupby(["class", "split"]).size().to_dict()
    assert counts == {
        (name, split): size
        for name in ("Non-Memo", "Others")
        for split, size in (("train", train), ("test", per_class - train))
    }
