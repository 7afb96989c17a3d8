"""Published pairs: documents with the number of their insertions, in the layout of Hubble's data
sets, and what a counterpart makes of their windows.
"""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import yaml
from tiny_sources import PREFIX, SUFFIX, TEXT, WINDOW, byte_tokenizer, parquet, tiny_model
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engram.cnn.probes import NOT_FEATURES
from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_batches, stream_parquet
from engram.lm.generation import greedy_continuations, teacher_forced_scores
from engram.run.config import complete
from engram.run.study_taxonomies import taxonomies
from engram.sources import scoring
from engram.sources.candidates import window_table
from engram.sources.checks import Limits
from engram.sources.corpus import CorpusSettings, write_windows
from engram.sources.documents import read_documents
from engram.sources.files import read_rows
from engram.sources.scoring import OF_COUNTERPART, write_counterpart, write_scored
from engram.taxonomy.sampling import draw_samples
from engram.taxonomy.settings import DrawSettings, MatchSettings
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config
from engram.windows.labelling import write_labels

STUDY = yaml.safe_load((Path(__file__).parents[3] / "studies/hubble.yaml").read_text())
COLUMN = "meta.duplicates"


def passages(folder: Path, metas: list[Any], name: str = "passages_wikipedia") -> Path:
    """Write a file of Hubble's layout, one passage for each `meta`."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}_nodup.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for number, meta in enumerate(metas):
            text = TEXT[97 * number : 97 * number + 80]
            file.write(json.dumps({"text": text, "meta": meta}) + "\n")
    return path


@pytest.mark.parametrize("written", [dict, json.dumps])
def test_exposures_are_carried_into_the_windows(
    written: Any, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, limits: Limits
) -> None:
    times = [0, 1, 256, 4]
    # Other fields of `meta` may have any type.
    metas = [written({"duplicates": t, "id": [t, "x", {"k": t}][t % 3]}) for t in times]
    passages(tmp_path / "p", metas)
    settings = CorpusSettings(PREFIX, SUFFIX, stride=3, candidates=10**6, seed=1)
    arguments = (tmp_path / "p", "*_nodup.jsonl.gz", "text", tokenizer, limits, settings)
    write_windows(*arguments, tmp_path / "w.parquet", {}, COLUMN)
    windows = read_parquet(tmp_path / "w.parquet")
    row = windows["document"].str.rpartition("#")[2].astype(int)
    assert windows["exposures"].tolist() == [times[number - 1] for number in row]
    assert set(windows["exposures"]) == set(times)
    write_windows(*arguments, tmp_path / "without.parquet", {})
    pd.testing.assert_frame_equal(
        read_parquet(tmp_path / "without.parquet"), windows.drop(columns="exposures")
    )


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "json.gz", "ndjson.gz"])
def test_other_tables_say_exposures_too(kind: str, tmp_path: Path) -> None:
    texts, times = ["one text", "another"], [3, 0]
    metas = [json.dumps({"duplicates": number}) for number in times]
    path = tmp_path / f"documents.{kind}"
    if kind == "parquet":
        parquet(path, text=texts, meta=[{"duplicates": number} for number in times])
    else:
        frame = pd.DataFrame({"text": texts, "meta": metas})
        content = (
            frame.to_csv(index=False)
            if "csv" in kind
            else frame.to_json(orient="records", lines="nd" in kind)
        )
        opened = gzip.open if kind.endswith("gz") else open
        with opened(path, "wt", encoding="utf-8") as file:
            file.write(content)
    found = [(piece.text, piece.exposures) for piece in read_documents(path, "d", "text", COLUMN)]
    assert found == list(zip(texts, times, strict=True))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"copies": 3}, r"line 2, field meta.duplicates: there is no key duplicates in"),
        ("no JSON", r"line 2, field meta.duplicates: the text is not JSON"),
        (None, r"line 2, field meta.duplicates: there is no key duplicates in None"),
        ({"duplicates": -1}, r"line 2, column meta.duplicates: -1 is negative"),
        ({"duplicates": None}, r"line 2, column meta.duplicates: "),
    ],
)
def test_a_passage_without_its_number_is_refused(meta: Any, message: str, tmp_path: Path) -> None:
    path = passages(tmp_path, [{"duplicates": 3}, meta])
    with pytest.raises(EngramError, match=message):
        list(read_documents(path, "d", "text", COLUMN))


def test_a_text_file_has_no_exposures(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(EngramError, match=r"a\.txt: a text file has no exposures_column"):
        list(read_documents(tmp_path / "a.txt", "d", "text", COLUMN))


def test_a_damaged_compressed_file_is_refused(tmp_path: Path) -> None:
    path = passages(tmp_path, [{"duplicates": 3}] * 50)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"plain", whole[:-12] + bytes(4) + whole[-8:]):
        path.write_bytes(content)
        with pytest.raises(EngramError, match=r"no whole gzip file \(.+\); copy or download"):
            list(read_rows(path, ["text"]))


def nearly(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with other weights, which often has the same first choice."""
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.012 * torch.randn_like(parameter)
    return other


@pytest.fixture(scope="module")
def pair() -> tuple[PreTrainedModel, PreTrainedModel]:
    perturbed = tiny_model("llama")
    return perturbed, nearly(perturbed)


