"""Sample lists: uniform, nested, coordinated, and split without leaks."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.sampling import SPLITS, class_counts, count_samples, draw_samples, leakage
from engram.taxonomy.settings import DrawSettings, MatchSettings
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.text_features import content_groups

NEW = Taxonomy.parse("Non-Memo, Guess, Others")
OLD = Taxonomy.parse("Non-Memo, Recite[5], Reconstruct, Others")
SETTINGS = DrawSettings(
    per_class=50, minimum=10, train=0.6, validation=0.2, split_by="content_group"
)
ALL_TRAIN = SETTINGS.replace(train=1.0, validation=0.0)


def labels(n: int, groups: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Random labels of `n` samples; `groups` content groups, each its own by default."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sequence_id": random.permutation(10 * n)[:n],
            "content_group": random.integers(groups, size=n) if groups else np.arange(n),
            "memorization_score": random.choice([0.5, 1.0], p=[0.3, 0.7], size=n),
            "sequence_duplicates": random.choice([1, 6], size=n),
            "is_repeating": random.random(n) < 0.2,
            "is_incrementing": random.random(n) < 0.2,
            "rouge_l": random.choice([0.2, 0.6], p=[0.8, 0.2], size=n),
            "rouge_3": random.choice([0.2, 0.6], p=[0.8, 0.2], size=n),
        }
    )


# --- permanent random numbers
# --------------------------------------------------------------------------------------------


def chi_square_bound(degrees: int) -> float:
    """Beyond six standard deviations of a χ² of that many degrees."""
    return degrees + 6 * np.sqrt(2 * degrees)


@pytest.mark.parametrize(
    "keys",
    [np.arange(20_000), 64 * np.arange(20_000), -np.arange(20_000), 2**62 + np.arange(20_000)],
)
@pytest.mark.parametrize("stream", ["priority", "split"])
def test_numbers_of_regular_keys_are_uniform(keys: np.ndarray, stream: str) -> None:
    numbers = uniform(keys, 1, stream)
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = np.histogram(numbers, bins=100, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < chi_square_bound(99)


def test_numbers_of_neighbours_seeds_and_streams_are_unrelated() -> None:
    keys = np.arange(20_000)
    number = uniform(keys, 1, "priority")
    others = [
        np.roll(number, 1),
        uniform(keys, 2, "priority"),
        uniform(keys, 1, "split"),
        uniform(keys, 1, "prioritz"),
    ]
    assert max(abs(np.corrcoef(number, other)[0, 1]) for other in others) < 6 / np.sqrt(20_000)


def test_a_number_depends_on_its_key_alone() -> None:
    keys = np.random.default_rng(0).integers(0, 2**40, 1000)
    assert uniform(keys[::-1], 7, "split")[::-1].tolist() == uniform(keys, 7, "split").tolist()
    assert uniform(keys[:1], 7, "split")[0] == uniform(keys, 7, "split")[0]


def test_numbers_are_those_of_every_version() -> None:
    """A change of the hash would draw every study's samples again."""
    expected = [0.8169760832551561, 0.7517000405463556, 0.7954613693365039]
    assert uniform(np.array([0, 1, 12345]), 1, "priority").tolist() == expected


# --- draws
# --------------------------------------------------------------------------------------------------


def test_every_sample_of_a_class_is_drawn_equally_often() -> None:
    frame = labels(120)
    candidates = frame["sequence_id"][NEW.assign(frame) == "Others"]
    seeds, size, n = 200, 12, len(candidates)
    wanted = ALL_TRAIN.replace(per_class=size)
    draws = (draw_samples(frame, NEW, wanted, seed) for seed in range(seeds))
    drawn = pd.concat([sample.loc[sample["class"] == "Others", "sequence_id"] for sample in draws])
    counts = drawn.value_counts().reindex(candidates, fill_value=0)
    assert counts.sum() == seeds * size
    # The inclusions of one draw sum to `size`, so that each has variance share · (1 - share) and
    # correlation -1 / (n - 1).
    share = size / n
    statistic = ((counts - seeds * share) ** 2).sum() / (seeds * share * (1 - share)) * (n - 1) / n
    assert statistic < chi_square_bound(n - 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(10, 60), st.integers(10, 60), st.integers(0, 2**32 - 1))
