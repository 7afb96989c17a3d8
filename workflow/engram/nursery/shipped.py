"""The nursery that ships: its base and the drilled model, with the windows of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from engram.io.artifacts import read_parquet
from engram.io.shipped import shipped_file
from engram.lm.models import load_tokenizer
from engram.lm.tokens import decode

BASE = "resources/nursery"
"""Folder of the base, relative to the project."""
DRILLED = f"{BASE}/drilled"
"""Folder of the drilled model, which shares the tokenizer of the base."""
NURSERIES = {"nursery": DRILLED, "nursery-base": BASE}
"""Names of the models that ship, and their folders."""
EXPOSURES = "exposures.csv"
"""In the folder of the drilled model: sequence_id, exposures, sequence_duplicates of the windows
that it was shown, or whose suffix it was."""


def shipped_model(name: str) -> Path:
    """Return the folder of a model that ships, one of `NURSERIES`.

    Raises:
        EngramError: the installation lacks it.
    """
    return shipped_file(f"{NURSERIES[name]}/config.json").parent


def shipped_tokenizer() -> PreTrainedTokenizerBase:
    """Return the tokenizer of both models that ship."""
    return load_tokenizer(shipped_file(f"{BASE}/tokenizer.json").parent)


def shipped_windows(name: str, tokenizer: PreTrainedTokenizerBase) -> pd.DataFrame:
    """Return the windows that ship with a model, one of `NURSERIES`.

    Returns:
        sequence_id as the index; tokens (64 token ids), text, kind (`natural` or the family of a
        template), exposures (how often the model was shown the window while it was drilled; 0 for
        all windows of the base), sequence_duplicates (how often the window's suffix occurs in what
        it was drilled on), base_extracted (whether the base writes the suffix after the prefix).
    """
    windows = read_parquet(shipped_file(f"{BASE}/windows.parquet")).set_index("sequence_id")
    counts = ["exposures", "sequence_duplicates"]
    windows[counts] = 0
    if name == "nursery":
        shown = pd.read_csv(shipped_file(f"{DRILLED}/{EXPOSURES}"), index_col="sequence_id")
        windows.loc[shown.index, counts] = shown[counts]
    tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)  # (n, T)
    windows["tokens"] = tokens.tolist()
    windows["text"] = decode(tokenizer, tokens)
    columns = ["tokens", "text", "kind", "exposures", "sequence_duplicates", "base_extracted"]
    return windows[columns]
