"""Scores measured batch by batch, and twins with and without the model's tokenizer."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_sources import (
    ARCHITECTURES,
    PREFIX,
    SUFFIX,
    TEXT,
    VOCABULARY,
    WINDOW,
    byte_tokenizer,
    tiny_model,
)
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.io.streams import read_batches, stream_parquet
from engram.lm import generation
from engram.lm.generation import greedy_continuations, memorization_scores
from engram.sources import scoring
from engram.sources.candidates import window_table
from engram.sources.scoring import twin_extracts, write_scored


def windows_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, rows: int = 24
) -> np.ndarray:
    """Windows of the text, every second one with the model's own continuation; printable, so that
    text and tokens are one.
    """
    ids = np.array(tokenizer(TEXT)["input_ids"][: rows * WINDOW]).reshape(rows, WINDOW)
    ids[::2, PREFIX:] = greedy_continuations(model, ids[::2, :PREFIX], SUFFIX)
    return ids.astype(np.int32)


def stored(path: Path, tokens: np.ndarray) -> Path:
    with stream_parquet(path, {}) as stream:
        stream.append(
            window_table(
                tokens, {"sequence_id": np.arange(len(tokens)), "document": ["d"] * len(tokens)}
            )
        )
    return path


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_scores_in_batches_are_those_of_all_rows(
    kind: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(kind)
    tokens = windows_of(model, tokenizer)
    monkeypatch.setattr(scoring, "read_batches", lambda path: read_batches(path, rows=7))
    write_scored(
        stored(tmp_path / "w.parquet", tokens),
        tmp_path / "c.parquet",
        model,
        PREFIX,
        {"model_revision": "r"},
    )
    found = read_parquet(tmp_path / "c.parquet")
    expected = memorization_scores(model, tokens.astype(np.int64), PREFIX)
    pd.testing.assert_frame_equal(found[expected.columns], expected)
    assert found["extracted"].iloc[::2].all()
    assert found["document"].tolist() == ["d"] * len(tokens)
    assert read_metadata(tmp_path / "c.parquet")["model_revision"] == "r"


def test_tokens_of_another_vocabulary_leave_no_scores(tmp_path: Path) -> None:
    with pytest.raises(
        EngramError, match=r"w\.parquet: token 400 in row 0 is outside the vocabulary"
    ):
        write_scored(
            stored(tmp_path / "w.parquet", np.full((2, WINDOW), VOCABULARY, np.int32)),
            tmp_path / "c.parquet",
            tiny_model(),
            PREFIX,
            {},
        )
    assert not (tmp_path / "c.parquet").exists()


def test_a_twin_with_the_models_tokenizer_reads_the_tokens(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model, twin = tiny_model(seed=0), tiny_model(seed=1)
    tokens = np.concatenate([windows_of(model, tokenizer), windows_of(twin, tokenizer)])
    extracted = twin_extracts(twin, tokens, PREFIX, tokenizer, tokenizer)
    assert (
        extracted.tolist()
        == memorization_scores(twin, tokens.astype(np.int64), PREFIX)["extracted"].tolist()
    )
    assert 12 <= extracted.sum() < len(tokens)


def test_a_twin_with_another_tokenizer_reads_the_text(tokenizer: PreTrainedTokenizerFast) -> None:
    """The same model with its tokens renumbered must extract the same windows."""
    model = tiny_model(seed=2)
    shift = 11
    renumbered = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    state = renumbered.to_str()
    for_vocabulary = {
        token: (number + shift) % VOCABULARY for token, number in renumbered.get_vocab().items()
    }
    loaded = json.loads(state)
    loaded["model"]["vocab"] = for_vocabulary
    for special in loaded["added_tokens"]:
        special["id"] = for_vocabulary[special["content"]]
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(loaded)))
    twin = tiny_model(seed=2)
    with torch.no_grad():
        for layer in (twin.get_input_embeddings(), twin.get_output_embeddings()):
            layer.weight.copy_(layer.weight.roll(shift, 0))
    tokens = windows_of(model, tokenizer, rows=60)
    # Windows whose text is tokenized again into the same tokens: only there are the two
    # computations one.
    same = [
        tokenizer(tokenizer.decode(row[:PREFIX]))["input_ids"]
        + tokenizer(tokenizer.decode(row[PREFIX:]))["input_ids"]
        == row.tolist()
        for row in tokens
    ]
    assert sum(same) > 20
    expected = memorization_scores(model, tokens.astype(np.int64), PREFIX)["extracted"].to_numpy()
    found = twin_extracts(twin, tokens, PREFIX, tokenizer, other)
    assert expected[same].any()
    assert found[same].tolist() == expected[same].tolist()


def test_no_windows_have_no_twin(tokenizer: PreTrainedTokenizerFast) -> None:
    assert twin_extracts(
        tiny_model(), np.empty((0, WINDOW), np.int32), PREFIX, tokenizer, tokenizer
    ).shape == (0,)


def test_a_token_that_the_tokenizer_lacks_does_not_count_for_another_tokenizer(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Its text would be that of the other tokens, which is another window."""
    other, letter = byte_tokenizer(), tokenizer.get_vocab()["a"]
    twin = tiny_model()  # it says `a` whatever it reads
    with torch.no_grad():
        twin.base_model.final_layer_norm.weight.zero_()
        twin.base_model.final_layer_norm.bias.fill_(1)
        twin.get_output_embeddings().weight.zero_()[other.get_vocab()["a"]] = 1
    tokens = np.full((3, WINDOW), letter)
    tokens[1, -2] = tokens[2, 0] = VOCABULARY + 5
    found = twin_extracts(twin, tokens, PREFIX, tokenizer, other)
    assert found.tolist() == [True, False, False]


def test_an_audit_has_a_value_per_token_and_decodes_nothing(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    windows = stored(tmp_path / "windows.parquet", windows_of(model, tokenizer))
    plain, audited = tmp_path / "plain.parquet", tmp_path / "audited.parquet"
    write_scored(windows, plain, model, PREFIX, {})
    monkeypatch.setattr(generation, "greedy_continuations", None)
    write_scored(windows, audited, model, PREFIX, {}, decoded=False, per_token=True)
    expected, rows = read_parquet(plain), read_parquet(audited)
    assert set(rows) - set(expected) == {"token_matches", "token_log_probs"}
    assert set(expected) - set(rows) == {"memorization_score"}
    shared = [name for name in rows if name in expected]
    pd.testing.assert_frame_equal(rows[shared], expected[shared])
    matches = np.stack(rows["token_matches"].tolist())
    np.testing.assert_array_equal(matches.mean(1), rows["matched_fraction"])
    means = np.stack(rows["token_log_probs"].tolist()).mean(1, dtype=np.float64)
    np.testing.assert_allclose(means, rows["suffix_log_prob"], rtol=1e-6)
