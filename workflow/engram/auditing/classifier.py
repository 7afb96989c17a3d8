"""The class of reproduced windows by the CNNs of a finished study: chosen for the model at hand,
calibrated on the study's validation samples, refused for any other model or window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from transformers import PreTrainedModel

from engram.auditing.joins import COLUMN, probability_column
from engram.cnn.checkpoints import load_cnns
from engram.cnn.network import AttentionCNN
from engram.io.artifacts import read_metadata, read_parquet
from engram.io.errors import EngramError
from engram.lm.attention import extract
from engram.lm.oracle import compare, expect_some
from engram.scores.calibration import MEMBERS, ensemble, fit_temperature
from engram.scores.probability_scores import probability_scores
from engram.scores.score_table import score_table
from engram.taxonomy.taxonomy import Taxonomy

PROTOCOL = "engram"
"""The protocol whose CNNs are taken: the one with a validation split."""
SCORES = ("balanced_accuracy",)
"""Scores of the CNNs that are reported."""
SEQUENCES = 64
"""Windows whose attention is in memory at a time, at most."""


@dataclass(frozen=True)
class Chosen:
    """CNNs of a study that fit a model and its windows."""

    study: Path
    """Folder of the study's results."""
    model: str
    """Name of the model in the study."""
    slug: str
    """Of the taxonomy whose classes the CNNs tell apart."""

    @property
    def folder(self) -> Path:
        """Where checkpoints and predictions are."""
        return self.study / self.model / PROTOCOL / "cnns" / self.slug


