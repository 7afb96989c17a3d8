"""Models and texts of a user's own, by config alone.

A Llama goes from a table to the scores and a GPT-2 from documents, two more architectures to
attention; tests/unit/lm compares many more with transformers. Some of their tokenizers put a token
in front of every text.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import fasttext
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from checkout import TINY, Checkout, copy_project
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from engram.lm.generation import greedy_continuations
from engram.lm.inputs import begin_with

PREFIX = SUFFIX = 8
WORDS = 200
BEGUN = ("llama", "olmo2")
"""Architectures whose tokenizer puts w0 in front of a text."""
TABLES = "results/own/tables"
EXPLORER = "results/own/explorer.html"


def own_model(architecture: str, seed: int) -> PreTrainedModel:
    """A random-weight model."""
    torch.manual_seed(seed)
    special = {"vocab_size": WORDS, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
    shape = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
    }
    if architecture == "gpt2":
        shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    elif architecture != "gpt_neox":
        shape |= {"num_key_value_heads": 2, "head_dim": 8}
    model: PreTrainedModel = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(architecture, **shape, **special)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    begin_with(model, (0,) if architecture in BEGUN else ())
    return model.eval()


def save(model: PreTrainedModel, folder: Path) -> Path:
    """The model with a tokenizer that makes every word a token."""
    words = Tokenizer(
        models.WordLevel({f"w{number}": number for number in range(WORDS)}, unk_token="w0")
    )
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if model.config.model_type in BEGUN:
        words.post_processor = processors.TemplateProcessing(
            single="w0 $A", special_tokens=[("w0", 0)]
        )
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w0").save_pretrained(folder)
    return folder


def windows(model: PreTrainedModel) -> np.ndarray:
    """60 windows that the model writes itself, and 40 that it does not."""
    tokens = np.random.default_rng(0).integers(1, WORDS, (100, PREFIX + SUFFIX))
    tokens[:60, PREFIX:] = greedy_continuations(model, tokens[:60, :PREFIX], SUFFIX)
    return tokens


def table(folder: Path, architecture: str) -> dict:
    """A JSONL table of windows; two in three are common text."""
    model = own_model(architecture, seed=1)
    rows = [
        {"ids": row.tolist(), "copies": 1 + number % 3} for number, row in enumerate(windows(model))
    ]
    (folder / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = {"tokens": "ids", "sequence_duplicates": "copies"}
    return {
        "source": "table",
        "model": str(save(model, folder / "model")),
        "table": str(folder / "table.jsonl"),
        "columns": columns,
    }


def scored_table(folder: Path, architecture: str) -> dict:
    """A parquet table of windows that says itself which of them the model writes."""
    model = own_model(architecture, seed=4)
    ids = windows(model)
    pq.write_table(
        pa.table({"ids": ids.tolist(), "score": [1.0] * 60 + [0.25] * 40}), folder / "table.parquet"
    )
    columns = {"tokens": "ids", "memorization_score": "score"}
    return {
        "source": "table",
        "model": str(save(model, folder / "model")),
        "table": str(folder / "table.parquet"),
        "columns": columns,
    }


def corpus(folder: Path, architecture: str) -> dict:
    """Text files; a document in two stands in the corpus twice."""
    model = own_model(architecture, seed=2)
    (folder / "documents").mkdir()
    for number, row in enumerate(windows(model)):
        for copy in range(1 + number % 2):
            (folder / "documents" / f"{number}-{copy}.txt").write_text(
                " ".join(f"w{token}" for token in row)
            )
    twin = str(save(own_model(architecture, seed=3), folder / "twin"))
    return {
        "source": "corpus",
        "model": str(save(model, folder / "model")),
        "documents": str(folder / "documents"),
        "twin": twin,
    }


SETTINGS = {
    "prefix": PREFIX,
    "suffix": SUFFIX,
    "flow": [],
    "knockout": {"enabled": False},
    "saliency": {"samples_per_class": 2, "checks": False},
    "samples": {"per_class": 20, "minimum": 10},
    "cnn": {
        "kernels": [4],
        "features": [4],
        "head_poolings": ["mean"],
        "epochs": 1,
        "baselines": [],
    },
}
MORE = ("gpt_neox", "olmo2")


def code_model(path: Path) -> Path:
    """A fastText model for which w1 to w9 are code."""
    rows = [f"__label__{'Code' if number < 10 else 'NL'} w{number}" for number in range(1, WORDS)]
    path.with_suffix(".txt").write_text("\n".join(rows * 5))
    fasttext.train_supervised(
        str(path.with_suffix(".txt")), dim=4, bucket=100, thread=1, verbose=0
    ).save_model(str(path))
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A finished study of two architectures, each from a source of its own, without figures."""
    folder = tmp_path_factory.mktemp("own")
    entries = []
    for source, architecture in ((table, "llama"), (corpus, "gpt2")):
        name = f"{source.__name__}-{architecture}"
        (folder / name).mkdir()
        entries.append({"name": name, "shards": 1} | source(folder / name, architecture))
    checkout = copy_project(tmp_path_factory.mktemp("engram"))
    classifier = {"model": str(code_model(folder / "code.bin"))}
    checkout.configure(
        study="own",
        models=entries,
        taxonomies=["Non-Memo, Recite[1], Others"],
        code_classifier=classifier,
        **SETTINGS,
    )
    tables = (f"{TABLES}/{name}.csv" for name in ("scores", "truth", "verification"))
    checkout.snakemake(*tables, EXPLORER)
    return checkout


