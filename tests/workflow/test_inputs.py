"""Inputs as people have them, by the real command: each is read rightly or refused in one line.

One study of three models, in folders with braces in their names. Two of the models are broken in a
way that shows when they score windows; the study reads their windows, and goes on with the third.
"""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from checkout import TINY, Checkout, copy_project
from tiny_sources import TEXT, byte_tokenizer, parquet, tiny_model
from transformers import PreTrainedModel

from engram.lm.generation import greedy_continuations

PREFIX = SUFFIX = 8
WINDOW = PREFIX + SUFFIX
FIRST_ID = 7_076_739_947_371_468_397
"""Doubles are 1,024 apart there."""
ALMOST = 0.9999999999999999
MEBIBYTE = 1 << 20
DOCUMENTS = [TEXT[200 * number : 200 * number + 90 + number] for number in range(6)]
RESULTS = Path("results/inputs")
MADE = [
    str(RESULTS / "scored/paper/samples/non-memo_others.parquet"),
    str(RESULTS / "scored/reference/samples/non-memo_others.parquet"),
    str(RESULTS / "documents/candidates.parquet"),
    str(RESULTS / "rows/candidates.parquet"),
]


def saved(model: PreTrainedModel, folder: Path) -> str:
    """A model's folder with a tokenizer of bytes."""
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


def scored(folder: Path) -> dict:
    """Windows with ids beyond 2^53, and scores that miss 1 by a rounding error."""
    model = tiny_model("llama")
    tokens = np.random.default_rng(0).integers(1, 200, (100, WINDOW))
    tokens[:60, PREFIX:] = greedy_continuations(model, tokens[:60, :PREFIX], SUFFIX)
    table = parquet(
        folder / "table.parquet",
        id=np.arange(FIRST_ID, FIRST_ID + 100),
        ids=tokens.tolist(),
        score=[ALMOST] * 60 + [0.25] * 40,
    )
    columns = {"sequence_id": "id", "tokens": "ids", "memorization_score": "score"}
    entry = {"source": "table", "table": str(table), "columns": columns}
    return entry | {"model": saved(model, folder / "model")}


def documents(folder: Path) -> dict:
    """Six documents in two files of JSON, a linked folder, a hidden file; and a model with one NaN
    among its weights, next to an adapter.
    """
    texts, elsewhere = folder / "texts", folder / "elsewhere"
    (texts / "below").mkdir(parents=True)
    elsewhere.mkdir()
    objects = [{"id": number, "text": text} for number, text in enumerate(DOCUMENTS)]
    (texts / "lines.json").write_text("\n".join(map(json.dumps, objects[:4])))
    (texts / "below" / "Array.JSON").write_text(json.dumps(objects[4:], indent=1))
    (texts / ".hidden.txt").write_text(TEXT)
    (elsewhere / "other.txt").write_text(TEXT)
    (texts / "linked").symlink_to(elsewhere)
    model = tiny_model()
    model.base_model.layers[1].mlp.dense_4h_to_h.weight.data[3, 3] = float("nan")
    entry = {"source": "corpus", "documents": str(texts), "stride": WINDOW, "candidates": 1000}
    entry |= {"model": saved(model, folder / "model")}
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / "model" / name).touch()
    return entry


def rows(folder: Path) -> dict:
    """CSV files: a block of 1 MiB that ends within a line end within quotes, and a first row longer
    than a block; a partition next to them. The model's logits do not fit into float16.
    """
    tables = folder / "tables"
    (tables / "part=1").mkdir(parents=True)
    lines = b"".join(b'"%s"\r\n' % text.encode().ljust(4096, b"x") for text in starts())
    pad = (MEBIBYTE - len(b'text\r\n"000000\r')) % 4100
    content = b"text\r\n" + lines.replace(b"x", b"x" + b"y" * pad, 1)
    assert content[MEBIBYTE - 1 : MEBIBYTE + 1] == b"\r\n"
    (tables / "a.csv").write_bytes(content)
    (tables / "b.CSV").write_bytes(b'text\r\n"first\r\n%s"\r\n"the second row, 2"\r\n' % LONG)
    (tables / "part=1" / "c.csv").write_bytes(content)
    model = tiny_model()
    model.base_model.final_layer_norm.weight.data.fill_(6e4)
    entry = {"source": "table", "table": str(tables), "columns": {"text": "text"}}
    return entry | {"model": saved(model, folder / "model"), "dtype": "float16"}


LONG = b"x" * (MEBIBYTE + 1)


def starts() -> list[str]:
    """The first tokens of the rows of a CSV file of more than 1 MiB."""
    return [f"{number:06}\r\n" * 2 for number in range(300)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, CompletedProcess[str]]:
    """The study, and what Snakemake said."""
    models = []
    for make in (scored, documents, rows):
        folder = tmp_path_factory.mktemp(make.__name__) / "my {data} {"
        folder.mkdir()
        models.append({"name": make.__name__, "shards": 1} | make(folder))
    checkout = copy_project(tmp_path_factory.mktemp("engram"))
    checkout.configure(
        study="inputs",
        models=models,
        taxonomies=["Non-Memo, Others"],
        protocols=["paper", "reference"],
        samples={"per_class": 12, "minimum": 10},
        prefix=PREFIX,
        suffix=SUFFIX,
        flow=[],
        knockout={"enabled": False},
        cnn=TINY["cnn"] | {"kernels": [4], "baselines": []},
    )
    return checkout, checkout.snakemake(*MADE, check=False)


