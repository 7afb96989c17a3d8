"""What a study will cost, from its sample lists and its models' shapes, before any model runs.

Bytes are those of `engram.store.attention_file`; floating-point operations are counted
from the model's matrices, built without memory; hours follow from a stated rate and are as good as
that rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPTBigCodeConfig,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from engram.io.errors import EngramError
from engram.io.settings import Bos
from engram.lm.inputs import chosen_opening, read_opening
from engram.lm.models import load_tokenizer
from engram.run import launch
from engram.run.rates import Rates
from engram.sources.entry import hubble_sizes
from engram.sources.published_shapes import PYTHIA as PYTHIA_NAMES
from engram.sources.published_shapes import SHAPES
from engram.store.attention_file import Header
from engram.taxonomy.pool import OWN, displayed_own, holds_non_memo

PYTHIA: dict[str, tuple[int, int, int, int]] = {
    "70m": (6, 512, 8, 50_304),
    "160m": (12, 768, 12, 50_304),
    "410m": (24, 1024, 16, 50_304),
    "1b": (16, 2048, 8, 50_304),
    "1.4b": (24, 2048, 16, 50_304),
    "2.8b": (32, 2560, 32, 50_304),
    "6.9b": (32, 4096, 32, 50_432),
    "12b": (36, 5120, 40, 50_688),
}
"""Layers, width, heads and rows of the embedding of the Pythia models (Biderman et al. 2023, table
1; their config.json).
"""

PYTHIA_END_OF_TEXT = 0
"""The token that Pythia's tokenizer names as beginning of a sequence, and puts in front of none."""


@dataclass(frozen=True)
class Shape:
    """What of a model decides sizes and times."""

    layers: int
    heads: int
    width: int
    weights: int
    """Elements of the matrices that every token is multiplied with; embeddings and head left out.
    Of a mixture of experts all count, although a token passes few of them."""
    head_weights: int
    """Elements of the language-modelling head."""
    parameters: int = 0
    """All elements of the model, tied ones once."""
    kv_width: int = 0
    """Width of the keys of one token and layer; 0: that of the model."""

    def forward_flops(self, window: int, scored: int) -> float:
        """Return floating-point operations of one forward of a sequence: two per weight and token,
        and two products in attention.

        Args:
            window: T, tokens of the sequence.
            scored: positions that the head is applied to.
        """
        return 2.0 * (
            self.weights * window
            + self.head_weights * scored
            + 2 * self.layers * window * window * self.width
        )


def pythia_config(repository: str) -> GPTNeoXConfig | None:
    """Return the configuration of a Pythia model by its repository; None for any other."""
    if (match := PYTHIA_NAMES.fullmatch(repository)) is None:
        return None
    layers, width, heads, vocabulary = PYTHIA[match[1]]
    return GPTNeoXConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        vocab_size=vocabulary,
    )


def hubble_config(repository: str) -> LlamaConfig | None:
    """Return the configuration of a Hubble model by its repository; None for any other."""
    if (sizes := hubble_sizes(repository)) is None:
        return None
    layers, width, heads, kv_heads, feed_forward = sizes
    return LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=feed_forward,
        vocab_size=50_304,
        tie_word_embeddings=False,
    )


def listed_config(repository: str) -> PreTrainedConfig | None:
    """Return the configuration of a model of `engram.sources.published_shapes.SHAPES`; None for
    any other.
    """
    if (known := SHAPES.get(repository)) is None:
        return None
    if known.kind == "gpt_bigcode":
        return GPTBigCodeConfig(
            n_layer=known.layers,
            n_embd=known.width,
            n_head=known.heads,
            n_inner=known.feed_forward,
            n_positions=8192,
            vocab_size=known.vocabulary,
            tie_word_embeddings=known.tied,
        )
    return AutoConfig.for_model(
        known.kind,
        num_hidden_layers=known.layers,
        hidden_size=known.width,
        num_attention_heads=known.heads,
        num_key_value_heads=known.key_value_heads,
        intermediate_size=known.feed_forward,
        vocab_size=known.vocabulary,
        tie_word_embeddings=known.tied,
        pad_token_id=None,
    )


def model_shape(folder: Path | None, repository: str) -> Shape:
    """Return the shape of a model; arguments and errors are those of `blank_model`."""
    return _shape(blank_model(folder, repository))


def count_parameters(folder: Path | None, repository: str) -> int:
    """Return the number of a model's weights, tied ones counted once; arguments and errors are
    those of `blank_model`.
    """
    return sum(parameter.numel() for parameter in blank_model(folder, repository).parameters())


