"""Windows of text that is younger than the model: new lines alone, looked up in older text, drawn
by stratum.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_sources import byte_tokenizer
from tiny_wheels import Registry, prose, registry

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.sources import unseen
from engram.sources.checks import Limits
from engram.sources.releases import TextFile, fetch_releases
from engram.sources.settings import RepeatedSettings, UnseenSettings
from engram.windows.labels import label
from engram.windows.rouge import prefix_suffix_rouge

PREFIX, SUFFIX, RUN = 20, 12, 16
LENGTH = PREFIX + SUFFIX
TOKENIZER = byte_tokenizer()
LIMITS = Limits("tiny", len(TOKENIZER), None)
LIBRARY = "def library_function(argument):\n    return argument + 41\n"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(
        unseen, "library_files", lambda: iter([TextFile("lib.py", LIBRARY, is_code=True)])
    )
    return registry(tmp_path / "index", monkeypatch)


def read(
    wheels: Registry,
    *names: str,
    seed: int = 1,
    repeated: dict[str, int] | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """The windows of packages in version 2.0 since version 1.0."""
    folder = wheels.folder.parent
    asked = [
        {"name": name, "version": "2.0", "released": "2026-02-01", "before": "1.0"}
        for name in names
    ]
    chosen = UnseenSettings.parse({"stride": 1, "run": RUN, "per_document": 10**6} | settings)
    output = folder / "windows.parquet"
    fetched = fetch_releases(asked, folder / "cache")
    window = (PREFIX, SUFFIX)
    often = RepeatedSettings.parse(repeated or {})
    unseen.write_windows(
        fetched, TOKENIZER, LIMITS, window, chosen, often, seed, output, {"prefix": 20}
    )
    return read_parquet(output)


def package(wheels: Registry, name: str, old: dict[str, str], new: dict[str, str]) -> None:
    wheels.add(name, "1.0", old)
    wheels.add(name, "2.0", new)


def test_windows_are_cut_from_new_lines_alone(wheels: Registry) -> None:
    old, new, rest = prose(1), prose(2), prose(3)
    package(wheels, "one", {"a.py": old + rest}, {"a.py": old + new + rest, "b.py": prose(4, 2)})
    windows = read(wheels, "one")
    assert len(windows) == len(new) - LENGTH + 1
    assert windows["text"].tolist() == [new[n : n + LENGTH] for n in range(len(windows))]
    assert windows["source"].tolist() == [f"one-2.0/one/a.py:{n}" for n in range(len(windows))]
    assert set(windows["release"]) == {"one==2.0"}
    assert set(windows["line"]) == {old.count("\n") + 1}
    assert set(windows["kind"]) == {"natural"}
    assert windows["is_code"].all()
    assert windows["unseen"].all()
    assert not windows["seen_before"].any()
    assert (windows["sequence_duplicates"] == 0).all()
    assert windows["sequence_id"].is_unique
    assert TOKENIZER.batch_decode(windows["tokens"].tolist()) == windows["text"].tolist()


def known_windows(text: str, older: list[str]) -> list[bool]:
    """By comparing every run of 16 characters of every window."""
    return [
        any(
            text[at : at + RUN] in other for other in older for at in range(n, n + LENGTH - RUN + 1)
        )
        for n in range(len(text) - LENGTH + 1)
    ]


@pytest.mark.parametrize("where", ["library", "earlier", "package"])
def test_text_that_is_known_from_elsewhere_is_seen_before(wheels: Registry, where: str) -> None:
    copied = {"library": LIBRARY, "earlier": prose(5, 9), "package": prose(6, 9)}[where]
    text = prose(7, 9) + copied + prose(8, 9)
    package(wheels, "one", {"moved.py": prose(5, 9)}, {"a.py": text})
    package(wheels, "two", {"a.py": "x\n"}, {"a.py": "x\n" + prose(6, 9)})
    older = [LIBRARY, prose(5, 9), prose(6, 9)]
    flagged = read(wheels, "one", "two", seen_before="flag")
    flagged = flagged[flagged["source"].str.startswith("one-2.0/one/a.py")]
    assert flagged["seen_before"].tolist() == known_windows(text, older)
    assert (flagged["unseen"] == ~flagged["seen_before"]).all()
    assert 0 < flagged["seen_before"].sum() < len(flagged)
    dropped = read(wheels, "one", "two")
    dropped = dropped[dropped["source"].str.startswith("one-2.0/one/a.py")]
    assert (
        dropped["sequence_id"].tolist()
        == flagged.loc[~flagged["seen_before"], "sequence_id"].tolist()
    )


def test_duplicates_are_counted_in_older_text(wheels: Registry) -> None:
    repeated = prose(9, 3)
    package(wheels, "one", {"b.txt": repeated + "- " + repeated}, {"a.md": prose(1) + repeated})
    windows = read(wheels, "one", seen_before="flag")
    last = windows[windows["text"].str.endswith(repeated[-SUFFIX:])]
    assert last["sequence_duplicates"].tolist() == [2]
    assert windows["sequence_duplicates"].sum() == 2 * (len(repeated) - SUFFIX + 1)
    assert not windows["is_code"].any()


def test_a_package_may_repeat_itself(wheels: Registry) -> None:
    package(wheels, "one", {}, {"a.py": prose(1), "b.py": prose(1)})
    windows = read(wheels, "one")
    assert len(windows) == 2 * (len(prose(1)) - LENGTH + 1)
    assert windows["unseen"].all()


def test_strata_are_drawn_by_permanent_numbers(wheels: Registry) -> None:
    copies = "".join(f"{word * 5}\n" for word in prose(3, 30).split())
    package(wheels, "one", {}, {"a.py": prose(1) + copies, "b.md": prose(2), "c.py": prose(4)})
    every = read(wheels, "one", code={"low": 10**6, "high": 10**6})
    strata = read_metadata(wheels.folder.parent / "windows.parquet")["strata"]
    assert strata["code, low overlap"]["windows"] == strata["code, low overlap"]["kept"] > 60
    assert strata["code, high overlap"]["windows"] > 60
    assert strata["prose, high overlap"] == {"windows": 0, "seen before": 0, "kept": 0}
    few = read(wheels, "one", code={"low": 20, "high": 30}, prose={"low": 0}, per_document=15)
    labels, found = label(few.assign(memorization_score=0.0), PREFIX)
    assert found["is_code"] == "source"
    halves = np.maximum(*prefix_suffix_rouge(np.stack(few["tokens"].tolist()), LENGTH // 2))
    assert labels["half_overlap"].tolist() == halves.tolist()
    high = labels["half_overlap"] >= 0.5
    assert labels["unseen"].all()
    assert high.sum() == 15
    assert (~high).sum() == 20
    documents = few["source"].str.rsplit(":", n=1).str[0]
    assert few.groupby([documents, high.to_numpy()]).size().max() == 15
    assert set(few["sequence_id"]) <= set(every["sequence_id"])
    other = read(wheels, "one", code={"low": 20, "high": 30}, prose={"low": 0}, seed=2)
    assert set(other["sequence_id"]) != set(few["sequence_id"])


def test_metadata_record_what_was_read(wheels: Registry) -> None:
    package(wheels, "one", {"a.py": "x\n"}, {"a.py": prose(1)})
    read(wheels, "one")
    said = read_metadata(wheels.folder.parent / "windows.parquet")
    (release,) = said["releases"]
    assert (release["name"], release["version"]) == ("one", "2.0")
    assert len(release["wheel"]["sha256"]) == len(release["before"]["sha256"]) == 64
    assert said["prefix"] == 20
    assert said["files"]["read"] == 2
    assert said["older_text"]["tokens"] > len(LIBRARY)


def test_too_little_new_text_is_one_line(wheels: Registry) -> None:
    package(wheels, "one", {"a.py": prose(1)}, {"a.py": prose(1) + "short\n"})
    with pytest.raises(EngramError, match="no run of new lines has 32 tokens"):
        read(wheels, "one")
    package(wheels, "two", {"a.py": prose(1)}, {"b.py": prose(1)})
    with pytest.raises(EngramError, match="every window was seen before"):
        read(wheels, "two")
