"""Labels of candidates that are too many for memory, batch by batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from engram import code_text
from engram.artifacts import read_metadata
from engram.errors import EngramError
from engram.labels import GIVEN, label
from engram.sources.streams import read_batches, stacked_tokens, stream_parquet
from engram.text_features import content_groups


def write_labels(candidates: Path, output: Path, prefix: int) -> None:
    """Writes labels.parquet, as `labels.label` would label all candidates at once.

    The memory holds a batch of rows and all suffixes (four bytes a token), which are compared with one another.

    Args:
        candidates: candidates.parquet.
        output: labels.parquet; its metadata are the candidates' and which labels are the source's.
        prefix: tokens of the prompt.

    Raises:
        EngramError: as `labels.label`.
    """
    identifiers, suffixes = _identifiers_and_suffixes(candidates, prefix)
    if len(np.unique(identifiers)) < len(identifiers):
        raise EngramError(f"{candidates}: a sequence_id stands twice; every window needs its own")
    groups = content_groups(suffixes)
    del suffixes
    given = [name for name in GIVEN if name in pq.read_schema(candidates).names]
    metadata = read_metadata(candidates) | {"is_code": "source" if "is_code" in given else code_text.METHOD, "labels_of_source": given}
    with stream_parquet(output, metadata) as stream, tqdm(total=len(groups), desc="labels", unit="row", mininterval=2) as progress:
        for table in read_batches(candidates):
            batch = table.to_pandas()
            labels, _ = label(batch, prefix)
            labels["content_group"] = groups[stream.rows : stream.rows + len(batch)]
            stream.append(pa.Table.from_pandas(labels, preserve_index=False))
            progress.update(len(batch))


def _identifiers_and_suffixes(candidates: Path, prefix: int) -> tuple[np.ndarray, np.ndarray]:
    """sequence_id int64 (n,) and suffix tokens int32 (n, S) of all candidates."""
    identifiers, suffixes = [], []
    for table in read_batches(candidates, ["sequence_id", "tokens"]):
        identifiers.append(table["sequence_id"].to_numpy())
        suffixes.append(stacked_tokens(table)[:, prefix:].copy())
    if not suffixes:
        raise EngramError(f"{candidates}: the table is empty; the source gave no windows")
    return np.concatenate(identifiers), np.concatenate(suffixes)
