"""The windows that ship with the base: held-out text and fresh templates, none of which the base
has seen.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from engram.lm.generation import teacher_forced_scores
from engram.lm.models import default_device, load_model
from engram.nursery.corpus import Document
from engram.nursery.settings import WindowSettings
from engram.nursery.templates import FAMILIES, TemplateWriter
from engram.windows.duplicates import suffix_occurrences
from engram.windows.rouge import prefix_suffix_rouge

log = logging.getLogger(__name__)


def held_out_windows(
    documents: list[Document], encoded: list[np.ndarray], length: int, stride: int
) -> pd.DataFrame:
    """Return every window of `length` tokens of the held-out files, `stride` tokens apart: path,
    offset (tokens), tokens (uint16); none contains the end of text.
    """
    rows = []
    for document, tokens in zip(documents, encoded, strict=True):
        for offset in range(0, len(tokens) - length, stride):
            rows.append((document.path, offset, tokens[offset : offset + length]))
    return pd.DataFrame(rows, columns=["path", "offset", "tokens"])


def select_windows(
    base: PreTrainedModel,
    writer: TemplateWriter,
    documents: list[Document],
    encoded: list[np.ndarray],
    seen: np.ndarray,
    settings: WindowSettings,
    window: tuple[int, int],
    seed: int,
) -> pd.DataFrame:
    """Return the candidates' windows.

    Args:
        base: the trained base; it decides which windows of high overlap are kept first.
        writer: fresh templates, of another seed than the base's.
        documents: the held-out files.
        encoded: their tokens.
        seen: the base's training rows, (n, row_tokens); a window whose suffix occurs there is
            dropped.
        settings: how many of each kind.
        window: tokens of prefix and suffix.
        seed: of the draws.

    Returns:
        sequence_id int64, tokens list<uint16>[prefix + suffix], kind (`natural` or the template's
        family), source, base_extracted bool (the base's greedy decoding of the prefix gives the
        suffix). No two share a suffix, and windows of one file do not overlap.
    """
    generator = np.random.default_rng(seed)
    prefix, length = window[0], sum(window)
    natural = held_out_windows(documents, encoded, length, settings.stride)
    natural["kind"], natural["source"] = (
        "natural",
        natural["path"] + ":" + natural["offset"].astype(str),
    )
    natural = _unseen(natural.iloc[generator.permutation(len(natural))], seen, prefix)
    tokens = np.stack(natural["tokens"].tolist())
    overlap = np.maximum(*prefix_suffix_rouge(tokens, prefix)) >= 0.5
    log.info("%d unseen windows of held-out text, %d of high overlap", len(natural), overlap.sum())

    overlapping = natural[overlap].assign(base_extracted=extracted(base, tokens[overlap], prefix))
    log.info("the base extracts %d of them", overlapping["base_extracted"].sum())
    first = overlapping.sort_values("base_extracted", ascending=False, kind="stable")
    overlapping = _disjoint(first, length, settings.overlapping, settings.per_file, taken=[])
    taken = list(zip(overlapping["path"], overlapping["offset"], strict=True))
    plain = _disjoint(natural, length, settings.natural, settings.natural, taken)
    plain = plain.assign(base_extracted=extracted(base, np.stack(plain["tokens"].tolist()), prefix))

    families = [family for family in FAMILIES for _ in range(settings.per_family)]
    written = writer.windows(families, length)
    templates = _unseen(
        pd.DataFrame({"kind": families, "source": "template", "tokens": list(written)}),
        seen,
        prefix,
    )
    templates["base_extracted"] = extracted(base, np.stack(templates["tokens"].tolist()), prefix)

    windows = pd.concat([overlapping, templates, plain], ignore_index=True)
    windows["sequence_id"] = np.arange(len(windows), dtype=np.int64)
    return windows[["sequence_id", "tokens", "kind", "source", "base_extracted"]]


def _unseen(windows: pd.DataFrame, seen: np.ndarray, prefix: int) -> pd.DataFrame:
    """Return the windows whose suffix occurs nowhere in the rows (n, row_tokens) that the base was
    trained on, one per suffix.
    """
    suffixes = np.ascontiguousarray(np.stack(windows["tokens"].tolist())[:, prefix:])
    boundaries = np.arange(0, seen.size, seen.shape[1])
    new = suffix_occurrences(suffixes, seen.ravel(), boundaries) == 0
    first = ~pd.Series([suffix.tobytes().hex() for suffix in suffixes]).duplicated().to_numpy()
    return windows[new & first].reset_index(drop=True)


def extracted(base: PreTrainedModel, tokens: np.ndarray, prefix: int) -> np.ndarray:
    """Return whether the base's greedy decoding of each prefix gives the suffix, bool (n,)."""
    return teacher_forced_scores(base, tokens.astype(np.int64), prefix)["extracted"].to_numpy()


def asked_at_prefix(windows: pd.DataFrame, folder: Path, prefix: int) -> pd.DataFrame:
    """Return a base's windows with `base_extracted` at a study's prefix.

    The nursery's windows come with the answers at one prefix, which base.json names; at any other,
    the base is asked again. A folder without base.json has windows that this study scored.

    Args:
        windows: tokens, base_extracted.
        folder: of the base.
        prefix: tokens of the study's prompts.
    """
    record = folder / "base.json"
    if not record.is_file():
        return windows
    if json.loads(record.read_text(encoding="utf-8"))["windows"]["prefix"] == prefix:
        return windows
    base = load_model(folder, dtype="float32", device=default_device())
    tokens = np.stack(windows["tokens"].tolist())
    return windows.assign(base_extracted=extracted(base, tokens, prefix))


def _disjoint(
    windows: pd.DataFrame, length: int, most: int, per_file: int, taken: list[tuple[str, int]]
) -> pd.DataFrame:
    """Return the first `most` windows that overlap neither one another nor `taken`, at most
    `per_file` of a file.
    """
    used: dict[str, list[int]] = {}
    for path, offset in taken:
        used.setdefault(path, []).append(offset)
    kept: list[int] = []
    count: dict[str, int] = {}
    for index, path, offset in zip(windows.index, windows["path"], windows["offset"], strict=True):
        if len(kept) == most:
            break
        offsets = used.setdefault(path, [])
        if count.get(path, 0) < per_file and all(
            abs(offset - other) >= length for other in offsets
        ):
            offsets.append(offset)
            count[path] = count.get(path, 0) + 1
            kept.append(index)
    return windows.loc[kept]
