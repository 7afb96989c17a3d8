"""The sample list of the paper's code, `train_eval_test.parquet`, as it is: its classes and its
split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engram.io.errors import EngramError, boundary
from engram.sources import checks
from engram.sources.candidates import checked_columns, refuse_repeated
from engram.sources.entry import PRESETS
from engram.sources.files import Rows, read_rows

PREFIX, SUFFIX = 32, 32
"""Tokens of its prompt and of what the model must reproduce; its code knows no others."""


def read_samples(path: Path) -> pd.DataFrame:
    """Return the samples of one configuration.

    Args:
        path: its `train_eval_test.parquet`.

    Returns:
        sequence_id, tokens (int32, 64 each; of Non-Memo samples the prompt and the model's own
        continuation), the label columns of `engram.sources.entry.PRESETS`, trains (bool), code
        (int: the place of the class among cat_0, cat_1, …).

    Raises:
        EngramError: a column is missing or holds something else, a sequence occurs twice, or a
            sample has no class or two, no part or two.
    """
    with boundary(f"{path}: cannot be read", "copy it again"):
        names = pq.read_schema(path).names
    classes = [name for number in range(len(names)) if (name := f"cat_{number}") in names]
    if len(classes) < 2:
        raise EngramError(
            f"{path}: it has no columns cat_0 and cat_1; give the train_eval_test.parquet of the "
            f"paper's code"
        )
    columns = PRESETS["train_eval_test"]
    frames = [
        _frame(rows, classes)
        for rows in read_rows(path, [*columns.values(), "part_eval", *classes])
    ]
    if not frames:
        raise EngramError(f"{path}: the table has no rows")
    samples = pd.concat(frames, ignore_index=True)
    refuse_repeated([samples["sequence_id"].to_numpy()], [str(path)])
    return samples


def _frame(rows: Rows, classes: Sequence[str]) -> pd.DataFrame:
    """Return a batch of samples."""
    columns = PRESETS["train_eval_test"]
    others = {name: column for name, column in columns.items() if name != "tokens"}
    checked = checked_columns(rows, others)
    tokens = checks.windows(
        rows.table[columns["tokens"]], columns["tokens"], rows.place, PREFIX + SUFFIX, None
    )  # (n, T)
    flags = np.stack([checks.flags(rows.table[name], name, rows.place) for name in classes])
    tested = checks.flags(rows.table["part_eval"], "part_eval", rows.place)
    for row in np.flatnonzero(flags.sum(axis=0) != 1).tolist():
        rows.place.refuse(row, classes[0], f"{flags[:, row].sum()} of {len(classes)} classes; one")
    for row in np.flatnonzero(tested == checked["trains"]).tolist():
        rows.place.refuse(row, "part_eval", "a sample is either in part_train or in part_eval")
    plain = {
        name: values.to_pylist() if isinstance(values, pa.ChunkedArray) else values
        for name, values in checked.items()
    }
    return pd.DataFrame({**plain, "tokens": list(tokens), "code": flags.argmax(axis=0)})
