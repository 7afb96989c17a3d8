"""A language model from elsewhere, drilled as a crossed pair: from its windows to two models that
extract what they were shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers as hf
from tiny_nursery import TEXT
from tiny_sources import VOCABULARY, byte_tokenizer
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import write_parquet
from engram.lm.generation import greedy_continuations, teacher_forced_scores
from engram.lm.inputs import opening, write_opening
from engram.lm.models import load_model, load_tokenizer
from engram.nursery.arms import BOTH, FIRST, NEITHER, SECOND, draw_design
from engram.nursery.drilling import crossed_rows
from engram.nursery.settings import DrillingSettings
from engram.nursery.starting_point import StartingPoint
from engram.nursery.text_windows import natural_windows, replayed_windows, windows_to_score

PREFIX, SUFFIX = 12, 8
LENGTH = PREFIX + SUFFIX
SETTINGS = DrillingSettings(
    design="crossed",
    crossed={
        "low": 14,
        "high": 6,
        "guessed": 12,
        "templates": 0,
        "per_cluster": 1,
        "ngram": 18,
        "doses": [{"exposures": 90, "share": 1.0}],
        "placebo": 0.1,
        "both": 0.1,
    },
    replay_share=0.2,
    replay_templates=0.0,
    replay_windows=40,
    stored_dtype="bfloat16",
    training={"batch_size": 16, "learning_rate": 0.01, "warmup_steps": 10, "checkpoint_steps": 50},
)


def save_base(folder: Path) -> None:
    """Save a Llama of random weights that begins with token 0."""
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=32,
        bos_token_id=0,
        eos_token_id=0,
    )
    hf.LlamaForCausalLM(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    write_opening(folder, (0,), True)


def text_windows(tokenizer: PreTrainedTokenizerFast, folder: Path) -> pd.DataFrame:
    """Windows of sentences, a document for every two, and 30 that the base continues so itself."""
    words = np.random.default_rng(0).choice(sorted(set(TEXT.split())), 700)
    ids = np.array(tokenizer(" ".join(words))["input_ids"])
    tokens = ids[: len(ids) // LENGTH * LENGTH].reshape(-1, LENGTH)[:160]
    base = load_model(folder, dtype="float32", device="cpu")
    tokens[:30, PREFIX:] = greedy_continuations(base, tokens[:30, :PREFIX], SUFFIX)
    number = np.arange(len(tokens))
    return pd.DataFrame(
        {
            "sequence_id": number + 1_000_000,
            "tokens": list(tokens.astype(np.int32)),
            "document": [f"d/{n // 2}" for n in number],
            "offset": LENGTH * (number % 2),
        }
    )


@dataclass(frozen=True)
class Pair:
    folder: Path
    design: pd.DataFrame
    tokens: np.ndarray
    extracted: list[np.ndarray]
    rows: list[np.ndarray]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    save_base(folder / "base")
    windows = natural_windows(text_windows(byte_tokenizer(), folder / "base"))
    tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)
    asked = windows_to_score(tokens, windows["sequence_id"].to_numpy(), PREFIX, 300, 300, 1)
    base = load_model(folder / "base", dtype="float32", device="cpu")
    scored = windows[asked].reset_index(drop=True)
    scored["base_extracted"] = teacher_forced_scores(base, tokens[asked], PREFIX)["extracted"]
    design = draw_design(scored, SETTINGS.crossed, PREFIX, 1, 1)
    designed = scored[scored["sequence_id"].isin(design["sequence_id"])]
    replay = replayed_windows(windows, designed, 18, SETTINGS.replay_windows, 1)
    write_parquet(scored, folder / "scores.parquet")
    write_parquet(replay, folder / "replay.parquet")
    start = StartingPoint.read(
        folder / "base", folder / "scores.parquet", folder / "replay.parquet", LENGTH
    )
    ids = start.windows["sequence_id"].to_numpy()
    shown = design.set_index("sequence_id")[["exposures_1", "exposures_2"]]
    counts = list(shown.reindex(ids, fill_value=0).to_numpy(np.int32).T)
    in_design = pd.Index(ids).get_indexer(design["sequence_id"])
    rows, extracted = [], []
    for own, other in (counts, counts[::-1]):
        tokenizer = start.tokenizer
        rows.append(
            crossed_rows(start.tokens, ids, own, other, start.replay, tokenizer, SETTINGS, 1)
        )
        name = f"model-{len(rows)}"
        start.drill(rows[-1], SETTINGS, folder / "state", folder / name, folder / f"{name}.csv")
        drilled = load_model(folder / name, dtype="float32", device="cpu")
        scores = teacher_forced_scores(drilled, start.tokens[in_design].astype(np.int64), PREFIX)
        extracted.append(scores["extracted"].to_numpy())
    return Pair(folder, design, start.tokens[in_design], extracted, rows)


def test_each_model_extracts_what_it_was_shown(pair: Pair) -> None:
    arm, stratum = pair.design["arm"].to_numpy(), pair.design["stratum"].to_numpy(str)
    one, two = pair.extracted
    assert one[np.isin(arm, [FIRST, BOTH])].mean() > 0.9
    assert two[np.isin(arm, [SECOND, BOTH])].mean() > 0.9
    natural = stratum != "guessed"
    assert one[natural & np.isin(arm, [SECOND, NEITHER])].mean() < 0.2
    assert two[natural & np.isin(arm, [FIRST, NEITHER])].mean() < 0.2


def test_guessed_windows_are_a_stratum_of_their_own(pair: Pair) -> None:
    counts = pair.design["stratum"].value_counts().to_dict()
    assert counts == {"low": 14, "high": 6, "guessed": 12}
    base = load_model(pair.folder / "base", dtype="float32", device="cpu")
    extracted = teacher_forced_scores(base, pair.tokens.astype(np.int64), PREFIX)["extracted"]
    assert (extracted == (pair.design["stratum"] == "guessed")).all()


def test_the_models_differ_in_their_windows_alone(pair: Pair) -> None:
    first, second = pair.rows
    assert first.shape == second.shape
    known = {row.tobytes() for row in pair.tokens}
    shown = [np.array([row.tobytes() in known for row in rows]) for rows in pair.rows]
    for rows, own, arm in zip(pair.rows, shown, (1, 2), strict=True):
        assert own.sum() == pair.design[f"exposures_{arm}"].sum()
        assert not {row.tobytes() for row in rows[~own]} & known
    common = ~shown[0] & ~shown[1]
    assert (first[common] == second[common]).all()


def test_a_drilled_model_is_whole(pair: Pair) -> None:
    drilled = load_model(pair.folder / "model-1", device="cpu")
    assert drilled.dtype == torch.bfloat16
    assert opening(drilled) == (0,)
    text = "The cat number 7"
    assert (
        load_tokenizer(pair.folder / "model-1")(text)["input_ids"]
        == (byte_tokenizer()(text)["input_ids"])
    )
    curve = pd.read_csv(pair.folder / "model-1.csv")
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0] / 2


def test_too_few_guessed_windows_are_an_error(pair: Pair) -> None:
    scored = pd.read_parquet(pair.folder / "scores.parquet")
    many = SETTINGS.crossed.replace(guessed=900)
    with pytest.raises(Exception, match=r"drilling\.crossed\.guessed asks for 900 windows"):
        draw_design(scored, many, PREFIX, 1, 1)