@pytest.fixture(scope="module")
def labels(
    pair: tuple[PreTrainedModel, PreTrainedModel],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> pd.DataFrame:
    """Labels of windows three quarters of which the perturbed model extracts."""
    folder, n = tmp_path_factory.mktemp("pair"), 240
    random = np.random.default_rng(0)
    tokens = random.integers(1, 300, (n, WINDOW), dtype=np.int32)
    extracted = random.random(n) < 0.75
    tokens[extracted, PREFIX:] = greedy_continuations(
        pair[0], tokens[extracted, :PREFIX].astype(np.int64), SUFFIX
    )
    columns = {
        "sequence_id": np.arange(n),
        "text": [f"text {number}" for number in range(n)],
        "sequence_duplicates": np.ones(n, np.int64),
        "exposures": random.choice([0, 1, 16], n),
    }
    with stream_parquet(folder / "w.parquet", {}) as stream:
        stream.append(window_table(tokens, columns))
    write_scored(folder / "w.parquet", folder / "c.parquet", pair[0], PREFIX, {"source": "corpus"})
    written = folder / "k.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "read_batches", lambda path: read_batches(path, rows=70))
        arguments = (folder / "w.parquet", written, pair[1], PREFIX, (tokenizer, tokenizer))
        write_counterpart(*arguments, {"counterpart_commit": "abc"})
    write_labels(folder / "c.parquet", folder / "l.parquet", PREFIX, counterpart=written)
    assert read_metadata(folder / "l.parquet")["counterpart_commit"] == "abc"
    expected = teacher_forced_scores(pair[1], tokens.astype(np.int64), PREFIX)
    labels = read_parquet(folder / "l.parquet")
    for name in OF_COUNTERPART:
        np.testing.assert_allclose(labels[f"counterpart_{name}"], expected[name], rtol=1e-5)
    return labels


def test_classes_follow_from_both_models_and_the_exposures(labels: pd.DataFrame) -> None:
    (named, _) = taxonomies(complete(STUDY)).values()
    assert named.name == "Non-Memo, Recalled, Guessed, Guessed-Seen"
    both = labels["extracted"] & labels["counterpart_extracted"]
    alone = labels["extracted"] & ~labels["counterpart_extracted"]
    shown = labels["exposures"] > 0
    assert (labels["counterpart_exposures"] == 0).all()
    expected = np.select(
        [~labels["extracted"], alone & shown, both & ~shown, both & shown],
        ["Non-Memo", "Recalled", "Guessed", "Guessed-Seen"],
        default="",
    )
    found = named.assign(labels).fillna("").to_numpy(dtype=object)
    assert found.tolist() == expected.tolist()
    counts = pd.Series(expected).value_counts()
    assert counts.min() >= 5 and len(counts) == 5  # drift is none of the classes


def test_classes_are_matched_in_what_the_standard_model_makes_of_the_text(
    labels: pd.DataFrame,
) -> None:
    study = complete(STUDY)
    match = MatchSettings.parse(study["samples"]["match"])
    assert match.columns == ("counterpart_suffix_log_prob", "rouge_l")
    named = Taxonomy.parse("Recalled, Guessed", categories_from_config(study["categories"]))
    sizes = {"per_class": 50, "minimum": 2, "train": 1.0, "validation": 0.0}
    few = {"columns": list(match.columns), "bins": 2}
    settings = DrawSettings.parse({**sizes, "split_by": "sequence", "match": few})
    drawn = draw_samples(labels, named, settings, seed=1)
    assert drawn["class"].value_counts().nunique() == 1
    column = labels.set_index("sequence_id")["counterpart_suffix_log_prob"]
    codes = named.assign(labels)
    spread = labels.groupby(codes)["counterpart_suffix_log_prob"].mean()
    matched = drawn.groupby("class")["sequence_id"].agg(lambda ids: column[ids].mean())
    assert np.ptp(matched) < np.ptp(spread)


def test_no_rival_sees_what_a_counterpart_says(labels: pd.DataFrame) -> None:
    hidden = {name for name in labels if name.startswith("counterpart_")} | {"exposures"}
    assert hidden <= NOT_FEATURES


def test_a_counterpart_reads_the_same_tokens(
    tmp_path: Path, pair: tuple[PreTrainedModel, PreTrainedModel], tokenizer: Any
) -> None:
    with pytest.raises(EngramError, match="its tokenizer is not that of the model"):
        write_counterpart(
            tmp_path / "w.parquet",
            tmp_path / "k.parquet",
            pair[1],
            PREFIX,
            (tokenizer, byte_tokenizer()),
            {},
        )


def test_rows_of_other_windows_are_refused(tmp_path: Path) -> None:
    columns = {
        "sequence_id": np.arange(3),
        "text": ["a", "b", "c"],
        "sequence_duplicates": np.ones(3, np.int64),
        "memorization_score": np.zeros(3),
    }
    with stream_parquet(tmp_path / "c.parquet", {}) as stream:
        stream.append(window_table(np.ones((3, WINDOW), np.int32), columns))
    with stream_parquet(tmp_path / "k.parquet", {}) as stream:
        stream.append(pa.table({"sequence_id": [0, 2, 1], "counterpart_extracted": [True] * 3}))
    with pytest.raises(EngramError, match="its rows are not those of"):
        write_labels(
            tmp_path / "c.parquet",
            tmp_path / "l.parquet",
            PREFIX,
            counterpart=tmp_path / "k.parquet",
        )