@dataclass(frozen=True)
class Calibrated:
    """The CNNs of a study as one classifier: mean logits, divided by a temperature."""

    classes: tuple[str, ...]
    """The K class names."""
    cnns: tuple[AttentionCNN, ...]
    """Every CNN that learned the real labels from attention."""
    temperature: float
    """T of softmax(logits / T)."""
    mean_dtype: str
    """Precision in which the CNNs saw the mean over heads."""

    def probabilities(self, mean: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Return the probability of every class, (n, K).

        Args:
            mean: attention averaged over heads, packed, (n, L, P).
            largest: the largest attention of any head, packed, (n, L, P).
        """
        maps = {
            "mean": torch.from_numpy(mean.astype(self.mean_dtype).astype(np.float32)),
            "max": torch.from_numpy(largest.astype(np.float16).astype(np.float32)),
        }
        with torch.inference_mode():
            logits = [cnn.classify_packed(maps[cnn.head_pooling]).numpy() for cnn in self.cnns]
        return softmax(np.mean(logits, axis=0, dtype=np.float64) / self.temperature, axis=1)


def choose(
    study: str | Path,
    taxonomy: Taxonomy,
    fingerprints: Iterable[str],
    dtype: str,
    window: tuple[int, int],
) -> Chosen:
    """Return the CNNs of a study that were trained on attention of this model to such windows.

    Args:
        study: folder of its results.
        taxonomy: whose CNNs.
        fingerprints: `engram.lm.models.fingerprint` of the model, for each way to ask for its
            precision; later ones are only computed where the first do not match.
        dtype: the precision that it runs in; `auto` where that is not known.
        window: tokens of prefix and suffix.

    Raises:
        EngramError: the study is not there or not finished, has other models, other windows or
            other taxonomies.
    """
    root = Path(study)
    indices = sorted(root.glob("*/attention/index.parquet"))
    if not indices:
        raise EngramError(
            f"audit.cnns: {study}: no attention of a model in it; name the folder of a finished "
            f"study, results/<study>"
        )
    headers = {path.parent.parent.name: read_metadata(path) for path in indices}
    own = (
        name
        for digest in fingerprints
        for name, header in headers.items()
        if header.get("fingerprint") == digest and dtype in ("auto", header["dtype"])
    )
    if (name := next(own, None)) is None:
        known = ", ".join(f"{name} in {header.get('dtype')}" for name, header in headers.items())
        raise EngramError(
            f"audit.cnns: {study}: not for this model: its CNNs read attention of {known}, and "
            f"this model has other weights or another precision ({dtype}); audit the study's "
            f"model, {root / next(iter(headers)) / 'model'}, or leave `cnns` out"
        )
    header = headers[name]
    if (header["prefix"], header["suffix"]) != window:
        trained, asked = f"{header['prefix']} + {header['suffix']}", f"{window[0]} + {window[1]}"
        raise EngramError(
            f"audit.cnns: {study}: not for this window: its CNNs read {trained} tokens, the audit "
            f"has {asked}; take prefix {header['prefix']} and suffix {header['suffix']}, or leave "
            f"`cnns` out"
        )
    if (block := header.get("block", 1)) != 1:
        raise EngramError(
            f"audit.cnns: {study}: its CNNs read attention in blocks of {block} tokens; name a "
            f"study with attention.block 1, or leave `cnns` out"
        )
    chosen = Chosen(root, name, taxonomy.slug)
    if not (chosen.folder / "checkpoints.safetensors").is_file():
        files = sorted(chosen.folder.parent.glob("*/predictions.parquet"))
        trained = "; ".join(str(read_metadata(file)["taxonomy"]) for file in files) or "none"
        raise EngramError(
            f"audit.cnns: {study}: no CNNs of `{taxonomy.name}` under the protocol {PROTOCOL}; "
            f"name one of its taxonomies as audit.taxonomy: {trained}"
        )
    return chosen


def calibrate(chosen: Chosen, **statistics: Any) -> pd.DataFrame:
    """Return what the chosen CNNs are worth as one classifier, in one row: study, trained_model,
    taxonomy, slug, cnns (how many), temperature (fitted on the validation samples), validation (how
    many those are), and of the test samples n, groups, and balanced_accuracy, log_loss (nats) and
    ece (expected calibration error), each with its interval.

    Args:
        chosen: of `choose`.
        statistics: `resamples`, `confidence` and `seed`.

    Raises:
        EngramError: no CNN was trained, or the study has no validation samples.
    """
    file = chosen.folder / "predictions.parquet"
    rows = read_parquet(file)
    rows = rows[(rows["input"] == "attention") & (rows["labels"] == "real")]
    if not (rows["split"] == "validation").any():
        raise EngramError(
            f"audit.cnns: {file}: no predictions of validation samples, which calibrate "
            f"probabilities; train the CNNs again"
        )
    classes = list(read_metadata(file)["classes"])
    whole = ensemble(rows)
    validation = whole[whole["split"] == "validation"]
    logits = np.stack(validation["logits"].tolist())
    temperature = fit_temperature(logits, pd.Categorical(validation["class"], classes).codes)
    test = whole[whole["split"] == "test"].assign(
        input="attention", labels="real", cnn="all", seed=0
    )
    test["logits"] = [own / temperature for own in test["logits"]]
    scores = score_table(test, classes, **statistics).iloc[0]
    worth = probability_scores(test, classes, **statistics)
    ends = ("", "_low", "_high")
    return pd.DataFrame(
        [
            {
                "study": str(chosen.study),
                "trained_model": chosen.model,
                "taxonomy": ", ".join(classes),
                "slug": chosen.slug,
                "cnns": rows.groupby(list(MEMBERS)).ngroups,
                "temperature": temperature,
                "validation": len(validation),
                **{key: scores[key] for key in ("n", "groups")},
                **{f"{name}{end}": scores[f"{name}{end}"] for name in SCORES for end in ends},
                **worth.log_loss.columns("log_loss"),
                **worth.ece.columns("ece"),
            }
        ]
    )


def load_calibrated(calibration: pd.DataFrame) -> Calibrated:
    """Return the classifier that `calibrate` describes.

    Raises:
        EngramError: the checkpoints cannot be read, or are not those of the predictions.
    """
    (row,) = calibration.to_dict("records")
    chosen = Chosen(Path(row["study"]), row["trained_model"], row["slug"])
    file = chosen.folder / "checkpoints.safetensors"
    cnns = {
        key: cnn
        for key, cnn in load_cnns(file).items()
        if (key.input, key.labels) == ("attention", "real")
    }
    predicted = read_parquet(chosen.folder / "predictions.parquet", ["input", "labels", *MEMBERS])
    own = predicted[(predicted["input"] == "attention") & (predicted["labels"] == "real")]
    if {(key.cnn, key.seed) for key in cnns} != set(zip(own["cnn"], own["seed"], strict=True)):
        raise EngramError(f"{file}: other CNNs than those of predictions.parquet; train them again")
    header = read_metadata(chosen.study / chosen.model / "attention" / "index.parquet")
    classes = tuple(read_metadata(chosen.folder / "predictions.parquet")["classes"])
    return Calibrated(classes, tuple(cnns.values()), row["temperature"], header["mean_dtype"])


def classify(
    model: PreTrainedModel,
    windows: pd.DataFrame,
    prefix: int,
    classifier: Calibrated,
    batch_tokens: int,
) -> pd.DataFrame:
    """Return the class of windows that the model reproduces. Their attention is extracted and
    checked as a study's is, and not kept.

    Args:
        model: the model.
        windows: those that the model reproduces: document, offset, sequence_id, tokens.
        prefix: tokens that prompt the model.
        classifier: of `load_calibrated`.
        batch_tokens: tokens per batch of the model.

    Returns:
        document, offset, sequence_id, cnn_class (the likeliest), and `cnn_<class>`, the probability
        of each class where all are equally frequent, as among the study's samples.
    """
    parts = [np.zeros((0, len(classifier.classes)))]
    if len(windows):
        tokens = np.stack(windows["tokens"].tolist()).astype(np.int64)  # (n, T)
        batch = min(batch_tokens, SEQUENCES * tokens.shape[1])
        expected = expect_some(model, tokens, prefix, batch)
        for result in extract(model, tokens, prefix, batch):
            for row in [row for row in expected if row < result.rows.stop]:
                compare(model, expected.pop(row), result, row - result.rows.start)
            parts.append(classifier.probabilities(result.mean, result.max))
    return class_columns(windows, np.concatenate(parts), classifier.classes)


def class_columns(
    windows: pd.DataFrame, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the table of `classify` from probabilities, (n, K)."""
    names = np.array(classes, dtype=object)
    return pd.DataFrame(
        {
            **{name: windows[name].to_numpy() for name in ("document", "offset", "sequence_id")},
            COLUMN: names[probabilities.argmax(1)],
            **{
                probability_column(name): column
                for name, column in zip(classes, probabilities.T, strict=True)
            },
        }
    )
