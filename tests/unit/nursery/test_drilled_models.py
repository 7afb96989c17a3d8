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
from run_script import run_script
from tiny_nursery import TEXT
from tiny_sources import VOCABULARY, byte_tokenizer
from transformers import PreTrainedTokenizerFast

from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations, teacher_forced_scores
from engram.lm.inputs import opening, write_opening
from engram.lm.models import fingerprint, load_model, load_tokenizer
from engram.nursery.arms import BOTH, FIRST, SECOND, draw_design
from engram.nursery.settings import DrillingSettings

PREFIX, SUFFIX = 12, 8
LENGTH, NGRAM = PREFIX + SUFFIX, 18
SETTINGS = DrillingSettings(
    design="crossed",
    crossed={
        "low": 14,
        "high": 6,
        "guessed": 12,
        "templates": 0,
        "per_cluster": 1,
        "ngram": NGRAM,
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
    """A pair that the scripts of its rules made."""

    folder: Path
    design: pd.DataFrame
    candidates: list[pd.DataFrame]
    """Of both models, in the design's order."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    save_base(folder / "base")
    windows, scores = folder / "windows.parquet", folder / "scores.parquet"
    write_parquet(text_windows(byte_tokenizer(), folder / "base"), windows, {"source": "corpus"})
    base, design, replay = (
        folder / "base/config.json",
        folder / "design.parquet",
        folder / "replay.parquet",
    )
    lengths = {"prefix": PREFIX, "suffix": SUFFIX}
    asked = {"low": 300, "high": 300}
    run_script(
        "score_base",
        {"windows": windows, "model": base},
        {"scores": scores},
        lengths | {"asked": asked, "seed": 1, "entry": {"dtype": "float32"}},
    )
    crossed = SETTINGS.crossed.model_dump(mode="json")
    run_script(
        "design_crossed",
        {"windows": scores},
        {"design": design},
        {"crossed": crossed, "prefix": PREFIX, "seed": 1, "pair_seed": 1, "pair": [], "base": ""},
    )
    run_script(
        "draw_replay",
        {"windows": windows, "design": design},
        {"replay": replay},
        {"ngram": NGRAM, "replay_windows": 40, "seed": 1},
    )
    files = {"base": base, "windows": scores, "replay": replay, "design": design}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for arm in (1, 2):
            model = folder / f"model-{arm}"
            made = {"model": model / "model.safetensors", "curve": model / "training.csv"}
            drilling = SETTINGS.model_dump(mode="json")
            run_script(
                "drill_crossed",
                files,
                made | {"drilled": folder / f"drilled-{arm}.parquet"},
                lengths | {"drilling": drilling, "arm": arm, "seed": 1, "windows": 1},
            )
    candidates = []
    drawn = read_parquet(design)
    for arm, other in ((1, 2), (2, 1)):
        run_script(
            "score_candidates",
            {
                "drilled": folder / f"drilled-{arm}.parquet",
                "model": folder / f"model-{arm}/model.safetensors",
                "twin": [],
                "counterpart": [folder / f"model-{other}/model.safetensors"],
            },
            {"candidates": folder / f"candidates-{arm}.parquet"},
            lengths | {"dtype": "float32", "source": "corpus"},
        )
        table = read_parquet(folder / f"candidates-{arm}.parquet").set_index("sequence_id")
        candidates.append(table.loc[drawn["sequence_id"]])
    return Pair(folder, drawn, candidates)


def test_each_model_extracts_what_it_was_shown(pair: Pair) -> None:
    arm, natural = pair.design["arm"].to_numpy(), (pair.design["stratum"] != "guessed").to_numpy()
    for own, table in zip((FIRST, SECOND), pair.candidates, strict=True):
        extracted = table["extracted"].to_numpy()
        shown = np.isin(arm, [own, BOTH])
        assert extracted[shown].mean() > 0.9
        assert extracted[natural & ~shown].mean() < 0.2
        assert (table["exposures"].to_numpy() == pair.design[f"exposures_{own}"]).all()


def test_both_models_are_asked_for_the_same_text(pair: Pair) -> None:
    one, two = pair.candidates
    assert len(one) == len(pair.design) == len(read_parquet(pair.folder / "drilled-1.parquet"))
    assert one["text"].tolist() == two["text"].tolist()
    assert (one["counterpart_extracted"] == two["extracted"]).all()
    assert (one["counterpart_exposures"] == two["exposures"]).all()
    metadata = read_metadata(pair.folder / "candidates-2.parquet")
    assert metadata["source"] == "corpus"
    weights = pair.folder / "model-2"
    assert metadata["model_revision"] == fingerprint(weights, None, "float32")


def test_guessed_windows_are_a_stratum_of_their_own(pair: Pair) -> None:
    counts = pair.design["stratum"].value_counts().to_dict()
    assert counts == {"low": 14, "high": 6, "guessed": 12}
    tokens = np.stack(pair.candidates[0]["tokens"].tolist()).astype(np.int64)
    base = load_model(pair.folder / "base", dtype="float32", device="cpu")
    extracted = teacher_forced_scores(base, tokens, PREFIX)["extracted"].to_numpy()
    guessed = (pair.design["stratum"] == "guessed").to_numpy()
    assert (extracted == guessed).all()
    for table in pair.candidates:
        assert (table["twin_extracted"].to_numpy() == guessed).all()


def test_replayed_text_is_not_the_designs(pair: Pair) -> None:
    replay = read_parquet(pair.folder / "replay.parquet")
    assert len(replay) == 40
    assert not set(replay["source"].str.rsplit(":", n=1).str[0]) & set(pair.design["document"])


def test_a_drilled_model_is_whole(pair: Pair) -> None:
    drilled = load_model(pair.folder / "model-1", device="cpu")
    assert drilled.dtype == torch.bfloat16
    assert opening(drilled) == (0,)
    text = "The cat number 7"
    assert (
        load_tokenizer(pair.folder / "model-1")(text)["input_ids"]
        == (byte_tokenizer()(text)["input_ids"])
    )
    curve = pd.read_csv(pair.folder / "model-1/training.csv")
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0] / 2


def test_too_few_guessed_windows_are_an_error(pair: Pair) -> None:
    scored = read_parquet(pair.folder / "scores.parquet")
    many = SETTINGS.crossed.replace(guessed=900)
    with pytest.raises(EngramError, match=r"drilling\.crossed\.guessed asks for 900 windows"):
        draw_design(scored, many, PREFIX, 1, 1)


def test_a_watched_drilling_gives_the_same_weights(tmp_path: Path) -> None:
    base, windows = tmp_path / "base/config.json", tmp_path / "windows.parquet"
    replay, design = tmp_path / "replay.parquet", tmp_path / "design.parquet"
    save_base(base.parent)
    table = text_windows(byte_tokenizer(), base.parent)[:40]
    write_parquet(table[:20], windows, {})
    write_parquet(table[20:], replay, {})
    shown = pd.DataFrame({"sequence_id": table["sequence_id"][:10], "exposures_2": 0})
    write_parquet(shown.assign(exposures_1=2), design, {})
    drilling = SETTINGS.model_dump(mode="json")
    drilling["training"] |= {"batch_size": 8, "checkpoint_steps": 2, "workers": 1}
    settings = {"prefix": PREFIX, "suffix": SUFFIX, "drilling": drilling, "arm": 1, "seed": 1}
    files = {"base": base, "windows": windows, "replay": replay, "design": design}
    watching = {"course": {"patch": 2, "course_windows": 3}}
    weights, course = [], tmp_path / "course.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name, watched in (("plain", {}), ("watched", watching)):
            made = {
                "model": "model.safetensors",
                "curve": "curve.csv",
                "drilled": "drilled.parquet",
            }
            output = {key: tmp_path / name / file for key, file in made.items()}
            chosen = settings | {"windows": 1} | watched
            run_script("drill_crossed", files, output | {"course": course}, chosen)
            weights.append(output["model"].read_bytes())
    assert weights[0] == weights[1]
    values = read_parquet(course)
    assert sorted(set(values["step"])) == [0, 2, 3]  # of 25 rows, 8 a step
    assert values.groupby(values["exposures"] > 0)["sequence_id"].nunique().to_list() == [3, 3]
