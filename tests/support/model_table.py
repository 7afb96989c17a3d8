"""docs/models.md: what was tried of which architecture, with tiny random weights, and the outcome.

`python tests/support/model_table.py` writes the page; the tests compare it with what they find.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from slow_knockout import slow, slow_means
from tiny_models import ARCHITECTURES, FURTHER, HEADS, LAYERS, SPECIAL, random_tokens
from transformers import GenerationConfig, PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from engram.io.errors import EngramError
from engram.io.packing import pack, packed_length
from engram.lm.attention import extract, pooled_attention
from engram.lm.attention_hook import implementation
from engram.lm.checkpoint import check_folder
from engram.lm.conditions import Condition
from engram.lm.generation import greedy_continuations, memorization_scores, teacher_forced_scores
from engram.lm.inputs import begin_with
from engram.lm.interventions import average, knock_out
from engram.lm.models import load_model

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
WINDOW, PREFIX = 16, 8
TIE = 1e-4
"""Share of the largest logit by which those of equally likely tokens may differ."""
NAME = "architecture.txt"
"""Where a folder says which architecture it is of."""
RIGHT, REFUSED, WRONG = "✓", "refused", "**wrong**"

Build = Callable[[], PreTrainedModel]

BUILDS: dict[str, Build] = {**ARCHITECTURES, **SPECIAL, **FURTHER}
NAMES = {
    "llama_grouped": "llama, grouped queries",
    "llama_tied": "llama, tied embeddings",
    "mistral_sliding_window": "mistral, sliding window",
    "gemma2_capped_alternating": "gemma2, capped scores, every second layer slides",
    "gpt_oss_sinks": "gpt_oss, attention sinks, experts",
    "bloom_no_interface": "bloom",
    "gptj_no_interface": "gptj",
    "gpt2_upcast": "gpt2, upcast attention",
    "gpt_bigcode": "gpt_bigcode, multi-query",
    "olmo": "olmo, norms without parameters",
    "olmo3": "olmo3, post-norm, sliding window",
    "gemma3_text": "gemma3, post-norm, sliding window",
    "qwen3_moe": "qwen3_moe, experts",
    "mixtral": "mixtral, experts",
    "cohere2": "cohere2, sliding window",
    "exaone4": "exaone4, post-norm, sliding window",
    "falcon": "falcon, multi-query",
    "gpt_neo": "gpt_neo, local attention",
    "mamba": "mamba, no attention",
    "lfm2": "lfm2, convolutions",
}
"""What the page calls them; others by their kind."""


def _differs_by_ties(
    model: PreTrainedModel, prompts: np.ndarray, ours: np.ndarray, theirs: np.ndarray
) -> bool:
    """Whether continuations (n, S) are equal up to tokens that are about equally likely."""
    for row in np.flatnonzero((ours != theirs).any(1)):
        first = int(np.argmax(ours[row] != theirs[row]))
        read = torch.from_numpy(np.concatenate([prompts[row], theirs[row, :first]]))[None]
        with torch.no_grad():
            logits = model(read).logits[0, -1]
        if abs(logits[ours[row, first]] - logits[theirs[row, first]]) > TIE * logits.abs().max():
            return False
    return True


def _generated(model: PreTrainedModel, prompts: np.ndarray, length: int) -> np.ndarray:
    """What `generate()` writes after each prompt, one at a time."""
    given, model.generation_config = model.generation_config, GenerationConfig()
    rows = []
    try:
        for prompt in torch.from_numpy(prompts):
            written = model.generate(
                prompt[None],
                attention_mask=torch.ones_like(prompt[None]),
                do_sample=False,
                max_new_tokens=length,
                eos_token_id=None,
                pad_token_id=0,
            )
            rows.append(written[0, len(prompt) :].numpy())
    finally:
        model.generation_config = given
    return np.stack(rows)


def loads(load: Build) -> None:
    """Every weight comes back to the last bit, and the model puts out the same."""
    again = load()
    model = BUILDS[(Path(again.name_or_path) / NAME).read_text()]()
    ours, theirs = again.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    tokens = torch.from_numpy(random_tokens(2, WINDOW))
    with torch.no_grad():
        torch.testing.assert_close(again(tokens).logits, model(tokens).logits, rtol=1e-4, atol=1e-4)


def scores(load: Build) -> None:
    """Continuations are those of `generate()`, and scores count their tokens."""
    model, tokens = load(), random_tokens(6, WINDOW)
    tokens[:3, PREFIX:] = greedy_continuations(model, tokens[:3, :PREFIX], WINDOW - PREFIX)
    prompts = tokens[:, :PREFIX]
    theirs = _generated(model, prompts, WINDOW - PREFIX)
    ours = greedy_continuations(model, prompts, WINDOW - PREFIX)
    assert _differs_by_ties(model, prompts, ours, theirs)
    found = memorization_scores(model, tokens, PREFIX)
    if (ours == theirs).all():
        expected = (theirs == tokens[:, PREFIX:]).mean(1)
        np.testing.assert_allclose(found["memorization_score"], expected)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens)).logits[:, PREFIX - 1 : -1].log_softmax(-1)
    said = logits.gather(-1, torch.from_numpy(tokens)[:, PREFIX:, None])[..., 0].mean(1)
    np.testing.assert_allclose(found["suffix_log_prob"], said, rtol=1e-4, atol=1e-5)


def batches(load: Build) -> None:
    """Rows alone, in batches of 16 with a ragged last one, and all at once say the same."""
    model, tokens = load(), random_tokens(35, WINDOW)
    prompts = tokens[:, :PREFIX]
    forced, written = [], []
    for rows in (1, 16, 35):
        forced.append(teacher_forced_scores(model, tokens, PREFIX, rows * WINDOW))
        written.append(
            greedy_continuations(model, prompts, WINDOW - PREFIX, batch_tokens=rows * WINDOW)
        )
    for table, ours in zip(forced[1:], written[1:], strict=True):
        np.testing.assert_allclose(
            table["suffix_log_prob"], forced[0]["suffix_log_prob"], rtol=1e-4, atol=1e-5
        )
        assert _differs_by_ties(model, prompts, ours, written[0])


@torch.no_grad()
def maps(load: Build) -> None:
    """Pooled maps are those of the eager weights of `output_attentions`."""
    tokens = random_tokens(3, WINDOW)
    mean, highest = pooled_attention(load(), tokens)
    model = load()
    with implementation(model, "eager"):
        weights = torch.stack(
            model(torch.from_numpy(tokens), output_attentions=True).attentions, 1
        )  # (n, L, H, T, T)
    torch.testing.assert_close(highest, pack(weights.amax(2)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mean, pack(weights.mean(2)), rtol=1e-5, atol=1e-6)


def opening(load: Build) -> None:
    """A token that is read first equals windows with that token in front, by hand."""
    tokens = random_tokens(3, WINDOW)
    model = load()
    begin_with(model, (5,))
    (ours,) = extract(model, tokens, PREFIX)
    (theirs,) = extract(load(), np.insert(tokens, 0, 5, axis=1), 1 + PREFIX)
    for field in ("mean", "max", "matched_fraction", "suffix_log_prob"):
        np.testing.assert_allclose(
            getattr(ours, field), getattr(theirs, field), rtol=1e-5, atol=1e-6
        )


def knockouts(load: Build) -> None:
    """Cells and heads, removed and averaged: as the slow implementation has it."""
    model, tokens, reference = load(), random_tokens(2, WINDOW), random_tokens(3, WINDOW, seed=9)
    draw = np.random.default_rng(0)
    cells = draw.random((LAYERS, packed_length(WINDOW))) < 0.3
    heads = draw.random((LAYERS, HEADS)) < 0.3
    above = cells & (np.arange(LAYERS) >= 1)[:, None]
    conditions = [
        Condition(),
        *(
            Condition(operation, cells=mask)
            for operation in ("remove", "mean")
            for mask in (cells, above)
        ),
        *(Condition(operation, heads=heads) for operation in ("remove", "mean")),
    ]
    found = dict(knock_out(model, tokens, PREFIX, conditions, average(model, reference, 99)))
    means = slow_means(load(), reference)
    for number, condition in enumerate(conditions):
        expected = slow(load(), tokens, PREFIX, condition, means)
        np.testing.assert_allclose(found[number], expected, rtol=1e-4, atol=1e-4)


CHECKS: Mapping[str, Callable[[Build], None]] = {
    "loads": loads,
    "scores": scores,
    "batches": batches,
    "maps": maps,
    "first token": opening,
    "knock-out": knockouts,
}


@dataclass(frozen=True)
class Row:
    """What came out for one architecture."""

    cells: dict[str, str]
    """Check → `RIGHT`, `REFUSED` or `WRONG`."""
    reasons: dict[str, str]
    """Check → why it was refused."""


def row(name: str) -> Row:
    """Try everything of an architecture, with models that Engram loads from safetensors in several
    files.
    """
    cells, reasons = {}, {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are too small for more
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        BUILDS[name]().save_pretrained(folder, max_shard_size="20KB")
        (folder / NAME).write_text(name)

        def load() -> PreTrainedModel:
            check_folder(folder)
            return load_model(folder, device="cpu")

        for check, run in CHECKS.items():
            try:
                run(load)
                cells[check] = RIGHT
            except EngramError as error:
                cells[check] = REFUSED
                reasons[check] = str(error).replace(f"model {folder}: ", "").split("; ")[0]
            except AssertionError:
                cells[check] = WRONG
    torch.set_num_threads(threads)
    return Row(cells, reasons)


def shown(name: str) -> str:
    """Return what the page calls an architecture."""
    return NAMES.get(name, name)


def line(name: str, result: Row) -> str:
    """Return an architecture's line of the page."""
    kind = BUILDS[name]().config.model_type.removesuffix("_text")
    gguf = "read" if kind in GGUF_SUPPORTED_ARCHITECTURES else ""
    return f"| {shown(name)} | {' | '.join(result.cells[check] for check in CHECKS)} | {gguf} |"