@pytest.fixture
def results(ran: tuple[Checkout, CompletedProcess[str]]) -> Path:
    return ran[0].folder / RESULTS


def refusal(results: Path, job: str) -> str:
    """The one line that a job ended with."""
    lines = (results / "logs" / f"{job}.log").read_text().splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1, lines
    assert lines[-1].startswith("error: ")
    return lines[-1]


def files(artifact: Path) -> dict:
    """What a source read and left out, by its metadata."""
    return json.loads(pq.read_schema(artifact).metadata[b"engram"])["files"]


def test_two_models_are_refused_and_nothing_else(
    ran: tuple[Checkout, CompletedProcess[str]], results: Path
) -> None:
    failed = [line for line in ran[1].stdout.splitlines() if line.startswith("Error in rule")]
    assert failed == ["Error in rule score_windows:"] * 2
    assert "Traceback" not in ran[1].stdout
    made = {path.parent.name for path in results.glob("*/candidates.parquet")}
    assert made == {"scored"}


def test_logits_beyond_float16_are_no_score(results: Path) -> None:
    said = refusal(results, "rows/score_windows")
    assert "its logits in float16 contain values that are NaN or infinite" in said
    assert "`dtype` to bfloat16 or float32" in said


def test_a_nan_among_the_weights_is_no_score(results: Path) -> None:
    said = refusal(results, "documents/score_windows")
    assert "its logits in float32 contain values that are NaN or infinite" in said


def test_ids_beyond_doubles_are_kept(results: Path) -> None:
    labels = pq.read_table(results / "scored/labels.parquet")
    assert labels["sequence_id"].to_pylist() == list(range(FIRST_ID, FIRST_ID + 100))


def test_a_score_that_misses_1_by_a_rounding_error_is_1(results: Path) -> None:
    labels = pq.read_table(results / "scored/labels.parquet")
    assert labels["memorization_score"].to_pylist() == [1.0] * 60 + [0.25] * 40


@pytest.mark.parametrize("protocol", ["paper", "reference"])
def test_every_class_trains_on_two_thirds(protocol: str, results: Path) -> None:
    """Of 6,000 samples the paper trains on 4,000."""
    samples = pd.read_parquet(results / f"scored/{protocol}/samples/non-memo_others.parquet")
    counts = samples.groupby(["class", "split"]).size().to_dict()
    assert counts == {
        (name, split): number
        for name in ("Non-Memo", "Others")
        for split, number in (("train", 8), ("test", 4))
    }


def test_documents_in_json_are_their_texts(results: Path) -> None:
    windows = pd.read_parquet(results / "documents/windows.parquet").sort_values("offset")
    whole = [text[: len(text) // WINDOW * WINDOW] for text in DOCUMENTS]
    names = [f"lines.json#{number}" for number in (1, 2, 3, 4)]
    names += [f"below/Array.JSON#{number}" for number in (1, 2)]
    assert windows.groupby("document")["text"].agg("".join).to_dict() == dict(
        zip(names, whole, strict=True)
    )


def test_line_ends_within_quotes_are_kept_where_a_block_ends(results: Path) -> None:
    texts = pq.read_table(results / "rows/windows.parquet")["text"].to_pylist()
    assert texts[:300] == starts()


def test_a_first_row_longer_than_a_block_is_read(results: Path) -> None:
    texts = pq.read_table(results / "rows/windows.parquet")["text"].to_pylist()
    assert texts[300:] == ["first\r\nxxxxxxxxx", "the second row, "]


def test_what_a_corpus_leaves_out_is_said(results: Path) -> None:
    left_out = {"linked folders": 1, "hidden files": 1}
    assert files(results / "documents/windows.parquet") == {"read": 2, "left_out": left_out}
    log = (results / "logs/documents/read_windows.log").read_text()
    assert "read 2 files, left out 2: 1 linked folders, 1 hidden files" in log


def test_what_a_folder_of_tables_leaves_out_is_said(results: Path) -> None:
    assert files(results / "rows/windows.parquet") == {"read": 2, "left_out": {"sub-folders": 1}}
    log = (results / "logs/rows/read_windows.log").read_text()
    assert "read 2 files, left out 1: 1 sub-folders" in log


def test_an_adapter_next_to_a_model_is_said(results: Path) -> None:
    reason = "files of an adapter, which is not applied"
    origin = json.loads((results / "documents/model/origin.json").read_text())
    assert origin["files"] == {"read": 5, "left_out": {reason: 2}}
    assert f"2 {reason}" in (results / "logs/documents/fetch_model.log").read_text()


def test_braces_in_a_path_are_part_of_the_path(
    ran: tuple[Checkout, CompletedProcess[str]],
) -> None:
    """Snakemake takes a name in braces for a wildcard. The next plan finds nothing changed."""
    planned = ran[0].planned()
    assert planned["extract_attention"] == 3
    assert planned["label_candidates"] == planned["score_windows"] == 2
    assert not {"fetch_model", "read_scored", "read_windows"} & set(planned)
