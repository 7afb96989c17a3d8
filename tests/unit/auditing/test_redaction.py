"""Redacted audits: no file and no message holds eight characters of a document in a row."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from run_script import run_script
from tiny_language_model import some_tokens, tokenizer
from tiny_models import gpt_neox

from engram.auditing import redaction
from engram.auditing.redaction import silent_about_texts
from engram.auditing.settings import AuditSettings
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations
from engram.run.config import complete

PREFIX = SUFFIX = 8
LEAST = 8
"""Characters that count as text."""
BOOKS = {"enabled": True, "prefix": PREFIX, "step": SUFFIX}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A model, and documents one of which begins with what it writes."""
    folder, model = tmp_path_factory.mktemp("redacted"), gpt_neox()
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    rows = some_tokens(2, 30, seed=3)
    rows[0, PREFIX:28] = greedy_continuations(model, rows[:1, :PREFIX], 20)[0]
    texts = [" ".join(f"w{token}" for token in row) for row in rows.tolist()]
    lines = [json.dumps({"text": text, "ward": "A"}) + "\n" for text in texts]
    (folder / "records.jsonl").write_text("".join(lines))
    return SimpleNamespace(folder=folder, texts=texts)


def audited(study: SimpleNamespace, output: Path) -> Path:
    """Runs the scripts of a redacted audit; everything that they write is below the folder."""
    names = ("documents", "windows", "regions", "tokens", "books", "steps")
    files = {name: output / f"{name}.parquet" for name in names}
    settings = {
        **{"documents": str(study.folder / "records.jsonl"), "pattern": "*", "text_column": "text"},
        **{"source": "corpus", "model": "m", "revision": "", "package": "", "candidates": 100},
        **{
            "prefix": PREFIX,
            "suffix": SUFFIX,
            "stride": 4,
            "unrelated": 0,
            "seed": 0,
            "dtype": "float32",
            "categories": [],
        },
        "audit": {"enabled": True, "redact": True, "books": BOOKS},
    }
    model = {"model": study.folder / "model" / "config.json", "classifier": [], "cnns": []}
    run_script("audit_redacted", model, files, settings)
    tables = {name: output / f"{name}.csv" for name in ("documents", "regions")}
    sources = {"documents": [files["documents"]], "regions": [files["regions"]]}
    sources |= {"continuations": [], "classes": []}
    run_script("tabulate_audit", sources, tables, {"models": ["m"]})
    page = {f"{name}": [files[name]] for name in ("windows", "regions", "tokens", "books", "steps")}
    audit = AuditSettings.parse(settings["audit"]).model_dump(mode="json")
    chosen = {"study": "s", "models": [["m", 4]], "tables": {}, "audit": audit}
    run_script(
        "build_audit",
        {
            **page,
            "summaries": [files["documents"]],
            **{"tables": [], "counts": [], "places": [], "classes": []},
            **{"documents": [], "continuations": []},
        },
        {"page": output / "audit.html"},
        {**chosen, "prefix": PREFIX, "suffix": SUFFIX},
    )
    return output


def content(path: Path) -> str:
    """All that a file holds, unpacked."""
    if path.suffix == ".parquet":
        return read_parquet(path).to_csv()
    text = path.read_text(encoding="utf-8")
    packed = re.findall(r'octet-stream" id="[\w-]+">([^<]+)<', text)
    unpacked = [zlib.decompress(b64decode(block)).decode("utf-8", "replace") for block in packed]
    return text + "\n".join(unpacked)


def leaks(texts: list[str], said: str) -> set[str]:
    """Runs of characters that a text of the documents and what is said share."""
    runs = {text[i : i + LEAST] for text in texts for i in range(len(text) - LEAST + 1)}
    return runs & {said[i : i + LEAST] for i in range(len(said) - LEAST + 1)}


def test_no_file_holds_text(
    study: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = audited(study, tmp_path)
    files = sorted(path for path in output.rglob("*") if path.is_file())
    assert [path.name for path in files if leaks(study.texts, content(path))] == []
    assert len(files) == 9
    said = capsys.readouterr()
    assert not leaks(study.texts, said.out + said.err)
    regions = read_parquet(output / "regions.parquet")
    assert len(regions) == 1 and regions["agreed"].iloc[0] == 20  # what is left: places and scores
    assert (regions["start"].iloc[0], regions["log_p_z"].iloc[0] < 0) == (PREFIX, True)
    own = read_parquet(output / "books.parquet").set_index(["document", "continued"])
    assert own.loc[("records.jsonl#1", "own"), "agreed"] >= SUFFIX
    page = (output / "audit.html").read_text()
    assert '"redacted":true' in page and "records.jsonl#1" in page


def test_the_check_finds_text_where_it_is_kept(
    study: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "TEXTS", ())
    files = [path for path in audited(study, tmp_path).rglob("*") if path.is_file()]
    found = {path.name for path in files if leaks(study.texts, content(path))}
    assert found == {"audit.html", "regions.csv", "regions.parquet", "books.parquet"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EngramError("t.csv: row 3: 'John \"J\" Doe' is odd; drop it"), r"t\.csv: row 3: … is odd"),
        (ValueError("cannot read John Doe's record"), "ValueError; its message could quote a text"),
    ],
)
def test_messages_quote_nothing(error: Exception, message: str) -> None:
    with pytest.raises(EngramError, match=message) as caught, silent_about_texts():
        raise error
    assert "Doe" not in str(caught.value) and caught.value.__cause__ is None


def test_what_writes_texts_is_refused() -> None:
    entry = {"name": "m", "source": "corpus", "package": "p==1", "documents": "docs"}
    study = {"study": "s", "models": [entry], "audit": {"enabled": True, "redact": True}}
    assert complete(study)["audit"]["redact"]
    with pytest.raises(EngramError, match=r"audit\.redact: the study has taxonomies"):
        complete({**study, "taxonomies": ["Non-Memo, Guess, Others"]})


def test_fewer_windows_than_all_are_refused() -> None:
    with pytest.raises(EngramError, match=r"candidates: 3; audit\.redact scores all 5 windows"):
        redaction.check_all(np.zeros(5), 3)  # type: ignore[arg-type]