def write_page(path: Path = PAGE) -> None:
    """Write the page."""
    rows = {name: row(name) for name in BUILDS}
    head = " | ".join(CHECKS)
    refused = [
        f"- **{shown(name)}**, {' and '.join(checks)}: {reason}"
        for name, result in rows.items()
        for reason, checks in _by_reason(result).items()
    ]
    path.write_text(
        INTRODUCTION.format(count=len(rows), version=transformers.__version__.rsplit(".", 1)[0])
        + f"\n| architecture | {head} | GGUF |\n|---|{'---|' * (len(CHECKS) + 1)}\n"
        + "\n".join(line(name, result) for name, result in rows.items())
        + "\n\n## Why some are refused\n\n"
        + "\n".join(refused)
        + "\n",
        encoding="utf-8",
    )


def _by_reason(result: Row) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for check, reason in result.reasons.items():
        found.setdefault(reason, []).append(check)
    return found


INTRODUCTION = """# Models that were tried

<!-- Written by `make models` from what the tests find; do not edit. -->

{count} architectures of transformers {version}, each with three layers of random float32 weights.
`make test-models` tries all of them again, the unit tests some; a cell that differs from what they
find fails. ✓ is right, *refused* ends in one line of text before anything is written, and
**wrong** is a fault.

- **loads**: safetensors in several files, tied weights stored once; every weight to the last bit.
- **scores**: continuations are those of `generate()`, but for tokens that are equally likely within
  rounding, and log-probabilities are those of a plain forward.
- **batches**: rows alone, in batches of 16 with a ragged last one, and all at once agree.
- **maps**: pooled attention is that of the eager weights of `output_attentions`.
- **first token**: a token that the model reads first
  ([`bos`](your-model.md#the-beginning-of-a-sequence)) equals windows with that token in front, by
  hand.
- **knock-out**: cells and heads, removed and averaged, as in a slow and separate implementation.
- **GGUF**: transformers reads GGUF files of this architecture. Tried with a file: llama and gemma3.
"""

if __name__ == "__main__":
    write_page()
