"""The samples of a trained taxonomy from its files, with their texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from engram.cnn.text_rivals import text_features
from engram.cnn.transferred import Samples, Texts
from engram.io.artifacts import read_parquet
from engram.io.streams import read_selected
from engram.taxonomy.pool import pool, read_shown
from engram.windows.shown_text import suffix_keys

PREDICTED = ["sequence_id", "content_group", "split", "class", "input"]
"""Columns of `predictions.parquet` that say which samples there are."""


def listed_samples(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the samples that were predicted: sequence_id, content_group, split, class; sorted.

    Args:
        predictions: the table `predictions.parquet`, or the columns `PREDICTED`.
    """
    columns = [name for name in PREDICTED if name != "input"]
    first = predictions.loc[predictions["input"] == "attention", columns]
    return first.drop_duplicates("sequence_id").sort_values("sequence_id").reset_index(drop=True)


def read_texts(
    samples: pd.DataFrame,
    candidates: str,
    continuations: str,
    labels: str,
    classes: Sequence[str],
    prefix: int,
) -> Texts:
    """Return the texts of samples, in their order.

    Args:
        samples: of `listed_samples`, n of them.
        candidates, continuations, labels: files of the model.
        classes: the K class names, in the order of the logits.
        prefix: tokens of the prompt.
    """
    ids = samples["sequence_id"].to_numpy(np.int64)
    columns = ["sequence_id", "tokens"]
    rows = read_selected(candidates, ids, [*columns, "text"]).set_index("sequence_id").loc[ids]
    written = read_parquet(continuations, columns)
    shown = pool(samples, rows.reset_index(), written, read_shown(continuations))
    tokens = np.stack(shown.set_index("sequence_id")["tokens"].loc[ids].tolist())  # (n, T)
    keys = [
        suffix_keys(np.stack(rows["tokens"].tolist())[:, prefix:]),
        suffix_keys(tokens[:, prefix:]),
        pd.util.hash_array(rows["text"].to_numpy(object)).view(np.int64),
    ]
    kinds = None
    if "kind" in pq.read_schema(labels).names:
        kinds = read_parquet(labels, ["sequence_id", "kind"]).set_index("sequence_id")["kind"]
        kinds = kinds.loc[ids]
    features = {
        name: sets["logistic"] for name, sets in text_features(tokens, prefix, kinds).items()
    }
    label = pd.Categorical(samples["class"], categories=list(classes)).codes.astype(np.int64)
    own = Samples(ids, label, samples["split"].to_numpy(object), features)
    return Texts(own, tokens, np.stack(keys, axis=1))