def blank_model(folder: Path | None, repository: str) -> PreTrainedModel:
    """Return a model without values, from the `config.json` in its folder, or by its name. On the
    meta device a model of any size takes no memory.

    Args:
        folder: of the model, where it is at hand.
        repository: its name on the hub.

    Raises:
        EngramError: neither gives the shape.
    """
    if folder is None:
        known = pythia_config(repository) or hubble_config(repository) or listed_config(repository)
        if known is None:
            raise EngramError(
                f"model {repository}: its config.json is not at hand, and only EleutherAI/pythia-… "
                f"and allegrolab/hubble-…, and the models of studies/families.yaml, are known by "
                f"name"
            )
        return _on_meta(known)
    try:
        return _on_meta(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngramError(
            f"model {folder}: its config.json cannot be used ({first.rstrip('.')})"
        ) from None


def _on_meta(config: PreTrainedConfig) -> PreTrainedModel:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def shape_of(config: PreTrainedConfig) -> Shape:
    """Count a model's weights by what they are used for."""
    return _shape(_on_meta(config))


def _shape(model: PreTrainedModel) -> Shape:
    head = model.get_output_embeddings()
    tables = {
        id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)
    } | {id(head.weight)}
    weights = sum(
        parameter.numel()
        for parameter in model.parameters()
        if parameter.ndim > 1 and id(parameter) not in tables
    )
    text = model.config.get_text_config()
    return Shape(
        text.num_hidden_layers,
        text.num_attention_heads,
        text.hidden_size,
        weights,
        head.weight.numel(),
        sum(parameter.numel() for parameter in model.parameters()),
        _kv_width(text),
    )


def _kv_width(text: PreTrainedConfig) -> int:
    heads = text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // heads
    shared = getattr(text, "num_key_value_heads", None) or heads
    return head * (1 if getattr(text, "multi_query", False) else shared)


def bytes_per_sequence(
    shape: Shape,
    prefix: int,
    suffix: int,
    mean_dtype: str,
    opening: Sequence[int] = (),
    block: int = 1,
) -> int:
    """Return the bytes of a sequence's row in an attention file."""
    sizes = (prefix, suffix, shape.layers, shape.heads)
    return Header("", "", "", *sizes, mean_dtype, tuple(opening), block).bytes_of(1)


def planned_opening(folder: Path | None, bos: Bos) -> tuple[int, ...]:
    """Return what a model's sequences begin with, as far as is known before it is fetched.

    Args:
        folder: of the model; None for one that is known by name, which begins with nothing unless
            `bos` is true.
        bos: of the config.

    Raises:
        EngramError: the folder has no tokenizer, or as `chosen_opening`.
    """
    if folder is None:
        return (PYTHIA_END_OF_TEXT,) if bos is True else ()
    if (recorded := read_opening(folder)) is not None:
        return recorded
    return () if bos is False else chosen_opening(load_tokenizer(folder), bos)


def plan_model(
    samples: pd.DataFrame,
    candidates: int,
    shape: Shape,
    window: tuple[int, int],
    mean_dtype: str,
    rates: Rates,
    opening: Sequence[int] = (),
    shown: str = OWN,
    scored: tuple[int, int] = (0, 0),
    prior_forwards: int = 0,
    block: int = 1,
    paired: int = 0,
) -> dict[str, Any]:
    """Return what one model costs.

    Args:
        samples: `engram.taxonomy.pool.gather_lists` of the model.
        candidates: how many they were drawn from.
        shape: the model's.
        window: tokens of prefix and suffix.
        mean_dtype: stored precision of the mean maps.
        rates: assumed of the GPU.
        opening: special tokens in front of every window.
        shown: which text the samples show, see `engram.taxonomy.pool.displayed_own`.
        scored: windows that a model still has to score before classes are known, the counterpart's
            counted once more, with those that a base is asked before they are drawn; and those of
            them whose suffix is decoded. None where candidates have their scores.
        prior_forwards: of the prior (`prior.prefixes`), which the labels and so this plan needed.
        block: tokens of a row of the stored maps.
        paired: windows of the design of a crossed pair, whose maps are stored on their own.

    Returns:
        `candidates`; `drawn`, rows of all lists together; `sequences`, different ones and the
        pair's windows, each of which goes through the model once; `continued`, those of them whose
        suffix the model writes first; `prior_forwards`; `kb_per_sequence` and `gb_on_disk` (10³
        and 10⁹ bytes); `tflop_per_forward`; `pflop`, of extraction, continuations, the prior and
        `scored`;
        `gpu_hours`, at the rates.
    """
    prefix, suffix = window
    sequences = samples["sequence_id"].nunique() + paired
    continued = len(displayed_own(samples, shown))
    row = bytes_per_sequence(shape, prefix, suffix, mean_dtype, opening, block)
    forward = shape.forward_flops(len(opening) + prefix + suffix, suffix)
    return {
        "candidates": candidates,
        "drawn": int(samples["lists"].sum()),
        "sequences": sequences,
        "continued": continued,
        "prior_forwards": prior_forwards,
        "layers": shape.layers,
        "heads": shape.heads,
        "kb_per_sequence": row / 1e3,
        "gb_on_disk": row * sequences / 1e9,
        "tflop_per_forward": forward / 1e12,
        "pflop": forward * (sequences + continued + prior_forwards + sum(scored)) / 1e15,
        "gpu_hours": (
            forward * (sequences + prior_forwards + scored[0]) / rates.forward
            + forward * (continued + scored[1]) / rates.continuation
        )
        / 3600,
    }


