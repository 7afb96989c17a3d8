"""Classifiers of one model on another one: planted transfer and none, resampled layers, what is
refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_script import run_script
from tiny_samples import TOKENS

from engram.cnn.checkpoints import load_cnns
from engram.cnn.dataset import Dataset
from engram.cnn.grid import train_grid
from engram.cnn.network import token_identity
from engram.cnn.results import write_results
from engram.cnn.settings import CnnSettings
from engram.cnn.text_rivals import text_features
from engram.cnn.training import predict
from engram.cnn.transferred import (
    Maps,
    Samples,
    Texts,
    cnn_logits,
    relative_depth,
    resample_layers,
    stored_logits,
    text_logits,
    unseen,
)
from engram.cnn.transferred_samples import PREDICTED, listed_samples, read_texts
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.io.packing import pack, packed_length, query_key
from engram.io.spans import Spans
from engram.store.attention_file import KEY_BYTES, Header, new_attention_file
from engram.store.index import write_index

CLASSES = ["Non-Memo", "Guess", "Others"]
TAXONOMY = ", ".join(CLASSES)
PREFIX = TOKENS // 2
SETTINGS = CnnSettings(
    kernels=(3,),
    features=(6,),
    head_poolings=("mean",),
    hidden=16,
    dropout=0.2,
    seeds=(0,),
    epochs=8,
    batch_size=8,
    learning_rate=4e-3,
    baselines=("token_identity",),
)
ROWS = 180
OPENING = (7,)
"""What one of the models reads in front of every window."""


def samples(layers: int, signal: int, seed: int, opening: tuple[int, ...] = ()) -> Dataset:
    """Return samples whose class shows in one layer, at a distance of its own."""
    random = np.random.default_rng(seed)
    queries, keys = query_key(len(opening) + TOKENS)
    label = np.arange(ROWS) % len(CLASSES)
    mean = random.uniform(0, 0.3, (ROWS, layers, len(queries))).astype(np.float32)
    mean[:, signal] += 0.6 * ((queries - keys)[None] == (2 + 3 * label)[:, None])
    tokens = random.integers(0, 10_000, (ROWS, TOKENS))
    return Dataset(
        sequence_id=1000 + np.arange(ROWS),
        content_group=np.arange(ROWS),
        tokens=np.concatenate([np.tile(opening, (ROWS, 1)).astype(int), tokens], axis=1),
        mean=mean,
        max=mean.astype(np.float16),
        label=label,
        split=np.array(["train", "train", "train", "validation", "test"], dtype=object)[
            (np.arange(ROWS) // len(CLASSES)) % 5
        ],
        classes=CLASSES,
        features=text_features(tokens, PREFIX, None),
    )


def write_model(folder: Path, data: Dataset, opening: tuple[int, ...] = ()) -> None:
    """Write what a study has of a model and its CNNs."""
    ids, tokens = data.sequence_id, list(data.tokens[:, len(opening) :].astype(np.int32))
    texts = [" ".join(map(str, row)) for row in tokens]
    rows = pd.DataFrame({"sequence_id": ids, "tokens": tokens, "text": texts})
    write_parquet(rows, folder / "candidates.parquet")
    own = rows[["sequence_id", "tokens"]][data.label == 0]
    write_parquet(own, folder / "continuations.parquet")
    labels = {"sequence_id": ids, "content_group": data.content_group}
    write_parquet(pd.DataFrame(labels), folder / "labels.parquet")
    sizes = (PREFIX, TOKENS - PREFIX, data.mean.shape[1], 2)
    header = Header("tiny", "0" * 24, "float32", *sizes, "float32", opening)
    shard = folder / "attention" / "shard-0.h5"
    with new_attention_file(shard, len(ids), header) as file:
        maps = {"mean": data.mean, "max": data.max}
        columns = {"key": np.zeros((len(ids), KEY_BYTES), np.uint8), "sequence_id": ids}
        columns |= {"extracted": np.ones(len(ids), bool)}
        columns |= dict.fromkeys(("matched_fraction", "suffix_log_prob"), np.ones(len(ids)))
        file.write(range(len(ids)), maps, columns)
    write_index([shard], shard.with_name("index.parquet"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Four models: `a` is trained; in `b`, of one more layer, the classes show at the depth of `a`,
    in `c` at another one; `d` reads one token more."""
    root = tmp_path_factory.mktemp("study")
    data = {"a": samples(2, 1, 0), "b": samples(3, 2, 1), "c": samples(3, 0, 2)}
    seen = data["a"].rows("train")[:4], data["b"].rows("test")[:4]
    data["b"].tokens[seen[1]] = data["a"].tokens[seen[0]]
    data["d"] = samples(2, 1, 3, OPENING)
    for name, own in data.items():
        write_model(root / name, own, OPENING if name == "d" else ())
        folder = root / name / "cnns"
        result = train_grid(own, SETTINGS.replace(epochs=8 if name == "a" else 1), "best_epoch")
        names = ("checkpoints.safetensors", "history.csv", "predictions.parquet")
        write_results(result, *(folder / name for name in names), TAXONOMY)
    return SimpleNamespace(root=root, data=data, models=list(data))


