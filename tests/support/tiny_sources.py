"""Small sources of every kind: files as users and the hub write them, a tokenizer and models of a
few thousand parameters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

PREFIX, SUFFIX = 4, 4
WINDOW = PREFIX + SUFFIX
VOCABULARY = 400
TEXT = "".join(
    f"The {animal} number {i} sees {i * i} stars and counts them: {i}, {i + 1}, {i + 2}.\n"
    for i in range(40)
    for animal in ("cat", "owl", "emu")
)


ARCHITECTURES = ("gpt_neox", "llama", "gpt2", "olmo2", "starcoder2", "qwen3")


def tiny_model(
    kind: str = "gpt_neox", seed: int = 0, context: int = 32, vocabulary: int = VOCABULARY
) -> PreTrainedModel:
    """A random-weight model that reads the tiny tokenizer's tokens."""
    torch.manual_seed(seed)
    special = {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
    shape = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": context,
    }
    if kind == "gpt2":
        shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": context}
    elif kind != "gpt_neox":
        shape |= {"num_key_value_heads": 2, "head_dim": 8}
    model = hf.AutoModelForCausalLM.from_config(
        hf.AutoConfig.for_model(kind, **shape, **special)
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token: of ASCII text, every character."""
    signs = ["<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    single = Tokenizer(models.BPE({sign: number for number, sign in enumerate(signs)}, []))
    single.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    single.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=single, eos_token="<|end|>")


def hub_rows(n: int, seed: int = 0, first_id: int = 0) -> pd.DataFrame:
    """Rows with all columns of the published data set, of random values."""
    random = np.random.default_rng(seed)
    tokens = random.integers(0, 50, (n, WINDOW))
    tokens[n // 2 :, PREFIX:] = tokens[: n - n // 2, PREFIX:]  # equal suffixes
    return pd.DataFrame(
        {
            "sequence_id": np.arange(first_id, first_id + n),
            "loss": random.random(n).astype(np.float32),
            "prompt_perplexity": random.random(n).astype(np.float32),
            "generation_perplexity": random.random(n).astype(np.float32),
            "sequence_perplexity": random.random(n).astype(np.float32),
            "text": [f"text {seed} of row {row}" for row in range(n)],
            "is_incrementing": random.random(n) < 0.2,
            "is_repeating": random.random(n) < 0.2,
            "sequence_duplicates": random.integers(1, 100, n),
            "max_frequency": random.integers(1, 100, n),
            "avg_frequency": random.random(n),
            "min_frequency": random.integers(1, 100, n),
            "median_frequency": random.random(n),
            "p25_frequency": random.integers(1, 100, n),
            "p75_frequency": random.integers(1, 100, n),
            "frequencies": list(random.integers(1, 100, (n, WINDOW))),
            "tokens": list(tokens),
            "repeating_offset": np.zeros(n, np.int32),
            "num_repeating": np.zeros(n, np.int32),
            "smallest_repeating_chunk": [np.array([1, 2])] * n,
            "nl_scores": random.random(n).astype(np.float32),
            "0_8_snowclones": random.integers(1, 100, n),
            "0_9_snowclones": random.integers(1, 100, n),
            "0_8_templates": random.integers(1, 100, n),
            "0_9_templates": random.integers(1, 100, n),
            "huffman_coding_length": random.random(n),
            "memorization_score": random.integers(0, SUFFIX + 1, n) / SUFFIX,
        }
    )


def write_split(folder: Path, split: str, frame: pd.DataFrame, parts: int = 1) -> list[Path]:
    """The files of a split as the hub names them."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    files = []
    for part, rows in enumerate(np.array_split(np.arange(len(frame)), parts)):
        files.append(folder / "data" / f"{split}-{part:05d}-of-{parts:05d}.parquet")
        pq.write_table(
            pa.Table.from_pandas(frame.iloc[rows], preserve_index=False),
            files[-1],
            row_group_size=7,
        )
    return files


def parquet(path: Path, **columns: Any) -> Path:
    """A parquet file of these columns."""
    pq.write_table(pa.table(columns), path)
    return path
