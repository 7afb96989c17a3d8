"""Sample lists: uniform, nested, coordinated, balanced and matched."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampled_labels import NEW, OLD, SETTINGS, labels

from engram.io.errors import EngramError
from engram.io.hashing import uniform
from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.sampling import SPLITS, class_counts, count_samples, draw_samples
from engram.taxonomy.settings import MatchSettings
from engram.taxonomy.taxonomy import Taxonomy

ALL_TRAIN = SETTINGS.replace(train=1.0, validation=0.0)


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