def most_samples(
    taxonomies: Sequence[Sequence[str]], protocols: int, per_class: int, candidates: int
) -> pd.DataFrame:
    """Return the most samples that the lists of a model can hold, before any window has a class.

    Args:
        taxonomies: names of the classes of each.
        protocols: how many; their lists hold the same sequences.
        per_class: samples requested per class.
        candidates: windows that are drawn from.

    Returns:
        sequence_id, class, lists, as `engram.taxonomy.pool.gather_lists` has them.
    """
    # Those that are continued come first: as many different ones as there can be.
    classes = sorted(
        (name for names in taxonomies for name in names), key=lambda name: not holds_non_memo(name)
    )
    drawn = np.repeat(np.arange(len(classes)), per_class)
    return pd.DataFrame(
        {
            "sequence_id": np.arange(len(drawn)) % max(1, candidates),
            "class": [classes[number] for number in drawn],
            "lists": protocols,
        }
    )


TOTAL = "all models"
WHOLE = (*("candidates", "drawn", "sequences", "continued", "prior_forwards", "layers", "heads"),)
SUMMED = (
    *("candidates", "drawn", "sequences", "continued", "prior_forwards"),
    *("gb_on_disk", "pflop", "gpu_hours"),
)


def with_total(plan: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a last row of the columns that can be added up."""
    total = pd.DataFrame([{"model": TOTAL, **plan[list(SUMMED)].sum()}])
    return pd.concat([plan, total], ignore_index=True).astype(dict.fromkeys(WHOLE, "Int64"))


def count_jobs(config: Mapping[str, Any]) -> pd.DataFrame:
    """Count the jobs of the whole study by rule, as Snakemake plans them with nothing finished.

    Args:
        config: the study's config, as it was given.

    Returns:
        rule, jobs.

    Raises:
        EngramError: the dry run fails.
    """
    with TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(yaml.safe_dump(dict(config)))
        planned = launch.dry_run(["--forceall", "--configfile", str(study)])
    counts = Counter(job.rule for job in planned if job.rule != "all")
    return pd.DataFrame(sorted(counts.items()), columns=["rule", "jobs"])


def plan_text(plan: pd.DataFrame, jobs: pd.DataFrame, rates: Rates) -> str:
    """Return both tables as lines of text for the terminal."""
    bounds = plan.loc[plan["at_most"].eq("yes"), "model"] if "at_most" in plan else ()
    shown = plan.drop(columns="at_most", errors="ignore").astype(object)
    for column in shown.columns[1:]:
        number = "{:,.0f}" if column in WHOLE else "{:,.4g}"
        shown[column] = ["" if pd.isna(value) else number.format(value) for value in shown[column]]
    width = max(map(len, jobs["rule"]))
    lines = [f"{rule:<{width}} {count:>7,}" for rule, count in jobs.itertuples(index=False)]
    return "\n".join(
        [
            shown.to_string(index=False),
            *(
                [
                    f"\nAt most, because their windows have no scores yet (these are counted, "
                    f"too): {', '.join(bounds)}."
                ]
                if len(bounds)
                else []
            ),
            *(
                ["\nDrilling is not counted."]
                if jobs["rule"].str.startswith("drill_").any()
                else []
            ),
            f"\nGPU hours at {rates.forward:.3g} FLOP/s in forwards and {rates.continuation:.3g} "
            f"FLOP/s in continuations (config: plan).",
            f"\n{'rule':<{width}}    jobs",
            *lines,
            f"{'all rules':<{width}} {jobs['jobs'].sum():>7,}",
        ]
    )
