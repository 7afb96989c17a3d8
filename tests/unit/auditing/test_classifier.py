"""Classes of reproduced windows by the CNNs of a study, and whom they are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from run_script import run_script
from scipy.special import softmax
from tiny_language_model import some_tokens, tokenizer
from tiny_models import gpt_neox, llama_grouped
from trained_study import SHARPER, SLUG, write_trained_study

import engram as eg
from engram.api.language_model import LanguageModel
from engram.auditing.classifier import calibrate, choose, load_calibrated
from engram.auditing.joins import class_counts, with_class_tokens, with_classes
from engram.cnn.checkpoints import load_cnns
from engram.cnn.network import square_maps
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.lm.attention import pooled_attention
from engram.lm.generation import greedy_continuations
from engram.lm.models import fingerprint
from engram.taxonomy.taxonomy import Taxonomy

PREFIX = SUFFIX = 8
CLASSES = ["Non-Memo", "Guess", "Others"]
TAXONOMY = Taxonomy.parse(", ".join(CLASSES))
COLUMNS = [f"cnn_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A model, a study of it, and texts of which the model reproduces the first two."""
    root, model = tmp_path_factory.mktemp("classifier"), gpt_neox()
    model.save_pretrained(root / "model")
    tokenizer().save_pretrained(root / "model")
    study = write_trained_study(
        root / "study", root / "model", model, some_tokens(6, PREFIX + SUFFIX), PREFIX
    )
    rows = some_tokens(4, 30, seed=3)
    rows[:2, PREFIX:28] = greedy_continuations(model, rows[:2, :PREFIX], 20)
    texts = [" ".join(f"w{token}" for token in row) for row in rows.tolist()]
    lm = LanguageModel(str(root / "model"), model, tokenizer())
    return SimpleNamespace(root=root, study=study, lm=lm, texts=texts, rows=rows)


@pytest.fixture(scope="module")
def audit(finished: SimpleNamespace) -> eg.api.auditing.DocumentAudit:
    return eg.audit(finished.lm, finished.texts, PREFIX, SUFFIX, stride=4, cnns=finished.study)


def prints(folder: Path, dtype: str = "float32") -> list[str]:
    return [fingerprint(folder, None, dtype)]


def test_probabilities_are_those_of_the_studys_cnns(finished, audit) -> None:
    """Computed in a plain way: whole maps through each CNN, mean logits, one temperature."""
    reproduced = audit.windows[audit.windows["extracted"]]
    assert 4 <= len(reproduced) < len(audit.windows)
    places = [int(name.split()[1]) - 1 for name in reproduced["document"]]
    tokens = np.stack(
        [
            finished.rows[row][offset : offset + PREFIX + SUFFIX]
            for row, offset in zip(places, reproduced["offset"], strict=True)
        ]
    )
    mean, largest = pooled_attention(finished.lm.model, tokens)
    maps = {"mean": square_maps(mean), "max": square_maps(largest.half().float())}
    cnns = load_cnns(finished.study / "m" / "engram" / "cnns" / SLUG / "checkpoints.safetensors")
    with torch.inference_mode():
        logits = [
            cnn(maps[cnn.head_pooling]).double().numpy()
            for key, cnn in cnns.items()
            if key.labels == "real"
        ]
    assert len(logits) == 4
    expected = softmax(np.mean(logits, axis=0) / audit.cnns["temperature"].iloc[0], axis=1)
    np.testing.assert_allclose(reproduced[COLUMNS], expected, atol=2e-5)
    np.testing.assert_array_equal(reproduced["cnn_class"], np.array(CLASSES)[expected.argmax(1)])
    assert expected.std(0).max() > 1e-3
    assert (
        audit.windows.loc[~audit.windows["extracted"], ["cnn_class", *COLUMNS]]
        .isna()
        .all(axis=None)
    )


def test_regions_and_documents_have_classes(finished, audit, tmp_path: Path) -> None:
    regions = audit.regions
    assert len(regions) == 2
    own = audit.windows[audit.windows["document"] == "text 1"]
    np.testing.assert_allclose(regions[COLUMNS].iloc[0], own[COLUMNS].mean())
    assert regions["cnn_class"].iloc[0] == CLASSES[int(regions[COLUMNS].iloc[0].argmax())]
    tokens = audit.documents[[f"tokens_{column}" for column in COLUMNS]]
    assert tokens.sum(axis=1).tolist() == audit.documents["region_tokens"].tolist()
    page = audit.write_page(tmp_path / "audit.html").read_text()
    assert '"classes":["Non-Memo","Guess","Others"]' in page and "CNNs that give classes" in page


