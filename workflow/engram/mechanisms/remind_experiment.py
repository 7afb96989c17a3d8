"""REMIND on the samples of a taxonomy: fitted on one split, tested on another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engram.knockout.experiment import Samples
from engram.lm.kept_batches import Kept
from engram.lm.tokens import decode
from engram.mechanisms.remind import Neighbourhood, measure_landscape
from engram.mechanisms.remind_row import SHOWN
from engram.mechanisms.remind_scores import held_out_logits, score_methods
from engram.mechanisms.sample_table import sample_table
from engram.scores.probability_metrics import class_probabilities


def run_remind(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    test: Samples,
    fitted: Samples,
    classes: Sequence[str],
    neighbourhood: Neighbourhood,
    batch_tokens: int,
    kept: Kept | None = None,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure samples of two splits, and score their classes on the first.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        test: samples that are tested.
        fitted: samples that classifiers are fitted on; those of content groups that are tested are
            left out of the fits.
        classes: the K class names.
        neighbourhood: which neighbours are drawn.
        batch_tokens: tokens per forward.
        kept: where finished batches are kept; None keeps none.
        resamples: bootstrap draws of content groups.
        confidence: nominal coverage of intervals.
        seed: of forest and draws.

    Returns:
        the table of `score_methods`; and a row per sample of both splits: sequence_id, class, used
        (`tested`, `fitted` or `left out`), the values of `Landscape.values`, and of tested samples
        `forest: <class>` and `logistic: <class>`, the probabilities that these give.

    Raises:
        EngramError: as `measure_landscape` and `held_out_logits`.
    """
    tokens, label, group, ids = (
        np.concatenate([getattr(test, name), getattr(fitted, name)])
        for name in ("tokens", "label", "content_group", "sequence_id")
    )
    landscape = measure_landscape(
        model, tokens, decode(tokenizer, tokens), neighbourhood, batch_tokens, kept
    )
    tested = np.arange(len(tokens)) < len(test.tokens)
    apart = ~tested & ~np.isin(group, test.content_group)
    folds = [(np.flatnonzero(apart), np.flatnonzero(tested))]
    logits = held_out_logits(landscape, label, len(classes), folds, seed)
    scores = score_methods(
        logits, label, group, classes, resamples=resamples, confidence=confidence, seed=seed
    )
    table = sample_table(Samples(ids, group, label, tokens), classes, {}, dict(landscape.values()))
    table.insert(2, "used", np.select([tested, apart], ["tested", "fitted"], "left out"))
    for method in SHOWN:
        for name, column in zip(classes, class_probabilities(logits[method]).T, strict=True):
            table[f"{method}: {name}"] = column
    return scores, table
