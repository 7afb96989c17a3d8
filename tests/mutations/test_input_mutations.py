"""Users' inputs, mutated: each is read rightly or refused in one line; nothing is lost in silence.

Models, tables and corpora as people might bring them. `make test` tries a few of each,
`ENGRAM_MUTATIONS=2000 pytest -s tests/mutations` hundreds, and 30 of each by the real command."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from checkout import TINY, Checkout, copy_project
from mutations import DAMAGES
from tiny_sources import byte_tokenizer, tiny_model
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.lm.attention import extract
from engram.lm.models import load_model, load_tokenizer
from engram.lm.oracle import compare, expect
from engram.sources import corpus, table
from engram.sources.checks import Limits
from engram.sources.files import read_rows
from engram.sources.fit import model_limits
from engram.sources.snapshots import fetch_model

MANY = "ENGRAM_MUTATIONS" in os.environ
MODELS, TABLES, CORPORA, COMMANDS = (500, 500, 200, 30) if MANY else (12, 40, 15, 1)
PREFIX = SUFFIX = 8
WINDOW = PREFIX + SUFFIX
COLUMNS = {"sequence_id": "id", "tokens": "ids", "text": "text", "memorization_score": "score"}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 5\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy model with a tokenizer of single bytes."""
    folder = tmp_path_factory.mktemp("healthy") / "model"
    tiny_model().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(model: Path) -> PreTrainedTokenizerFast:
    return load_tokenizer(model)


@pytest.fixture(scope="module")
def limits(model: Path) -> Limits:
    return model_limits(model, WINDOW)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Counter[str]]:
    counted: Counter[str] = Counter()
    yield counted
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common()))


