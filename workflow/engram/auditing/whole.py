"""An audit from documents to tables, in memory: that of `engram.audit`, and that of a study which
keeps texts out of its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.auditing.books import Reconstruction, reconstruct
from engram.auditing.classifier import Calibrated, classify
from engram.auditing.cutting import cut_windows
from engram.auditing.documents import Document
from engram.auditing.joins import with_continuations
from engram.auditing.settings import AuditSettings
from engram.auditing.tables import Audit, audit_windows, continue_regions
from engram.lm.generation import teacher_forced_scores
from engram.lm.models import check_tokens
from engram.lm.prior import prior_scores
from engram.taxonomy.taxonomy import Taxonomy
from engram.windows.code_classifier import OFFLINE, CodeClassifier
from engram.windows.labels import label
from engram.windows.unrelated import Windows, pooled, unrelated_prefixes


@dataclass(frozen=True)
class WholeAudit:
    """All that an audit finds."""

    audit: Audit
    """Tables of documents and windows, and scores of tokens."""
    regions: pd.DataFrame
    """Regions with what the model writes at each of them."""
    reconstruction: Reconstruction | None
    """What the model writes of whole documents, where the settings ask for it."""
    classes: pd.DataFrame | None
    """Classes of reproduced windows by the CNNs of a study, where they were given; see
    `engram.auditing.classifier.classify`."""


def audit_documents(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Document],
    window: tuple[int, int],
    stride: int,
    taxonomy: Taxonomy,
    settings: AuditSettings,
    batch_tokens: int,
    classifier: CodeClassifier = OFFLINE,
    unrelated: int = 0,
    seed: int = 0,
    cnns: Calibrated | None = None,
) -> WholeAudit:
    """Audit documents.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        documents: all of them.
        window: tokens of prefix and suffix.
        stride: tokens between the beginnings of two windows.
        taxonomy: gives reproduced windows their class.
        settings: of the audit.
        batch_tokens: tokens per batch of the model.
        classifier: of code and natural language.
        unrelated: prefixes after which each suffix is asked for as well; 0 for no prior.
        seed: which prefixes these are.
        cnns: give reproduced windows their class.

    Raises:
        EngramError: none is as long as a window, or a window is longer than the model's context.
    """
    prefix, suffix = window
    windows = cut_windows(documents, prefix, suffix, stride)
    tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)  # (n, T)
    check_tokens(model, tokens, "texts")
    scores = teacher_forced_scores(model, tokens, prefix, batch_tokens, per_token=True)
    windows = pd.concat([windows, scores], axis=1)
    labels, _ = label(windows, prefix, classifier)
    if unrelated:
        prior = _prior(model, windows, tokens, prefix, unrelated, seed, batch_tokens)
        labels = pd.concat([labels, prior], axis=1)
    audit = audit_windows(documents, prefix, windows, labels, taxonomy, settings)
    written = continue_regions(
        model, tokenizer, documents, audit.regions, prefix, settings.continuation, batch_tokens
    )
    reconstruction = (
        reconstruct(model, tokenizer, documents, settings.books, batch_tokens)
        if settings.books.enabled
        else None
    )
    classes = None
    if cnns is not None:
        reproduced = windows[windows["extracted"].to_numpy(bool)]
        classes = classify(model, reproduced, prefix, cnns, batch_tokens)
    regions = with_continuations(audit.regions, written)
    return WholeAudit(audit, regions, reconstruction, classes)


def _prior(
    model: PreTrainedModel,
    windows: pd.DataFrame,
    tokens: np.ndarray,
    prefix: int,
    unrelated: int,
    seed: int,
    batch_tokens: int,
) -> pd.DataFrame:
    """Return how likely each suffix is after its own and after unrelated prefixes."""
    ids = windows["sequence_id"].to_numpy()
    every = Windows(ids, tokens, windows["document"].to_numpy(object))
    pool = every.rows(pooled(ids, seed))
    others = unrelated_prefixes(every, pool, prefix, unrelated, seed)
    return prior_scores(model, tokens, prefix, others, batch_tokens)