def test_probabilities_are_calibrated_on_validation_samples(audit) -> None:
    (row,) = audit.cnns.to_dict("records")
    assert (row["trained_model"], row["cnns"], row["validation"], row["n"]) == ("m", 4, 120, 120)
    assert row["temperature"] > SHARPER / 2
    assert row["ece_low"] < 0.06
    assert 0.4 < row["balanced_accuracy_low"] < row["balanced_accuracy"] < 1


def test_without_cnns_nothing_changes(finished, audit) -> None:
    plain = eg.audit(finished.lm, finished.texts, PREFIX, SUFFIX, stride=4)
    assert plain.cnns is None
    assert not [name for name in [*plain.windows, *plain.regions] if name.startswith("cnn_")]
    pd.testing.assert_frame_equal(plain.windows, audit.windows[list(plain.windows)])
    pd.testing.assert_frame_equal(plain.regions, audit.regions[list(plain.regions)])


def test_a_text_that_nothing_is_reproduced_of_has_no_class(finished, tmp_path: Path) -> None:
    texts = finished.texts[2:]
    result = eg.audit(finished.lm, texts, PREFIX, SUFFIX, stride=4, cnns=finished.study)
    assert result.windows["cnn_class"].isna().all() and "cnn_class" in result.regions
    assert (result.documents["tokens_cnn_Others"] == 0).all()
    assert result.write_page(tmp_path / "audit.html").is_file()


