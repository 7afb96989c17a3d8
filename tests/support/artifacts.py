"""One small file of every kind that a stage reads, with its writer and its reader."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from tiny_models import gpt_neox, random_tokens

from engram.cnn.architecture import Architecture
from engram.cnn.checkpoints import load_cnns, save_cnns
from engram.cnn.finished import from_piece, to_piece
from engram.cnn.key import CnnKey
from engram.cnn.network import AttentionCNN
from engram.cnn.training import TrainedCnn
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.packing import packed_length
from engram.io.parts import Parts
from engram.io.streams import read_batches, stream_parquet
from engram.knockout import kept_conditions
from engram.lm.conditions import MEASURES
from engram.nursery import training as drilling
from engram.saliency.file import BLOCKS, Saliency, read_saliency, write_saliency
from engram.store.attention_file import (
    COLUMNS,
    POOLINGS,
    AttentionFile,
    DamagedRows,
    Header,
    new_attention_file,
)
from engram.store.hidden_state_writer import write_hidden_states
from engram.store.hidden_states import Layers
from engram.store.parts import FinishedRows, row_keys

TOKENS, LAYERS, ROWS = 12, 2, 20
CLASSES = ["Non-Memo", "Guess"]
P = packed_length(TOKENS)
HEADER = Header("tiny", "f00d", "float32", 6, 6, LAYERS, 2, "float32")
KEYS = row_keys(random_tokens(ROWS, TOKENS), 6, "float32")


@dataclass(frozen=True)
class Artifact:
    """A kind of file."""

    name: str
    """Its file name."""
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    """Everything a stage reads of it; raises EngramError, or returns None for a piece that is
    computed again."""
    versioned: bool = True
    """Whether it carries the schema version; pieces of finished work are named by all that decides
    them instead."""


def plain(value: Any) -> Any:
    """A value that `==` compares bit for bit."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        return (
            [plain(list(value))]
            if value.dtype == object
            else (str(value.dtype), value.shape, value.tobytes())
        )
    if isinstance(value, pd.DataFrame):
        return {column: plain(value[column].to_numpy()) for column in value}
    return repr(value)


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def _labels() -> pd.DataFrame:
    ids = np.arange(ROWS, dtype=np.int64)
    columns = {
        "sequence_id": ids,
        "content_group": ids // 2,
        "rouge_l": random().random(ROWS),
        "is_code": ids % 3 == 0,
    }
    return pd.DataFrame(
        columns
        | {
            "text": [f"text {i}" for i in ids],
            "tokens": list(random_tokens(ROWS, TOKENS).astype(np.int32)),
        }
    )


def _read_table(path: Path) -> Any:
    return read_metadata(path), read_parquet(path)


def _write_stream(path: Path) -> None:
    with stream_parquet(path, {"model": "tiny"}) as stream:
        for start in range(0, ROWS, 7):
            stream.append(pa.Table.from_pandas(_labels()[start : start + 7], preserve_index=False))


def _write_shard(path: Path) -> None:
    with new_attention_file(path, ROWS, HEADER) as file:
        maps = {pooling: random().random((ROWS, LAYERS, P)) for pooling in ("max", "mean")}
        columns = {
            "key": random().integers(0, 255, (ROWS, 16), np.uint8),
            "sequence_id": np.arange(ROWS),
            "extracted": np.ones(ROWS, bool),
        }
        file.write(
            range(ROWS),
            maps,
            columns
            | {"matched_fraction": np.ones(ROWS), "suffix_log_prob": -random().random(ROWS)},
        )


def _read_shard(path: Path) -> Any:
    file = AttentionFile(path)
    return (
        vars(file.header),
        file.columns,
        [file.read(range(len(file)), pooling) for pooling in ("max", "mean")],
    )


def _write_saliency(path: Path) -> None:
    shape, groups = (len(CLASSES), LAYERS, P), 2
    binned = (len(CLASSES), groups, LAYERS, len(BLOCKS), TOKENS)
    found = Saliency(
        delta=random().random(shape, np.float32),
        spread=random().random(shape, np.float32),
        profile=random().random((1, len(CLASSES), LAYERS), np.float32),
        classes=CLASSES,
        cnns=["k3-f4-mean/0"],
        n=[4, 5],
        dead=0,
        without_evidence=[0, 1],
        prefix=6,
        binned=random().random((1, *binned), np.float32),
        attention=random().random(binned, np.float32),
        sizes=np.full((len(CLASSES), groups), 2),
    )
    write_saliency(path, {"guided": found}, ", ".join(CLASSES))


def _write_states(path: Path) -> None:
    sequences = pd.DataFrame(
        {"sequence_id": np.arange(ROWS), "tokens": list(random_tokens(ROWS, TOKENS))}
    )
    write_hidden_states(gpt_neox(), sequences, path, 1000)