def refused(read: Callable[[], Any], place: Path) -> bool:
    """Whether an input is refused, in one line that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning is not an outcome
            read()
    except EngramError as error:
        message = str(error)
        assert message.isprintable() and len(message) < 2000, message
        assert str(place) in message, message
        return True
    return False


# --- tables


def rows_of(r: random.Random, tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
    """The rows of a table that is right; some tables are longer than a block of 1 MiB."""
    n, wide = r.randint(1, 30), r.random() < 0.1
    signs = "abc ,;\"'\t\r\né∂ß0123456789"
    rows = []
    for number in range(n):
        text = "".join(r.choices(signs, k=60)) + "\r\n" * (r.randint(20_000, 40_000) if wide else 0)
        ids = tokenizer(text)["input_ids"][:WINDOW]
        score = r.randint(0, SUFFIX) / SUFFIX
        rows.append({"id": 7 * number, "ids": ids, "text": text, "score": score})
    return rows


def as_csv(r: random.Random, rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO()
    quoting = r.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    ends = r.choice(["\n", "\r\n"])
    writer = csv.DictWriter(file, list(rows[0]), lineterminator=ends, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return ("\ufeff" * r.randint(0, 1) + file.getvalue()).encode()


def as_lines(r: random.Random, rows: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(row, ensure_ascii=r.random() < 0.5) for row in rows]
    lines += [""] * r.randint(0, 3)
    return ("\ufeff" * r.randint(0, 1) + r.choice(["\n", "\r\n"]).join(lines)).encode()


def as_json(r: random.Random, rows: list[dict[str, Any]]) -> bytes:
    if r.random() < 0.3:
        return as_lines(r, rows)
    return json.dumps(rows, indent=r.choice([None, 1])).encode()


def as_parquet(r: random.Random, rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    compression = r.choice(["snappy", "zstd", "gzip", "none"])
    content = pa.Table.from_pylist(rows)
    if r.random() < 0.3 and "text" in content.column_names:  # no rows, no columns
        text = content.schema.get_field_index("text")
        content = content.set_column(text, "text", content["text"].dictionary_encode())
    pq.write_table(content, sink, compression=compression, row_group_size=r.randint(1, 10))
    return sink.getvalue().to_pybytes()


FORMATS: dict[str, Callable[[random.Random, list[dict[str, Any]]], bytes]] = {
    ".csv": as_csv,
    ".CSV": as_csv,
    ".jsonl": as_lines,
    ".ndjson": as_lines,
    ".json": as_json,
    ".Json": as_json,
    ".parquet": as_parquet,
}
WRONG: list[Any] = [None, "", "x", -1, 2**63, 1.5, float("nan"), [], [1, 2], {"a": 1}, True, "é"]


def written(r: random.Random, folder: Path, rows: list[dict[str, Any]]) -> tuple[Path, bool]:
    """A table, and whether it was damaged so that its rows may be others."""
    ending = r.choice(list(FORMATS))
    path, damaged = folder / f"t{ending}", r.random() < 0.6
    kept = [dict(row) for row in rows]
    if damaged and r.random() < 0.6:
        row, column = r.choice(kept), r.choice(list(COLUMNS.values()))
        if r.random() < 0.15 and ending not in (".csv", ".CSV", ".parquet"):
            row["text"] = "half \ud800"
        elif r.random() < 0.15:
            for row in kept:
                row.pop(column)
        else:
            row[column] = r.choice(WRONG)
    try:
        content = FORMATS[ending](r, kept)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        content = as_lines(random.Random(0), rows)[:-9]
    if damaged and r.random() < 0.4:
        change = r.randrange(4)
        content = [
            lambda: r.choice(DAMAGES)(r, content),
            lambda: gzip.compress(content),
            lambda: POINTER,
            lambda: content.decode("utf-8", "replace").encode("utf-16"),
        ][change]()
    path.write_bytes(content)
    return path, damaged


def test_mutated_tables(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    outcomes: Counter[str],
) -> None:
    for seed in range(TABLES):
        r = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        rows = rows_of(r, tokenizer)
        path, damaged = written(r, folder, rows)
        without = r.choice(["text", "tokens"])
        columns = {name: column for name, column in COLUMNS.items() if name != without}
        reader = table.TableReader(columns, WINDOW, limits, tokenizer)
        out = folder / "out.parquet"
        if refused(lambda: table.write_windows(path, reader, out, {}), path):  # noqa: B023
            assert damaged, path
            assert not out.exists()
            outcomes["tables refused"] += 1
            continue
        found = read_parquet(out)
        assert read_metadata(out)["files"]["read"] == 1
        if not damaged:
            assert found["sequence_id"].tolist() == [row["id"] for row in rows], path
            texts = [one for part in read_rows(path, ["text"]) for one in part.table["text"]]
            assert [one.as_py() for one in texts] == [row["text"] for row in rows], path
            assert [one.tolist() for one in found["tokens"]] == [row["ids"] for row in rows]
            assert found["memorization_score"].tolist() == [row["score"] for row in rows]
        outcomes["tables read"] += 1
        shutil.rmtree(folder)


# --- corpora


def write_corpus(r: random.Random, folder: Path, aside: Path) -> tuple[dict[str, str], int, bool]:
    """Files of a corpus: text by document, all files and links, and whether all can be read."""
    documents, entries, sound = {}, 0, True
    for number in range(r.randint(1, 8)):
        below = folder / r.choice(["", "a", "a/b", ".hidden"])
        below.mkdir(parents=True, exist_ok=True)
        text = "".join(r.choices("ab c\r\né", k=r.choice([0, 3, 40, 200])))
        kind = r.choice(["txt", "md", "py", "json", "jsonl", "link", "folder", "odd", "binary"])
        path, hidden = below / f"{number}.{kind}", below.name == ".hidden"
        entries += not hidden
        if kind in ("txt", "md", "py"):
            path.write_bytes(text.encode())
            documents |= {} if hidden else {path.relative_to(folder).as_posix(): text}
        elif kind in ("json", "jsonl"):
            path.write_text(json.dumps({"text": text}))
            name = f"{path.relative_to(folder).as_posix()}#1"
            documents |= {} if hidden else {name: text}
        elif kind in ("link", "folder"):
            (aside / "x.txt").write_text("elsewhere")
            path.symlink_to(aside if kind == "folder" else aside / "nowhere")
        else:
            content = b"\xff\xfe\x00" if kind == "binary" else text.encode()
            path.with_suffix(".txt" if kind == "binary" else ".odd").write_bytes(content)
            sound = sound and hidden
    return documents, entries, sound


def test_mutated_corpora(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    outcomes: Counter[str],
) -> None:
    settings = corpus.CorpusSettings(PREFIX, SUFFIX, stride=4, candidates=10_000, seed=0)
    for seed in range(CORPORA):
        r = random.Random(seed)
        folder, out, aside = (tmp_path / f"{seed}{name}" for name in ("", ".parquet", "aside"))
        folder.mkdir()
        aside.mkdir()
        documents, entries, sound = write_corpus(r, folder, aside)
        enough = {
            name: len(tokenizer(text)["input_ids"]) // 1
            for name, text in documents.items()
            if len(tokenizer(text)["input_ids"]) >= WINDOW
        }

        def read() -> None:
            corpus.write_windows(folder, "*", "text", tokenizer, limits, settings, out, {})  # noqa: B023

        if refused(read, folder):
            assert not sound or not enough, folder
            outcomes["corpora refused"] += 1
            continue
        assert sound
        found = read_parquet(out)
        windows = {name: (tokens - WINDOW) // 4 + 1 for name, tokens in enough.items()}
        assert found["document"].value_counts().to_dict() == windows, folder
        said = read_metadata(out)["files"]
        files = {k: v for k, v in said["left_out"].items() if "documents" not in k}
        hidden_folders = files.pop("hidden folders", 0)
        assert said["read"] + sum(files.values()) == entries, (said, hidden_folders, folder)
        outcomes["corpora read"] += 1


# --- models

VALUES: list[Any] = [None, True, 0, 1, -1, 7, 33, 0.5, "", "x", "gptq", [], [1], {}, {"a": 1}, 1e9]


def break_model(r: random.Random, folder: Path) -> None:
    """What people and networks do to a model's folder."""
    if r.random() < 0.6:
        path = folder / r.choice(["config.json", "config.json", "tokenizer_config.json"])
        values = json.loads(path.read_text())
        key = r.choice([*values, "quantization_config", "rope_scaling", "layer_types", "auto_map"])
        if r.random() < 0.3:
            values.pop(key, None)
        else:
            values[key] = r.choice(VALUES)
        path.write_text(json.dumps(values))
        return
    path = r.choice(sorted(file for file in folder.iterdir() if file.is_file()))
    content = path.read_bytes()
    path.write_bytes(r.choice([b"", POINTER, content[: len(content) // 2], b"[]", b"{}", b"\xff"]))


def test_mutated_models(tmp_path: Path, model: Path, outcomes: Counter[str]) -> None:
    tokens = np.random.default_rng(0).integers(1, 200, (3, WINDOW))
    for seed in range(MODELS):
        r = random.Random(seed)
        folder = Path(shutil.copytree(model, tmp_path / f"{seed}"))
        break_model(r, folder)
        made = tmp_path / f"{seed}-made"

        def read() -> None:
            fetch_model(folder, None, made)  # noqa: B023
            loaded = load_model(made, device="cpu")  # noqa: B023
            load_tokenizer(made)  # noqa: B023
            model_limits(made, WINDOW)  # noqa: B023
            # Right: what transformers itself computes.
            expected = expect(loaded, tokens, PREFIX)
            batch = next(extract(loaded, tokens, PREFIX))
            for row, one in enumerate(expected):
                compare(loaded, one, batch, row)

        outcomes["models refused" if refused_anywhere(read) else "models read"] += 1
        shutil.rmtree(folder)
        shutil.rmtree(made, ignore_errors=True)


def refused_anywhere(read: Callable[[], Any]) -> bool:
    """As `refused`; the message names the folder or the architecture."""
    return refused(read, Path("odel"))  # of `model` and `Model`


# --- the real command


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return copy_project(tmp_path_factory.mktemp("engram"))


@pytest.mark.parametrize("seed", range(COMMANDS))
@pytest.mark.parametrize("kind", ["model", "table", "corpus"])
def test_by_the_real_command(
    kind: str,
    seed: int,
    tmp_path: Path,
    checkout: Checkout,
    model: Path,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    r = random.Random(1000 + seed)
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    rows = rows_of(r, tokenizer)
    (tmp_path / "d").mkdir()
    path, _ = written(r, tmp_path / "d", rows)
    entry: dict[str, Any] = {"name": f"m{seed}", "shards": 1, "model": str(folder)}
    entry |= {"source": "table", "table": str(path)}
    entry["columns"] = {name: column for name, column in COLUMNS.items() if name != "text"}
    if kind == "model":
        break_model(r, folder)
    if kind == "corpus":
        for name in ("d", "aside"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
            (tmp_path / name).mkdir()
        write_corpus(r, tmp_path / "d", tmp_path / "aside")
        entry = {"name": f"m{seed}", "shards": 1, "model": str(folder), "source": "corpus"}
        entry |= {"documents": str(tmp_path / "d")}
    study = TINY | {"study": kind, "models": [entry], "taxonomies": ["Non-Memo, Others"]}
    study |= {"prefix": PREFIX, "suffix": SUFFIX, "flow": [], "knockout": {"enabled": False}}
    study |= {"cnn": TINY["cnn"] | {"kernels": [4], "baselines": []}}
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump(study))
    name = "windows" if kind == "corpus" else "candidates"
    result = checkout.snakemake(
        f"results/{kind}/m{seed}/model/config.json",
        f"results/{kind}/m{seed}/{name}.parquet",
        check=False,
    )
    assert "Traceback" not in result.stdout, result.stdout[-3000:]
    if result.returncode:
        assert "error: " in result.stdout, result.stdout[-3000:]
    else:
        logs = checkout.folder / "results" / kind / "logs" / f"m{seed}"
        said = "".join(log.read_text() for log in logs.glob("read_*.log"))
        assert "left out" in said