def test_a_larger_draw_contains_the_smaller_one(small: int, large: int, seed: int) -> None:
    frame = labels(500)
    few, many = (
        _rows(draw_samples(frame, NEW, ALL_TRAIN.replace(per_class=size), seed))
        for size in sorted((small, large))
    )
    assert few <= many


def test_classes_are_balanced_to_the_smallest() -> None:
    frame = labels(500)
    smallest = OLD.assign(frame).value_counts().min()
    sizes = draw_samples(frame, OLD, SETTINGS.replace(per_class=400), 1)["class"].value_counts()
    assert sizes.to_dict() == dict.fromkeys(OLD.class_names, smallest)


def test_taxonomies_share_what_their_classes_share() -> None:
    """A sequence of one class in both taxonomies is drawn in both or stands behind the last one
    drawn.
    """
    frame = labels(2000)
    other = Taxonomy.parse("Non-Memo, Reconstruct, Others")
    first, second = (draw_samples(frame, taxonomy, SETTINGS, 3) for taxonomy in (NEW, other))
    same = first[first["class"] == "Non-Memo"], second[second["class"] == "Non-Memo"]
    assert same[0]["sequence_id"].tolist() == same[1]["sequence_id"].tolist()
    both = set(
        frame["sequence_id"][(NEW.assign(frame) == "Others") & (other.assign(frame) == "Others")]
    )
    ours, theirs = (sample[sample["class"] == "Others"] for sample in (first, second))
    end = min(ours["priority"].max(), theirs["priority"].max())
    assert (
        set(ours["sequence_id"][ours["priority"] <= end]) & both
        == set(theirs["sequence_id"][theirs["priority"] <= end]) & both
    )


def test_a_draw_is_the_lowest_numbers_of_each_class() -> None:
    frame = labels(500)
    numbers = dict(
        zip(
            frame["sequence_id"],
            uniform(frame["sequence_id"].to_numpy(), 5, "priority"),
            strict=True,
        )
    )
    sample = draw_samples(frame, NEW, SETTINGS.replace(per_class=30), 5)
    for name in NEW.class_names:
        members = frame["sequence_id"][NEW.assign(frame) == name]
        assert (
            sample.loc[sample["class"] == name, "sequence_id"].tolist()
            == sorted(members, key=numbers.get)[:30]
        )


def test_the_order_of_the_labels_does_not_matter() -> None:
    frame = labels(500)
    shuffled = frame.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        draw_samples(frame, OLD, SETTINGS, 1), draw_samples(shuffled, OLD, SETTINGS, 1)
    )


def test_the_list_holds_what_others_read() -> None:
    sample = draw_samples(labels(500), OLD, SETTINGS.replace(per_class=20), 1)
    assert sample.columns.tolist() == ["sequence_id", "class", "split", "priority"]
    assert sample["class"].unique().tolist() == OLD.class_names
    assert all(part["priority"].is_monotonic_increasing for _, part in sample.groupby("class"))
    assert not sample["sequence_id"].duplicated().any()


# --- splits
# --------------------------------------------------------------------------------------------------


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


# --- counts
# --------------------------------------------------------------------------------------------------


def test_a_class_below_the_minimum_is_an_error_with_every_count() -> None:
    frame = labels(500)
    counts = OLD.assign(frame).value_counts()
    found = ", ".join(f"{name} {counts[name]}" for name in OLD.class_names)
    with pytest.raises(
        EngramError,
        match=re.escape(
            f"`{OLD.name}`: a class has fewer candidates than `samples.minimum`, 300 ({found})"
        ),
    ):
        draw_samples(frame, OLD, SETTINGS.replace(per_class=400, minimum=300), 1)


def test_an_empty_class_is_counted_as_zero() -> None:
    frame = labels(500).assign(memorization_score=1.0)
    with pytest.raises(EngramError, match=r"\(Non-Memo 0, Guess \d+, Others \d+\)"):
        draw_samples(frame, NEW, SETTINGS, 1)


