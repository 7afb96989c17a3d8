"""Text that is repeated everywhere, counted in licences and in the standard library."""

import zipfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_sources import byte_tokenizer
from tiny_wheels import Registry, prose, registry

from engram.cnn.probes import scalar_features
from engram.io.artifacts import read_parquet
from engram.sources import releases, repeated, unseen
from engram.sources.checks import Limits
from engram.sources.releases import TextFile, fetch_release, fetch_releases, license_files
from engram.sources.repeated import LIBRARY, repeated_windows
from engram.sources.settings import RepeatedSettings, UnseenSettings
from engram.windows.duplicates import run_owners
from engram.windows.labels import label

PREFIX, SUFFIX = 20, 12
LENGTH = PREFIX + SUFFIX
TOKENIZER = byte_tokenizer()
LIMITS = Limits("tiny", len(TOKENIZER), None)
HEADER = prose(11, 8)
TERMS = prose(12, 20)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry; nothing is installed, and four files of the library begin alike."""
    files = [TextFile(f"m{n}.py", HEADER + prose(n, 9), is_code=True) for n in range(4)]
    files.append(TextFile("encodings/cp0.py", HEADER, is_code=True))
    monkeypatch.setattr(releases, "distributions", lambda: [])
    for module in (unseen, repeated):
        monkeypatch.setattr(module, "library_files", lambda: iter(files))
    return registry(tmp_path / "index", monkeypatch)


def packages(wheels: Registry, count: int) -> list[dict[str, str]]:
    """Packages whose licences hold the same terms behind a line of their own."""
    records = []
    for number in range(count):
        path = wheels.add(f"p{number}", "1.0", {})
        with zipfile.ZipFile(path, "a") as archive:
            text = "x" * number + f" {number}\n" + TERMS
            archive.writestr(f"p{number}-1.0.dist-info/licenses/NOTICE", text)
        records.append(fetch_release(f"p{number}==1.0", wheels.folder.parent / "cache"))
    return records


def windows(records: list[dict[str, str]], **settings: int):
    chosen = RepeatedSettings.parse({"stride": 1, "copies": 3, "low": 10**6, "high": 10**6})
    return repeated_windows(
        records, TOKENIZER, (PREFIX, SUFFIX), chosen.replace(**settings), 0.5, seed=1
    )


def test_windows_are_what_many_packages_hold(wheels: Registry) -> None:
    tokens, frame = windows(packages(wheels, 3))
    texts = TOKENIZER.batch_decode(tokens.tolist())
    shared = ["\n" + TERMS, "You may do what you like with it.\n"]
    expected = [text[n : n + LENGTH] for text in shared for n in range(len(text) - LENGTH + 1)]
    library = frame["release"] == LIBRARY
    assert sorted(np.array(texts, object)[~library]) == sorted(expected)
    assert set(frame.loc[~library, "copies"]) == {3}
    assert not frame.loc[~library, "is_code"].any()
    headers = [HEADER[n : n + LENGTH] for n in range(len(HEADER) - LENGTH + 1)]
    assert [text for text, own in zip(texts, library, strict=True) if own] == headers
    assert set(frame.loc[library, "copies"]) == {4}
    assert frame.loc[library, "is_code"].all()
    assert frame["sequence_id"].is_unique
    assert (frame["sequence_duplicates"] >= frame["copies"]).all()


def test_fewer_copies_are_not_often(wheels: Registry) -> None:
    records = packages(wheels, 3)
    assert set(windows(records, copies=4)[1]["release"]) == {LIBRARY}
    assert len(windows(records, copies=5)[0]) == 0


def test_two_releases_of_a_package_count_once(wheels: Registry) -> None:
    records = packages(wheels, 2)
    assert set(windows([*records, records[0]])[1]["release"]) == {LIBRARY}


def test_few_are_drawn_by_permanent_numbers(wheels: Registry) -> None:
    records = packages(wheels, 3)
    every, few = windows(records)[1], windows(records, low=7, high=0)[1]
    assert len(few) == 7
    assert (few["half_overlap"] < 0.5).all()
    assert set(few["sequence_id"]) < set(every["sequence_id"])


def test_they_are_added_to_the_unseen_windows(wheels: Registry) -> None:
    wheels.add("one", "1.0", {})
    wheels.add("one", "2.0", {"a.py": prose(1)})
    asked = {"name": "one", "version": "2.0", "released": "2026-02-01", "before": "1.0"}
    output = wheels.folder.parent / "w.parquet"
    chosen = UnseenSettings.parse({"stride": 1, "code": {"low": 20, "high": 0}})
    often = RepeatedSettings.parse({"copies": 4, "stride": 1, "low": 15})
    fetched = fetch_releases([asked], wheels.folder.parent / "cache")
    unseen.write_windows(fetched, TOKENIZER, LIMITS, (PREFIX, SUFFIX), chosen, often, 1, output, {})
    found = read_parquet(output)
    labels, _ = label(found.assign(memorization_score=0.0), PREFIX)
    assert labels["repeated"].tolist() == [False] * 16 + [True] * 15  # per_document: 16
    assert (labels["unseen"] == ~labels["repeated"]).all()
    assert labels["copies"].tolist() == [0] * 16 + [4] * 15
    assert found["line"].isna().tolist() == labels["repeated"].tolist()
    # Where a window comes from is the truth that classes are made of, not a property of its text.
    known = {"unseen", "seen_before", "repeated", "copies", "sequence_duplicates"}
    assert known <= set(labels)
    assert not known & set(scalar_features(labels, set()))
    assert found["text"].tolist() == TOKENIZER.batch_decode(found["tokens"].tolist())


def test_installed_packages_count_too() -> None:
    names = {owner for owner, _ in license_files([])}
    assert {"numpy", "torch"} & names
    assert len(names) > 20


@given(st.lists(st.lists(st.integers(0, 2), max_size=7), min_size=1, max_size=6), st.data())
def test_owners_are_counted_exactly(texts: list[list[int]], data: st.DataObject) -> None:
    owners = data.draw(st.lists(st.integers(0, 2), min_size=len(texts), max_size=len(texts)))
    length = data.draw(st.integers(1, 3))
    starts = np.cumsum([0, *map(len, texts)])[:-1]
    stream = np.array([*chain.from_iterable(texts)], dtype=np.int64)
    counts, equal = run_owners(stream, starts, np.array(owners), length)
    expected = []
    for text in texts:
        for at in range(len(text)):
            run = text[at : at + length]
            holders = {
                owner
                for other, owner in zip(texts, owners, strict=True)
                for n in range(len(other) - length + 1)
                if other[n : n + length] == run
            }
            expected.append(len(holders) if len(run) == length else 0)
    assert counts.tolist() == expected[: len(counts)]
    for at in range(len(counts)):
        same = (stream[at : at + length] == stream[:length]).all()
        assert same == (equal[at] == equal[0])