def test_another_model_is_refused(finished, tmp_path: Path) -> None:
    llama_grouped().save_pretrained(tmp_path / "other")
    other = LanguageModel(str(tmp_path / "other"), llama_grouped(), tokenizer())
    with pytest.raises(EngramError, match="not for this model: its CNNs read attention of m in fl"):
        eg.audit(other, finished.texts, PREFIX, SUFFIX, cnns=finished.study)
    nameless = LanguageModel("somewhere/else", finished.lm.model, tokenizer())
    with pytest.raises(EngramError, match="not for this model"):
        eg.audit(nameless, finished.texts, PREFIX, SUFFIX, cnns=finished.study)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "bfloat16"}, r"not for this model.*another precision \(bfloat16\)"),
        ({"window": (8, 9)}, r"not for this window: its CNNs read 8 \+ 8 tokens, the audit has 8"),
        ({"window": (7, 8)}, "take prefix 8 and suffix 8"),
        ({"taxonomy": Taxonomy.parse("Non-Memo, Code, Others")}, "name one of its tax"),
        ({"study": "nowhere"}, "nowhere: no attention of a model in it"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(finished, changes, message: str) -> None:
    asked = {"study": finished.study, "taxonomy": TAXONOMY, "dtype": "float32"}
    asked |= {"window": (PREFIX, SUFFIX), **changes}
    dtype = asked["dtype"]
    with pytest.raises(EngramError, match=message) as error:
        choose(fingerprints=prints(finished.root / "model", dtype), **asked)
    assert "\n" not in str(error.value)


def test_a_study_of_blocks_is_refused(finished, tmp_path: Path) -> None:
    study = shutil.copytree(finished.study, tmp_path / "study")
    index = study / "m" / "attention" / "index.parquet"
    write_parquet(read_parquet(index), index, read_metadata(index) | {"block": 4})
    with pytest.raises(EngramError, match="in blocks of 4 tokens; name a study with"):
        choose(study, TAXONOMY, prints(finished.root / "model"), "float32", (PREFIX, SUFFIX))


def test_checkpoints_of_another_training_are_refused(finished, tmp_path: Path) -> None:
    study = shutil.copytree(finished.study, tmp_path / "study")
    window = (PREFIX, SUFFIX)
    chosen = choose(study, TAXONOMY, prints(finished.root / "model"), "float32", window)
    worth, file = calibrate(chosen, resamples=20), chosen.folder / "predictions.parquet"
    rows = read_parquet(file)
    metadata = {"classes": CLASSES, "taxonomy": TAXONOMY.name}
    write_parquet(rows[rows["seed"] == 0], file, metadata)
    with pytest.raises(EngramError, match="other CNNs than those of predictions"):
        load_calibrated(worth)
    write_parquet(rows[rows["split"] == "test"], file, metadata)
    with pytest.raises(EngramError, match="no predictions of validation samples"):
        calibrate(chosen)


def test_the_scripts_of_a_study_write_the_same(finished, audit, tmp_path: Path) -> None:
    settings = {
        "cnns": str(finished.study),
        **{"prefix": PREFIX, "suffix": SUFFIX, "dtype": "float32", "seed": 0, "models": ["m"]},
        **{"taxonomy": TAXONOMY.name, "categories": [], "statistics": {"resamples": 50}},
    }
    model = finished.root / "model" / "config.json"
    names = ("windows", "cnns", "classes", "candidates", "documents", "regions")
    files = {name: tmp_path / f"{name}.parquet" for name in names}
    measured = [name for name in audit.windows if not name.startswith("cnn_")]
    write_parquet(audit.windows[measured], files["windows"])
    summary = [name for name in audit.documents if not name.startswith("tokens_cnn_")]
    write_parquet(audit.documents[summary], files["documents"])
    regions = [name for name in audit.regions if not name.startswith("cnn_")]
    write_parquet(audit.regions[regions], files["regions"])
    places = zip(audit.windows["document"], audit.windows["offset"], strict=True)
    tokens = [
        finished.rows[int(name.split()[1]) - 1][offset : offset + PREFIX + SUFFIX]
        for name, offset in places
    ]
    candidates = audit.windows[["sequence_id"]].assign(tokens=tokens)
    write_parquet(candidates, files["candidates"])
    run_script("calibrate_cnns", {"model": model}, {"cnns": files["cnns"]}, settings)
    inputs = {key: files[key] for key in ("cnns", "windows", "candidates")} | {"model": model}
    run_script("classify_windows", inputs, {"classes": files["classes"]}, settings)
    result = read_parquet(files["classes"])
    own = audit.windows[audit.windows["extracted"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(result, own[list(result)], check_dtype=False)
    tables = {
        name: tmp_path / f"{name}.csv" for name in ("classes", "cnns", "documents", "regions")
    }
    lists = {key: [files[key]] for key in files} | {"continuations": []}
    run_script("tabulate_classes", lists, tables, settings)
    counts = pd.read_csv(tables["classes"])
    assert counts["windows"].sum() == len(own)
    likeliest = counts[[f"windows_{name}" for name in CLASSES]]
    assert likeliest.sum(axis=1).tolist() == counts["windows"].tolist()
    assert pd.read_csv(tables["cnns"])["temperature"].iloc[0] > 1
    run_script("tabulate_audit", lists, tables, settings)
    assert pd.read_csv(tables["regions"])["cnn_class"].tolist() == list(audit.regions["cnn_class"])
    assert "tokens_cnn_Guess" in pd.read_csv(tables["documents"])


def test_a_window_belongs_to_the_region_that_its_suffix_begins_in() -> None:
    regions = pd.DataFrame(
        {"document": ["a", "a", "b"], "region": [1, 2, 1], "start": [5, 20, 5], "tokens": [9, 4, 7]}
    )
    windows = pd.DataFrame(
        {
            "document": ["b", "a", "a", "a"],
            "offset": [0, 0, 3, 15],
            "sequence_id": [3, 0, 1, 2],
            "cnn_class": ["X", "X", "Y", "Y"],
            "cnn_X": [0.9, 0.8, 0.4, 0.1],
            "cnn_Y": [0.1, 0.2, 0.6, 0.9],
        }
    )
    table = with_classes(regions, windows, 5)
    np.testing.assert_allclose(table["cnn_X"], [0.6, 0.1, 0.9])
    assert table["cnn_class"].tolist() == ["X", "Y", "X"]
    documents = pd.DataFrame({"document": ["b", "c", "a"]})
    tokens = with_class_tokens(documents, table, ["X", "Y"])
    assert tokens["tokens_cnn_X"].tolist() == [7, 0, 9]
    assert tokens["tokens_cnn_Y"].tolist() == [0, 0, 4]
    rules = pd.DataFrame({"sequence_id": range(4), "class": ["Guess", "Guess", "Others", "Guess"]})
    counts = class_counts(rules, windows).set_index("class")
    assert counts.loc["Guess", ["windows", "windows_X", "windows_Y"]].tolist() == [3, 2, 1]
    assert counts.loc["Others", "mean_Y"] == 0.9
