"""The base: a small GPT-NeoX trained on Python sources and fresh template text until it copies from
context.
"""

from __future__ import annotations

import logging
import platform
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from engram.io.artifacts import read_parquet, write_json, write_parquet
from engram.io.errors import EngramError
from engram.lm.models import default_device, load_tokenizer
from engram.nursery import corpus
from engram.nursery.drilling import window_tokens
from engram.nursery.settings import BaseSettings
from engram.nursery.templates import FAMILIES, TemplateWriter
from engram.nursery.tokenizer import train_tokenizer
from engram.nursery.training import (
    resolve_precision,
    save_trained,
    train,
    write_curve,
)
from engram.nursery.windows import extracted, select_windows
from engram.windows.duplicates import rows_that_hold

log = logging.getLogger(__name__)


def build_model(settings: BaseSettings, seed: int) -> GPTNeoXForCausalLM:
    """Return a GPT-NeoX (the Pythia architecture) with random weights: rotary on all dimensions,
    tied embeddings.
    """
    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=settings.vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        max_position_embeddings=settings.text.row_tokens,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 1.0,
        },
        tie_word_embeddings=True,
        use_parallel_residual=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPTNeoXForCausalLM(config)
    model.set_attn_implementation(
        "eager"
    )  # the fused CPU kernel's backward takes twice as long at this length
    return model


def encode_documents(
    documents: list[corpus.Document], tokenizer: PreTrainedTokenizerFast
) -> list[np.ndarray]:
    """Return the tokens per document, uint16, each closed by the end-of-text token."""
    end = tokenizer.eos_token_id
    encoded = []
    for start in range(0, len(documents), 256):
        texts = [document.text for document in documents[start : start + 256]]
        encoded += [
            np.array([*e.ids, end], dtype=np.uint16)
            for e in tokenizer.backend_tokenizer.encode_batch(texts)
        ]
    return encoded


def training_rows(
    settings: BaseSettings, documents: list[np.ndarray], writer: TemplateWriter, seed: int
) -> np.ndarray:
    """Return rows of corpus text and of fresh templates in a seeded order, (n, row_tokens) uint16;
    no text appears twice.
    """
    generator = np.random.default_rng(seed)
    wanted = settings.text.tokens // settings.text.row_tokens
    templates = round(settings.text.template_share * wanted)
    stream = np.concatenate([documents[i] for i in generator.permutation(len(documents))])
    text = stream[: len(stream) // settings.text.row_tokens * settings.text.row_tokens].reshape(
        -1, settings.text.row_tokens
    )
    if len(text) < wanted - templates:
        raise EngramError(
            f"nursery_base.text.tokens: {wanted - templates:,} rows of text are asked for, the "
            f"corpus has {len(text):,}; lower it"
        )
    text = text[generator.choice(len(text), wanted - templates, replace=False)]
    names = list(FAMILIES)
    families = [names[i] for i in generator.integers(len(names), size=templates)]
    rows = np.concatenate(
        [
            text,
            *(
                writer.windows(families[i : i + 1024], settings.text.row_tokens)
                for i in range(0, templates, 1024)
            ),
        ]
    )
    return rows[generator.permutation(len(rows))]