def _read_states(path: Path) -> Any:
    layers = Layers(path, np.arange(ROWS)[::-1])
    return {name: layers[name] for name in layers}


def _cnn() -> AttentionCNN:
    cnn = AttentionCNN.of(SHAPE, LAYERS, len(CLASSES), TOKENS)
    cnn.initialize(0)
    return cnn


SHAPE = Architecture(3, 4, "mean", hidden=8)


def _write_cnns(path: Path) -> None:
    save_cnns(
        path,
        {CnnKey("attention", "real", SHAPE.name, 0): _cnn().state_dict()},
        [SHAPE],
        CLASSES,
        LAYERS,
        TOKENS,
    )


def _read_cnns(path: Path) -> Any:
    return {key.path: cnn.state_dict() for key, cnn in load_cnns(path).items()}


def _write_cnn_piece(path: Path) -> None:
    history = [{"epoch": 1, "split": "train", "loss": 0.5, "accuracy": 0.75, "selected": True}]
    logits = random().random((ROWS, len(CLASSES)), np.float32)
    trained = TrainedCnn(
        dict(_cnn().state_dict()), history, np.arange(ROWS), np.ones(ROWS, np.int64), logits
    )
    Parts(path.parent).write(path.stem, to_piece(trained))


def _read_cnn_piece(path: Path) -> Any:
    piece = Parts(path.parent).read(path.stem)
    return None if piece is None else vars(from_piece(piece))


def _drilled() -> tuple[Any, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = gpt_neox()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(input_ids=torch.from_numpy(random_tokens(4, TOKENS))).logits.square().mean().backward()
    optimizer.step()
    return model, optimizer


def _write_state(path: Path) -> None:
    progress = {"step": 5, "curve": [{"step": 5, "loss": 1.5}], "total": 0.25, "count": 3}
    drilling._save(*_drilled(), path.parent, progress, path.stem)


def _read_state(path: Path) -> Any:
    model, optimizer = _drilled()
    step, *rest = drilling._restore(model, optimizer, path.parent, path.stem, last=10_000)
    return (
        None
        if not step
        else (
            step,
            rest,
            dict(model.state_dict()),
            [optimizer.state[parameter] for parameter in model.parameters()],
        )
    )


def _write_conditions(path: Path) -> None:
    measures = {f"{i:032x}": random().random((ROWS, len(MEASURES))) for i in range(3)}
    folder = path.parent / "pieces"
    kept_conditions._write(Parts(folder), measures)
    piece = Parts(folder).read(*Parts(folder).present())
    Parts(path.parent).write(path.stem, piece)  # under the name that is mutated
    shutil.rmtree(folder)


def _read_conditions(path: Path) -> Any:
    return kept_conditions._read(Parts(path.parent)) or None


def _write_rows(path: Path) -> None:
    columns = {name: np.arange(ROWS).astype(dtype) for name, dtype in COLUMNS.items()}
    maps = {pooling: random().random((ROWS, LAYERS, P)) for pooling in POOLINGS}
    folder = path.parent / "pieces"
    FinishedRows(folder, "f00d").write(HEADER, KEYS, columns | maps)
    piece = Parts(folder).read(*Parts(folder).present())
    Parts(path.parent).write(path.stem, piece)
    shutil.rmtree(folder)


def _read_rows(path: Path) -> Any:
    finished = FinishedRows(path.parent, "f00d")
    places = finished.locate(KEYS)
    try:
        return {
            key: (
                vars(place.file.header),
                {name: column[place.row] for name, column in place.file.columns.items()},
                [place.file.read([place.row], pooling) for pooling in POOLINGS],
            )
            for key, place in places.items()
        } or None
    except DamagedRows as error:
        finished.forget(error)
        assert not finished.locate(KEYS)
        return None


ARTIFACTS = [
    Artifact(
        "labels.parquet",
        lambda path: write_parquet(_labels(), path, {"model": "tiny", "prefix": 6}),
        _read_table,
    ),
    Artifact(
        "candidates.parquet",
        _write_stream,
        lambda path: [table.to_pandas() for table in read_batches(path)],
    ),
    Artifact("shard-0.h5", _write_shard, _read_shard),
    Artifact("saliency.h5", _write_saliency, lambda path: vars(read_saliency(path, "guided"))),
    Artifact("hidden_states.h5", _write_states, _read_states),
    Artifact("checkpoints.safetensors", _write_cnns, _read_cnns),
    Artifact("c44e.safetensors", _write_cnn_piece, _read_cnn_piece, versioned=False),
    Artifact("57a7.safetensors", _write_state, _read_state, versioned=False),
    Artifact("c0d1.safetensors", _write_conditions, _read_conditions, versioned=False),
    Artifact("a0b5.safetensors", _write_rows, _read_rows, versioned=False),
]

logging.getLogger("engram").setLevel(logging.CRITICAL)