def test_a_class_of_exactly_the_minimum_is_taken_whole() -> None:
    frame = labels(500)
    smallest = int(OLD.assign(frame).value_counts().min())
    sample = draw_samples(frame, OLD, SETTINGS.replace(per_class=400, minimum=smallest), 1)
    assert len(sample) == 4 * smallest


def test_counts_add_up() -> None:
    frame = labels(800, groups=300)
    sample = draw_samples(frame, OLD, SETTINGS, 1)
    candidates = class_counts(OLD.codes(frame), OLD)
    metadata = {"taxonomy": OLD.name, "slug": OLD.slug, "classes": OLD.class_names}
    counts = count_samples(sample, metadata | {"candidates": candidates}).set_index("class")
    assert counts.index.tolist() == OLD.class_names
    assert counts["candidates"].to_dict() == OLD.assign(frame).value_counts().to_dict()
    assert (counts[list(SPLITS)].sum(axis=1) == 50).all()
    assert counts["natural"].isna().all()
    plain = {name: number for number, name in enumerate(OLD.class_names)}
    known = count_samples(sample, metadata | {"candidates": candidates, "natural": plain})
    assert known["natural"].tolist() == list(plain.values())
    for name, split in itertools.product(OLD.class_names, SPLITS):
        assert (
            counts.loc[name, split]
            == ((sample["class"] == name) & (sample["split"] == split)).sum()
        )


def _rows(sample: pd.DataFrame) -> set[tuple]:
    return set(sample[["sequence_id", "class"]].itertuples(index=False, name=None))


# --- leakage
# --------------------------------------------------------------------------------------------------


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


# --- matched classes
# --------------------------------------------------------------------------------------------


def with_loss(n: int) -> pd.DataFrame:
    """Labels whose Guess samples are easier to predict than the others."""
    made = labels(n)
    random = np.random.default_rng(1)
    guess = NEW.codes(made) == NEW.class_names.index("Guess")
    made["suffix_log_prob"] = random.normal(size=n) + guess
    return made


def test_matched_classes_are_alike_and_without_matching_they_are_not() -> None:
    made = with_loss(4000)
    loss = made.set_index("sequence_id")["suffix_log_prob"]
    spread = {}
    for columns in ((), ("suffix_log_prob",)):
        match = MatchSettings(columns=columns, bins=20)
        drawn = draw_samples(made, NEW, SETTINGS.replace(per_class=300, match=match), 1)
        assert drawn["class"].value_counts().nunique() == 1
        means = loss[drawn["sequence_id"]].groupby(drawn["class"].to_numpy()).mean()
        spread[columns] = np.ptp(means)
    assert spread[()] > 0.8 and spread["suffix_log_prob",] < 0.1


def test_matching_that_leaves_too_few_samples_says_so() -> None:
    made = with_loss(1000)
    made["suffix_log_prob"] += 100 * NEW.codes(made)
    match = MatchSettings(columns=["suffix_log_prob"])
    with pytest.raises(EngramError, match=r"fewer samples that match than `samples\.minimum`, 10"):
        draw_samples(made, NEW, SETTINGS.replace(match=match), 1)


@pytest.mark.parametrize("column", ["no_such_column", "kind"])
def test_only_numbers_of_the_labels_are_matched(column: str) -> None:
    match = MatchSettings(columns=[column])
    with pytest.raises(EngramError, match=f"`{column}` is not a numeric column"):
        draw_samples(with_loss(1000).assign(kind="x"), NEW, SETTINGS.replace(match=match), 1)


def test_protocols_of_the_paper_match_nothing() -> None:
    match = {"columns": ["rouge_l"], "bins": 3}
    sizes = {"per_class": 50, "minimum": 10, "train": 0.6, "validation": 0.2, "match": match}
    assert PROTOCOLS["engram"].sample_settings(**sizes).match == MatchSettings(**match)
    assert not PROTOCOLS["paper"].sample_settings(**sizes).match.columns
