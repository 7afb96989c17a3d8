"""Ablating every head: engram.mechanisms.heads beside one hooked forward per head and sample, in
one run on one thread.

    python perf/ablation.py [--samples 64] [--rounds 3] [--architecture gpt_neox]

The model has the shape of the largest one of studies/nursery-families.yaml (5 layers, width 240,
6 heads) and random weights; speed does not depend on them. *One at a time*: `transformers`' own
attention, a hook on the layer's output projection that puts the mean of the layer's other heads in
the head's place, logits of the suffix alone. Engram batches heads and samples, and starts each
forward at the layer of its head. *Plain*: a batched forward of the intact model, of which a head
needs at least the layers from its own on, .6 on average: that is the limit. All ways run in turn,
`--rounds` times after one that does not count. Prints CPU milliseconds (medians), the ratio, the
ratio at the limit, the bar, the largest difference of the suffix's log-probability, and by how much
the batches raise the process's peak memory, which `--batch-tokens` bounds.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch
from transformers import PreTrainedModel

from engram.lm.conditions import MEASURES
from engram.lm.models import suffix_logits, token_scores
from engram.mechanisms.heads import ablate_each_head
from engram.nursery.architectures import random_model
from engram.nursery.settings import ShapeSettings

PREFIX, WINDOW, VOCABULARY, BAR = 32, 64, 2048, 10
PROJECTIONS = {
    "gpt_neox": "attention.dense",
    "llama": "self_attn.o_proj",
    "olmo2": "self_attn.o_proj",
}
"""The output projection of a layer's attention, by architecture."""


@torch.inference_mode()
def one_at_a_time(model: PreTrainedModel, tokens: np.ndarray) -> np.ndarray:
    """Return the log-probability of the suffix without each head, nats per token, (n, L, H)."""
    windows, suffix = torch.from_numpy(tokens), WINDOW - PREFIX
    layers, heads = model.base_model.layers, model.config.num_attention_heads
    found = np.empty((len(tokens), len(layers), heads), np.float32)
    for number, layer in enumerate(layers):
        projection = layer.get_submodule(PROJECTIONS[model.config.model_type])
        for head in range(heads):

            def replace(
                _: torch.nn.Module, given: tuple[torch.Tensor], head: int = head
            ) -> tuple[torch.Tensor]:
                outputs = given[0].unflatten(-1, (heads, -1)).clone()  # (1, T, H, d)
                others = outputs.sum(2) - outputs[:, :, head]
                outputs[:, :, head] = others / (heads - 1)
                return (outputs.flatten(2),)

            handle = projection.register_forward_pre_hook(replace)
            for row, window in enumerate(windows):
                output = model(input_ids=window[None], use_cache=False, logits_to_keep=suffix + 1)
                scores = output.logits[0, :-1].log_softmax(-1)  # (S, V)
                of_suffix = scores.gather(-1, window[PREFIX:, None])
                found[row, number, head] = of_suffix.mean().item()
            handle.remove()
    return found


def batched(model: PreTrainedModel, tokens: np.ndarray, batch_tokens: int) -> np.ndarray:
    """Return the same by Engram."""
    effects = ablate_each_head(model, tokens, PREFIX, batch_tokens=batch_tokens)
    return effects.ablated[..., MEASURES.index("suffix_log_prob")]


@torch.inference_mode()
def plain(model: PreTrainedModel, tokens: np.ndarray, batch_tokens: int) -> None:
    """Score every sequence once in the intact model, in batches."""
    for batch in torch.from_numpy(tokens).split(max(1, batch_tokens // WINDOW)):
        logits = suffix_logits(model, batch, PREFIX)[0]
        token_scores(model, logits, batch[:, PREFIX:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--architecture", choices=PROJECTIONS, default="gpt_neox")
    parser.add_argument("--batch-tokens", type=int, default=8192)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape = ShapeSettings(architecture=options.architecture, layers=5, width=240, heads=6)
    model = random_model(shape, VOCABULARY, WINDOW, seed=0).eval()
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (options.samples, WINDOW))
    expected = one_at_a_time(model, tokens[:2])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = batched(model, tokens, options.batch_tokens)
    raised = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    difference = np.abs(expected - found[:2]).max()
    ways = {
        "one at a time": lambda: one_at_a_time(model, tokens),
        "batched": lambda: batched(model, tokens, options.batch_tokens),
        "plain": lambda: plain(model, tokens, options.batch_tokens),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
    pairs = options.samples * shape.layers * shape.heads
    for name, times in seconds.items():
        forwards, of = (options.samples, "forward") if name == "plain" else (pairs, "head")
        print(f"{name}: {1e3 * np.median(times) / forwards:.2f} ms per {of} and sample")
    slow, fast, bare = (float(np.median(times)) for times in seconds.values())
    limit = bare * shape.heads * (shape.layers + 1) / 2  # a head of layer l needs L - l + 1 of L
    ratio = slow / fast
    print(
        f"{options.architecture}, {options.samples} samples: {ratio:.1f} x, at the "
        f"limit {slow / limit:.1f} x; bar {BAR}: "
        f"{'met' if ratio >= BAR else 'MISSED'}; largest difference {difference:.1e}; "
        f"peak memory raised by {raised:.0f} MB"
    )


if __name__ == "__main__":
    main()