def ran(study: SimpleNamespace, model: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return what the script `transfer_cnns` writes of a model."""
    output = study.root / model / "transfer.parquet"
    if not output.exists():
        of_cnns, folders = (
            f"{study.root}/{{}}/cnns/{{}}",
            [f"{study.root}/{m}" for m in study.models],
        )
        files: dict[str, Any] = {
            "own": of_cnns.format(model, "predictions.parquet"),
            "attention": [f"{study.root}/{model}/attention/index.parquet"],
            "checkpoints": [of_cnns.format(m, "checkpoints.safetensors") for m in study.models],
            "predictions": [of_cnns.format(m, "predictions.parquet") for m in study.models],
        }  # strings, as Snakemake gives them
        for name in ("labels", "candidates", "continuations"):
            files[name] = [f"{folder}/{name}.parquet" for folder in folders]
        settings = {"models": study.models, "prefix": PREFIX, "precision": "float32"}
        run_script("transfer_cnns", files, {"predictions": output}, settings, model=model)
    return read_parquet(output), read_metadata(output)


def accuracy(rows: pd.DataFrame) -> float:
    """Return how often the real CNNs on attention are right."""
    own = rows[(rows["input"] == "attention") & (rows["labels"] == "real")]
    predicted = np.stack(own["logits"].tolist()).argmax(1)
    return float((np.array(CLASSES)[predicted] == own["class"]).mean())


def test_a_classifier_transfers_where_the_classes_show_at_its_depth(study: Any) -> None:
    rows, metadata = ran(study, "b")
    assert accuracy(rows[rows["trained_on"] == "a"]) > 0.9
    assert metadata["sources"]["d"]["refused"].startswith("transfer.models: the CNNs of d see 17")
    assert metadata["layers"] == 3 and metadata["sources"]["a"] == {"layers": 2, "refused": ""}
    assert set(rows["split"]) == {"test"} and {"a", "c"} == set(rows["trained_on"])
    inputs = set(rows.loc[rows["trained_on"] == "a", "input"])
    assert inputs == {"attention", "token_identity", "text_scalars", "text", "text_and_attention"}


def test_it_does_not_where_they_show_elsewhere(study: Any) -> None:
    rows, _ = ran(study, "c")
    assert accuracy(rows[rows["trained_on"] == "a"]) < 0.6


def test_texts_that_it_was_trained_on_are_left_out(study: Any) -> None:
    rows, _ = ran(study, "b")
    known = study.data["b"].sequence_id[study.data["b"].rows("test")[:4]]
    of_a = rows.loc[rows["trained_on"] == "a", "sequence_id"]
    assert not of_a.isin(known).any() and of_a.nunique() == ROWS // 5 - 4
    assert rows.loc[rows["trained_on"] == "c", "sequence_id"].isin(known).any()


def test_maps_of_another_number_of_tokens_are_refused_in_one_line(study: Any) -> None:
    rows, metadata = ran(study, "d")
    assert rows.empty and set(metadata["sources"]) == {"a", "b", "c"}
    line = metadata["sources"]["a"]["refused"]
    assert line.startswith("transfer.models: the CNNs of a see 16 tokens, these maps have 17")
    assert "\n" not in line
    cnns = load_cnns(study.root / "a" / "cnns" / "checkpoints.safetensors")
    wide = np.zeros((1, 2, packed_length(TOKENS + 1)))
    with pytest.raises(EngramError, match="16 tokens, these maps have 17; give both models the"):
        cnn_logits(cnns, Maps(wide, wide, np.zeros((1, TOKENS + 1), int)))


def test_blockwise_maps_fit_cnns_of_as_many_blocks(study: Any) -> None:
    cnns = load_cnns(study.root / "a" / "cnns" / "checkpoints.safetensors")
    spans = Spans(0, 2 * PREFIX, 2 * PREFIX, 2)  # twice the tokens in as many rows
    shown = np.random.default_rng(0).random((3, 2, packed_length(TOKENS)), np.float32)
    tokens = np.arange(6 * TOKENS).reshape(3, 2 * TOKENS) % 7
    logits = cnn_logits(cnns, Maps(shown, shown, tokens, spans))
    identity = token_identity(tokens, spans)[:, None]
    key = next(key for key in logits if key.input == "token_identity")
    expected = predict(cnns[key], identity, np.arange(3), "float32")
    np.testing.assert_allclose(logits[key], expected, atol=1e-6)


def test_at_home_the_logits_are_those_of_the_training(study: Any) -> None:
    data, folder = study.data["a"], study.root / "a"
    cnns = load_cnns(folder / "cnns" / "checkpoints.safetensors")
    logits = cnn_logits(cnns, Maps(data.mean, data.max, data.tokens))
    predictions = read_parquet(folder / "cnns" / "predictions.parquet")
    stored = stored_logits(predictions, data.sequence_id)
    assert set(stored) == set(logits)
    for key, own in logits.items():
        np.testing.assert_allclose(own, stored[key], atol=1e-5)
    # So are those of the regressions on text.
    features = {name: sets["logistic"] for name, sets in data.features.items()}
    own = Samples(data.sequence_id, data.label, data.split, features)
    for key, found in text_logits(own, stored, own, stored, len(CLASSES)).items():
        part = predictions[predictions["input"] == key.input]
        part = part[part["cnn"] == key.cnn].set_index("sequence_id")["logits"]
        place = pd.Index(data.sequence_id).get_indexer(part.index)
        np.testing.assert_allclose(found[place], np.stack(part.tolist()), atol=1e-3)


def test_samples_and_texts_come_from_the_files_of_a_study(study: Any) -> None:
    data, folder = study.data["a"], study.root / "a"
    listed = listed_samples(read_parquet(folder / "cnns" / "predictions.parquet", PREDICTED))
    assert listed["sequence_id"].tolist() == data.sequence_id.tolist()
    assert listed["split"].tolist() == data.split.tolist()
    files = (str(folder / f"{name}.parquet") for name in ("candidates", "continuations", "labels"))
    texts = read_texts(listed, *files, CLASSES, PREFIX)
    np.testing.assert_array_equal(texts.tokens, data.tokens)
    np.testing.assert_array_equal(texts.samples.label, data.label)
    assert unseen(texts, texts).tolist() == (data.split == "test").tolist()


def test_a_known_suffix_or_text_is_seen() -> None:
    def texts(keys: list[list[int]], split: str) -> Texts:
        blank = np.zeros(len(keys), int)
        own = Samples(blank, blank, np.full(len(keys), split, object), {})
        return Texts(own, blank[:, None], np.array(keys))

    trained = texts([[1, 2, 3]], "validation")
    tested = texts([[1, 9, 9], [9, 1, 9], [9, 9, 3], [3, 9, 1]], "test")
    assert unseen(tested, trained).tolist() == [False, False, False, True]
    forgotten = replace(trained.samples, split=np.array(["test"], object))
    assert unseen(tested, replace(trained, samples=forgotten)).all()


def test_layers_are_interpolated_over_relative_depth() -> None:
    ramp = np.linspace(0, 1, 5)[None, :, None] * np.ones((2, 1, 3))  # depth itself
    for layers in (1, 2, 3, 5, 8, 12):
        found = resample_layers(ramp, layers)
        assert found.shape == (2, layers, 3) and found.dtype == np.float32
        np.testing.assert_allclose(found[0, :, 0], relative_depth(layers), atol=1e-6)
    one = resample_layers(np.full((1, 1, 3), 0.4), 4)
    np.testing.assert_allclose(one, np.full((1, 4, 3), 0.4), atol=1e-6)


def test_resampled_maps_are_attention_still() -> None:
    scores = np.exp(np.random.default_rng(0).normal(size=(2, 3, TOKENS, TOKENS))) * np.tri(TOKENS)
    maps = pack(scores / scores.sum(-1, keepdims=True))
    sums = np.add.reduceat(resample_layers(maps, 7), np.flatnonzero(query_key(TOKENS)[1] == 0), 2)
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    np.testing.assert_array_equal(resample_layers(maps, 3), maps.astype(np.float32))