@pytest.fixture(scope="module")
def more(own: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of two further architectures, as far as their attention."""
    entries = []
    for architecture in MORE:
        folder = tmp_path_factory.mktemp(architecture)
        entries.append({"name": architecture, "shards": 1} | scored_table(folder, architecture))
    (own.folder / "more.yaml").write_text(
        yaml.safe_dump(
            TINY
            | {"study": "more", "models": entries, "taxonomies": ["Non-Memo, Others"]}
            | SETTINGS
        )
    )
    own.snakemake(
        "--configfile",
        "more.yaml",
        "--",
        *(f"results/more/{name}/attention/verification.parquet" for name in MORE),
    )
    return own.folder / "results" / "more"


@pytest.mark.parametrize("architecture", MORE)
def test_further_architectures_reach_attention(architecture: str, more: Path) -> None:
    verification = pq.read_table(
        more / architecture / "attention" / "verification.parquet"
    ).to_pandas()
    assert len(verification) == 40
    # What the model writes itself, memorized or continued, it writes again.
    assert verification["extracted"].all()
    assert (
        json.loads((more / architecture / "model" / "config.json").read_text())["model_type"]
        == architecture
    )
    tokens = PREFIX + SUFFIX + (architecture in BEGUN)
    with h5py.File(more / architecture / "attention" / "shard-0.h5") as shard:
        assert shard["mean"].shape == (40, 2, tokens * (tokens + 1) // 2)
        assert list(shard.attrs.get("opening", [])) == [0] * (architecture in BEGUN)


def test_every_model_has_scores(own: Checkout) -> None:
    scores = pd.read_csv(own.folder / TABLES / "scores.csv")
    assert set(scores["model"]) == {"table-llama", "corpus-gpt2"}


def test_what_the_model_writes_itself_is_memorized(own: Checkout) -> None:
    for name, expected in (("table-llama", 60), ("corpus-gpt2", 90)):
        labels = pq.read_table(own.folder / "results/own" / name / "labels.parquet").to_pandas()
        assert (labels["memorization_score"] == 1).sum() == expected, name


def test_duplicates_of_documents_are_counted(own: Checkout) -> None:
    folder = own.folder / "results/own/corpus-gpt2"
    labels = pq.read_table(folder / "labels.parquet").to_pandas()
    tokens = np.stack(pq.read_table(folder / "candidates.parquet")["tokens"].to_pylist())
    suffixes = [tuple(row) for row in tokens[:, PREFIX:].tolist()]
    counts = Counter(suffixes)
    assert len(suffixes) == 150 and min(counts.values()) == 1
    assert labels["sequence_duplicates"].tolist() == [counts[suffix] for suffix in suffixes]


def test_samples_are_extracted_as_they_were_scored(own: Checkout) -> None:
    verification = pd.read_csv(own.folder / TABLES / "verification.csv")
    assert verification[["disagree", "other_score"]].sum().tolist() == [0, 0]


def test_a_twin_gives_the_truth(own: Checkout) -> None:
    truth = pd.read_csv(own.folder / TABLES / "truth.csv")
    assert set(truth["model"]) == {"corpus-gpt2"}
    # Another random model writes nothing of it.
    assert truth["guessed"].sum() == 0
    assert truth["recalled"].sum() > 0


def test_ids_of_64_bits_are_kept_by_the_explorer_and_every_json(own: Checkout) -> None:
    """Whoever reads JSON's numbers as doubles, as browsers do, shows others beyond 2^53."""
    page = (own.folder / EXPLORER).read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    assert data
    for model in json.loads(data[1], parse_int=float)["models"]:
        labels = own.folder / "results/own" / model["name"] / "labels.parquet"
        known = pq.read_table(labels)["sequence_id"].to_pylist()
        shown = {sample["id"] for sample in model["samples"]}
        assert shown and shown <= set(map(str, known))
        if model["name"].startswith("corpus"):
            assert min(map(int, shown)) > 2**53
    numbers: list[int] = []
    for path in (own.folder / "results/own").rglob("*.json"):
        if path.parent.name not in ("model", "twin"):  # copies of the user's files
            json.loads(path.read_text(), parse_int=lambda text: numbers.append(abs(int(text))))
    assert numbers and max(numbers) < 2**53


def test_a_finished_study_has_nothing_to_do(own: Checkout) -> None:
    assert (
        "Nothing to be done"
        in own.snakemake("-n", f"{TABLES}/scores.csv", f"{TABLES}/truth.csv").stdout
    )


def test_the_origin_is_recorded(own: Checkout) -> None:
    metadata = json.loads(
        pq.read_schema(own.folder / "results/own/table-llama/labels.parquet").metadata[b"engram"]
    )
    assert metadata["commit"] == "local"
    assert metadata["model"].endswith("table-llama/model")
    assert len(metadata["model_revision"]) == 24


def test_an_edit_inside_a_document_is_seen(own: Checkout) -> None:
    document = next(
        Path(
            json.loads(
                pq.read_schema(own.folder / "results/own/corpus-gpt2/labels.parquet").metadata[
                    b"engram"
                ]
            )["model"]
        ).parent.glob("documents/*.txt")
    )
    text, state = document.read_text(), document.stat()
    document.write_text(text.replace("w", "w1", 1))
    try:
        plan = own.snakemake("-n", f"{TABLES}/scores.csv").stdout
        assert "read_windows" in plan and "corpus-gpt2" in plan
        assert "table-llama/windows.parquet" not in plan
    finally:
        document.write_text(text)
        os.utime(document, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_code_is_found_by_the_classifier_that_the_config_names(own: Checkout) -> None:
    labels = own.folder / "results/own/table-llama/labels.parquet"
    schema = pq.read_schema(labels)
    method = json.loads((own.folder / "results/own/code_classifier.json").read_text())["method"]
    assert method.startswith("fastText code.bin, sha256 ")
    assert json.loads(schema.metadata[b"engram"])["is_code"] == method
    assert schema.field("is_code").metadata[b"found_by"].decode() == method
    texts = pq.read_table(own.folder / "results/own/table-llama/candidates.parquet")[
        "text"
    ].to_pylist()
    answers = fasttext.load_model(
        json.loads((own.folder / "results/own/code_classifier.json").read_text())["file"]
    )
    assert pq.read_table(labels)["is_code"].to_pylist() == [
        answers.predict(text)[0][0] == "__label__Code" for text in texts
    ]
