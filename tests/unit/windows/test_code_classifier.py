"""The paper's fastText classifier: a real model of code and prose, trained here, read and asked as
the study does.
"""

import sys
from pathlib import Path

import fasttext
import numpy as np
import pytest
from code_and_prose import CODE, PROSE

from engram.io.errors import EngramError
from engram.sources.snapshots import find_code_classifier
from engram.windows import code_text
from engram.windows.code_classifier import OFFLINE, CodeClassifier
from engram.windows.labels import provenance


def trained(path: Path, *labels: str) -> Path:
    """A model whose first label is of code, its second of prose."""
    rows = [
        f"__label__{label} {' '.join(text.split())}"
        for label, texts in zip(labels, (CODE, PROSE), strict=True)
        for text in texts.values()
    ]
    (path.parent / "train.txt").write_text("\n".join(rows * 20))
    model = fasttext.train_supervised(
        str(path.parent / "train.txt"), dim=8, epoch=30, bucket=1000, thread=1, verbose=0
    )
    model.save_model(str(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("fasttext") / "model.bin", "Code", "NL")


def test_code_and_prose_are_told_apart(model: Path) -> None:
    texts = [CODE["c"], PROSE["fiction"], CODE["sql"], PROSE["news"]]
    labels = CodeClassifier(str(model)).is_code(texts)
    assert labels.dtype == np.bool_
    assert labels.tolist() == [True, False, True, False]


def test_the_answers_are_the_models(model: Path) -> None:
    """Line feeds in a row are one blank, as the reference code has it."""
    texts = [text.replace(" ", "\n\n", 3) for text in (*CODE.values(), *PROSE.values())]
    direct = fasttext.load_model(str(model))
    expected = [
        direct.predict(text.replace("\n\n", " ").replace("\n", " "))[0][0] == "__label__Code"
        or "\\usepackage{" in text
        for text in texts
    ]
    assert CodeClassifier(str(model)).is_code(texts).tolist() == expected


def test_usepackage_is_code_whatever_the_model_says(model: Path) -> None:
    text = PROSE["fiction"] + " \\usepackage{x} " + PROSE["news"]
    assert fasttext.load_model(str(model)).predict(text)[0] == ("__label__NL",)
    assert CodeClassifier(str(model)).is_code([text]).tolist() == [True]


def test_no_texts_have_no_labels(model: Path) -> None:
    assert CodeClassifier(str(model)).is_code([]).shape == (0,)


def test_without_a_file_the_offline_classifier_decides() -> None:
    texts = [*CODE.values(), *PROSE.values()]
    assert OFFLINE.is_code(texts).tolist() == code_text.is_code(texts).tolist()


def test_labels_say_which_classifier_found_them(model: Path) -> None:
    found = find_code_classifier(str(model), None, "model.bin")
    assert found == find_code_classifier(str(model.parent), None, "model.bin")
    method = provenance([], found)["is_code"]
    assert method.startswith("fastText model.bin, sha256 ")
    assert provenance(["is_code"], found)["is_code"] == "source"
    assert provenance([], OFFLINE)["is_code"] == code_text.METHOD


def test_a_cached_repository_tells_its_commit(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--owner--classifier" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "model.bin").write_bytes(model.read_bytes())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = find_code_classifier("owner/classifier", commit, "model.bin")
    assert found.method.startswith(f"fastText owner/classifier at {commit}, model.bin, sha256 ")
    assert found.is_code([CODE["c"]]).tolist() == [True]


def test_a_missing_package_is_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fasttext", None)
    (tmp_path / "m.bin").write_bytes(model.read_bytes())
    with pytest.raises(
        EngramError,
        match=r"read by the package fasttext-community, which is not installed.*\[fasttext\]",
    ):
        CodeClassifier(str(tmp_path / "m.bin")).is_code(["text"])


@pytest.mark.parametrize(
    "content, message", [(None, "no such file"), (b"no model", "no readable fastText model")]
)
def test_a_wrong_file_is_named(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content:
        (tmp_path / "m.bin").write_bytes(content)
    with pytest.raises(EngramError, match=rf"m\.bin: {message}"):
        CodeClassifier(str(tmp_path / "m.bin")).is_code(["text"])


def test_a_model_of_other_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        EngramError, match=r"its labels are .*__label__en.*; __label__Code must be one of them"
    ):
        CodeClassifier(str(trained(tmp_path / "m.bin", "en", "fr"))).is_code(["text"])


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        EngramError, match=r"has no file model\.bin; name it by `code_classifier\.file`"
    ):
        find_code_classifier(str(tmp_path), None, "model.bin")


def test_a_missing_text_is_named(model: Path) -> None:
    with pytest.raises(EngramError, match="row 1 holds None"):
        CodeClassifier(str(model)).is_code(["a", None])  # type: ignore[list-item]
