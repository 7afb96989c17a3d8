"""The audit of all documents of a model: windows, regions, and a row per document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.auditing.documents import Document
from engram.auditing.regions import Scored, describe, score_tokens
from engram.auditing.settings import AuditSettings
from engram.auditing.windows import measure
from engram.lm.generation import greedy_continuations
from engram.lm.inputs import opening
from engram.lm.tokens import decode
from engram.taxonomy.taxonomy import NON_MEMO, Taxonomy

REGION_COLUMNS = (
    *("document", "region", "start", "end", "char_start", "char_end", "tokens", "windows"),
    *("prompt", "log_p_z", "p_z"),
)
"""The first columns of the table of regions; a model that reproduces nothing has them alone."""


@dataclass(frozen=True)
class Audit:
    """What a model reproduces of documents."""

    documents: pd.DataFrame
    """A row per document; see `summarize`."""
    windows: pd.DataFrame
    """See `engram.auditing.windows.measure`."""
    regions: pd.DataFrame
    """See `engram.auditing.regions.describe`."""
    scored: list[Scored]
    """Of every document, in the order of `documents`."""


def audit_windows(
    documents: Sequence[Document],
    prefix: int,
    windows: pd.DataFrame,
    labels: pd.DataFrame,
    taxonomy: Taxonomy,
    settings: AuditSettings,
) -> Audit:
    """Return the tables of an audit.

    Args:
        documents: all of them, those without a window too.
        prefix: tokens that prompt the model.
        windows: candidates with sequence_id, document, offset, token_matches, token_log_probs.
        labels: of the same windows in the same order.
        taxonomy: gives the windows that the model reproduces their class.
        settings: probabilities and thresholds.
    """
    measured = measure(windows, labels, taxonomy, settings.probabilities)
    names = [document.name for document in documents]
    pairs = zip(of_documents(names, measured), of_documents(names, windows), strict=True)
    parts = []
    for document, (own, values) in zip(documents, pairs, strict=True):
        lists = (values["token_matches"].tolist(), values["token_log_probs"].tolist())
        parts.append(audit_document(document, prefix, own, *lists, taxonomy, settings))
    return Audit(
        pd.DataFrame([part.summary for part in parts]),
        measured,
        all_regions(part.regions for part in parts),
        [part.scored for part in parts],
    )


@dataclass(frozen=True)
class DocumentPart:
    """What a model reproduces of one document."""

    summary: dict[str, object]
    """See `summarize`."""
    regions: pd.DataFrame
    """See `engram.auditing.regions.describe`."""
    scored: Scored
    """Of its tokens."""


def audit_document(
    document: Document,
    prefix: int,
    windows: pd.DataFrame,
    token_matches: Sequence[np.ndarray] | np.ndarray,
    token_log_probs: Sequence[np.ndarray] | np.ndarray,
    taxonomy: Taxonomy,
    settings: AuditSettings,
) -> DocumentPart:
    """Return what a model reproduces of a document.

    Args:
        document: the document.
        prefix: tokens that prompt the model.
        windows: its rows of `engram.auditing.windows.measure`, numbered from 0.
        token_matches: of every window, bool (S,).
        token_log_probs: of every window, nats (S,).
        taxonomy: gives the windows that the model reproduces their class.
        settings: probabilities and thresholds.
    """
    scored = score_tokens(len(document.tokens), prefix, windows, token_matches, token_log_probs)
    regions = describe(document, prefix, windows, scored, settings.probabilities)
    summary = summarize(document, windows, scored, regions, taxonomy, settings.thresholds)
    return DocumentPart(summary, regions, scored)


def all_regions(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the regions of all documents in one table; without any, its first columns."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=REGION_COLUMNS)


def of_documents(names: Iterable[str], windows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the windows of each document in their order, numbered from 0."""
    groups = windows.groupby("document", sort=False).indices
    for name in names:
        places = np.sort(groups.get(name, np.zeros(0, np.int64)))
        yield windows.iloc[places].reset_index(drop=True)


def summarize(
    document: Document,
    windows: pd.DataFrame,
    scored: Scored,
    regions: pd.DataFrame,
    taxonomy: Taxonomy,
    thresholds: Sequence[float],
) -> dict[str, object]:
    """Return the row of a document: document, tokens, scored_tokens (in the suffix of a window),
    windows, extracted (windows whose suffix is the model's greedy continuation), share_extracted
    (of the windows), regions, region_tokens, `tokens_<class>` (in regions of a class),
    share_in_regions (of the scored tokens), longest_region (tokens), best_log_p_z, mean_log_p_z
    (nats per window), and for every threshold `share_p_<threshold>`, the share of windows whose
    p_z is at least that.
    """
    count, covered = len(windows), int(scored.covered.sum())
    in_regions = int(regions["tokens"].sum()) if len(regions) else 0
    extracted, log_p = int(windows["extracted"].sum()), windows["log_p_z"].to_numpy()
    return {
        "document": document.name,
        "tokens": len(document.tokens),
        "scored_tokens": covered,
        "windows": count,
        "extracted": extracted,
        "share_extracted": extracted / count if count else np.nan,
        "regions": len(regions),
        "region_tokens": in_regions,
        **{
            f"tokens_{name}": int(regions.loc[regions["class"] == name, "tokens"].sum())
            if len(regions)
            else 0
            for name in taxonomy.class_names
            if name != NON_MEMO
        },
        "share_in_regions": in_regions / covered if covered else np.nan,
        "longest_region": int(regions["tokens"].max()) if len(regions) else 0,
        "best_log_p_z": log_p.max() if count else np.nan,
        "mean_log_p_z": log_p.mean() if count else np.nan,
        **{
            f"share_p_{threshold:g}": (log_p >= np.log(threshold)).mean() if count else np.nan
            for threshold in thresholds
        },
    }


def continue_regions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Document],
    regions: pd.DataFrame,
    prefix: int,
    length: int,
    batch_tokens: int,
) -> pd.DataFrame:
    """Return what the model writes on its own from the first prefix of each region.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        documents: all of them.
        regions: of `describe`.
        prefix: tokens that prompt the model.
        length: tokens to write; fewer where the context ends.
        batch_tokens: tokens per batch of the model.

    Returns:
        document, region, written (tokens), agreed (how many of them, from the first, are those of
        the document), continuation (the text of all that is written), agreed_text (of those that
        agree).
    """
    columns = ["document", "region", "written", "agreed", "continuation", "agreed_text"]
    if regions.empty:
        return pd.DataFrame(columns=columns)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None:
        length = min(length, context - prefix - len(opening(model)))
    tokens = {document.name: document.tokens for document in documents}
    places = list(zip(regions["document"], regions["prompt"].to_numpy().tolist(), strict=True))
    prompts = [tokens[name][start : start + prefix] for name, start in places]
    written = greedy_continuations(
        model, np.stack(prompts).astype(np.int64), length, batch_tokens
    )  # (n, length)
    agreed = []
    for (name, start), own in zip(places, written, strict=True):
        true = tokens[name][start + prefix : start + prefix + length]
        equal = own[: len(true)] == true
        agreed.append(int(np.argmin(equal)) if not equal.all() else len(equal))
    return pd.DataFrame(
        {
            "document": regions["document"].to_numpy(),
            "region": regions["region"].to_numpy(),
            "written": length,
            "agreed": agreed,
            "continuation": decode(tokenizer, written),
            "agreed_text": [
                decode(tokenizer, own[None, :count])[0]
                for own, count in zip(written, agreed, strict=True)
            ],
        },
        columns=columns,
    )