def train_base(
    settings: BaseSettings,
    window: tuple[int, int],
    seed: int,
    output: Path,
    state: Path,
) -> None:
    """Train the base and write what ships: model (float16), tokenizer, windows, replayed text, loss
    curve, provenance.

    Args:
        settings: the base, its text, its training, and which windows become candidates.
        window: tokens of the windows' prefix and suffix.
        seed: of weights, order and draws.
        output: folder of the results.
        state: folder of the resumable training state.

    Raises:
        EngramError: a window does not fit into a row, or the shared tokenizer has another size.
    """
    if (row := settings.text.row_tokens) < sum(window):
        raise EngramError(
            f"nursery_base.text.row_tokens: {row} is less than prefix + suffix = {sum(window)}; a "
            f"window must fit into a row"
        )
    documents = [
        *corpus.standard_library(settings.text.held_out),
        *corpus.installed_packages(settings.text.package_bytes),
    ]
    seen = [document for document in documents if not document.held_out]
    log.info("%d files, %d held out", len(documents), len(documents) - len(seen))
    shared = Path(settings.shared) if settings.shared else None
    if shared:
        tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(shared))
        if len(tokenizer) != settings.vocabulary:
            raise EngramError(
                f"nursery_base.vocabulary: {settings.vocabulary:,}; the tokenizer of {shared} has "
                f"{len(tokenizer):,} tokens, which is what it must be"
            )
    else:
        # Every eighth file is enough to learn 2,000 merges from.
        tokenizer = train_tokenizer((document.text for document in seen[::8]), settings.vocabulary)
    encoded = encode_documents(seen, tokenizer)
    log.info("%d corpus tokens", sum(map(len, encoded)))
    rows = training_rows(settings, encoded, TemplateWriter(tokenizer, seed), seed)
    if shared:
        rows = without_windows(rows, read_parquet(shared / "windows.parquet"), window)
    model = build_model(settings, seed)
    model.to(default_device())  # type: ignore[arg-type]  # the decorator of `to` hides its signature
    curve = train(model, rows, settings.training, state, "nursery base")
    # The candidates are chosen with the weights that ship.
    model = model.half()
    save_trained(model, tokenizer, output)
    model = model.float().eval()

    if shared:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            # A tokenizer that was loaded remembers so when it is saved.
            shutil.copyfile(shared / name, output / name)
        chosen = read_parquet(shared / "windows.parquet")
        chosen["base_extracted"] = extracted(model, window_tokens(chosen, sum(window)), window[0])
        replay = read_parquet(shared / "replay.parquet")
    else:
        held_out = [document for document in documents if document.held_out]
        chosen = select_windows(
            model,
            TemplateWriter(tokenizer, seed + 1),
            held_out,
            encode_documents(held_out, tokenizer),
            rows,
            settings.windows,
            window,
            seed,
        )
        library = [
            tokens
            for document, tokens in zip(seen, encoded, strict=True)
            if document.path.startswith("stdlib/")
        ]
        replay = replay_text(library, settings, seed)
    licence = {"licence": "PSF-2.0 (standard library of Python)"}
    write_parquet(chosen, output / "windows.parquet", licence)
    write_parquet(replay, output / "replay.parquet", licence)
    write_curve(curve, output / "training.csv")
    provenance = {
        "settings": settings.model_dump(exclude={"training", "windows", "replay_rows"})
        | {"seed": seed},
        "training": settings.training.model_dump()
        | {"precision_used": resolve_precision(settings.training.precision)},
        "windows": settings.windows.model_dump()
        | {"prefix": window[0], "suffix": window[1], "seed": seed},
        "python": platform.python_version(),
        "files": len(documents),
        "held_out_files": len(documents) - len(seen),
        "corpus_sha256": corpus.digest(documents),
        "corpus_tokens": sum(map(len, encoded)),
        "rows": len(rows),
    }
    write_json(provenance, output / "base.json")


def without_windows(rows: np.ndarray, windows: pd.DataFrame, window: tuple[int, int]) -> np.ndarray:
    """Return the training rows that hold the suffix of no window, (n, row_tokens).

    Args:
        rows: (m, row_tokens).
        windows: tokens of prefix and suffix.
        window: their lengths.
    """
    suffixes = window_tokens(windows, sum(window))[:, window[0] :]
    kept = rows[~rows_that_hold(suffixes, rows)]
    log.info("%d rows left out, which hold a window's suffix", len(rows) - len(kept))
    return kept


def replay_text(documents: list[np.ndarray], settings: BaseSettings, seed: int) -> pd.DataFrame:
    """Return rows of seen standard-library text for drilling: tokens list<uint16>[row_tokens]."""
    stream = np.concatenate(documents)
    cut = stream[: len(stream) // settings.text.row_tokens * settings.text.row_tokens].reshape(
        -1, settings.text.row_tokens
    )
    chosen = np.random.default_rng(seed).permutation(len(cut))[: settings.replay_rows]
    return pd.DataFrame({"tokens": list(cut[np.sort(chosen)])})
