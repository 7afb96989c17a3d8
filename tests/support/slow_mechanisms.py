"""The measures of `engram.mechanisms` by slow, separate implementations: one sample at a time, with
hooks on modules that each architecture names.
"""

from __future__ import annotations

import statistics
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from tiny_models import ARCHITECTURES, FURTHER
from torch import nn
from transformers import PreTrainedModel

SIX: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt_neox": ARCHITECTURES["gpt_neox"],
    "llama": ARCHITECTURES["llama_grouped"],
    "gpt_bigcode": FURTHER["gpt_bigcode"],
    "olmo": FURTHER["olmo"],
    "olmo2": ARCHITECTURES["olmo2"],
    "olmo3": FURTHER["olmo3"],
}
"""The architectures of the families that the paper compares."""


def layers_of(model: PreTrainedModel) -> list[nn.Module]:
    """The layers, by the name that the architecture gives them."""
    body: Any = model.base_model
    return list(body.h if model.config.model_type == "gpt_bigcode" else body.layers)


def unembed(model: PreTrainedModel, state: torch.Tensor) -> torch.Tensor:
    """Logits (V,) of one state (width,), with the final norm and the unembedding by name."""
    body: Any = model.base_model
    kind = model.config.model_type
    norm, head = {
        "gpt_neox": lambda: (body.final_layer_norm, model.get_output_embeddings()),
        "gpt_bigcode": lambda: (body.ln_f, model.lm_head),
    }.get(kind, lambda: (body.norm, model.lm_head))()
    return head(norm(state))


@contextmanager
def hooks(handles: list[Any]) -> Iterator[None]:
    """Take hooks off at the end."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def first_output(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


@torch.no_grad()
def states_of(
    model: PreTrainedModel, sample: torch.Tensor, edit: Any = None
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """States (T, width) at depths 0 to L, and logits (T, V), of one sample (T,).

    `edit(depth, state)` returns what replaces a state.
    """
    states: list[torch.Tensor] = []

    def before(_layer: Any, arguments: Any, options: Any) -> Any:
        state = arguments[0] if arguments else options["hidden_states"]
        state = state if edit is None else edit(0, state[0])[None]
        states.append(state[0])
        if arguments:
            return (state, *arguments[1:]), options
        return arguments, {**options, "hidden_states": state}

    def after(depth: int) -> Any:
        def call(_layer: Any, _arguments: Any, output: Any) -> Any:
            state = first_output(output)
            state = state if edit is None else edit(depth, state[0])[None]
            states.append(state[0])
            return (state, *output[1:]) if isinstance(output, tuple) else state

        return call

    layers = layers_of(model)
    handles = [layers[0].register_forward_pre_hook(before, with_kwargs=True)]
    handles += [layer.register_forward_hook(after(k)) for k, layer in enumerate(layers, start=1)]
    with hooks(handles):
        logits = model(sample[None], use_cache=False).logits[0]
    return states, logits


def measures_of(logits: torch.Tensor, sample: torch.Tensor, prefix: int) -> list[float]:
    """Extracted, matched fraction and suffix log-probability of one sample."""
    suffix = sample[prefix:]
    of_suffix = logits[prefix - 1 : -1].double()
    right = of_suffix.argmax(-1) == suffix
    log_probabilities = of_suffix.log_softmax(-1)[torch.arange(len(suffix)), suffix]
    return [float(right.all()), float(right.double().mean()), float(log_probabilities.mean())]


def slow_perturbation(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    noise: Callable[[np.ndarray, int, tuple[int, int]], np.ndarray],
    alpha: float,
    seed: int,
    depth: int,
    scale: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Measures (n, 3), and cosines to the clean run (n, D), one sample and one token at a time."""
    all_measures, cosines = [], []
    for row in tokens:
        sample = torch.from_numpy(row)
        clean, _ = states_of(model, sample)
        drawn = noise(row, seed, tuple(clean[0].shape)).astype(np.float64)

        def edit(at: int, state: torch.Tensor, drawn: np.ndarray = drawn) -> torch.Tensor:
            if at != depth:
                return state
            noisy = []
            for token, vector in enumerate(state.double().numpy()):
                if scale == "norm":
                    factor = np.sqrt((vector**2).sum()) / np.sqrt((drawn[token] ** 2).sum())
                else:
                    factor = np.sqrt(((vector - vector.mean()) ** 2).mean())
                noisy.append(vector + alpha * factor * drawn[token])
            return torch.from_numpy(np.array(noisy)).float()

        moved, logits = states_of(model, sample, edit)
        all_measures.append(measures_of(logits, sample, prefix))
        per_depth = []
        for a, b in zip(moved[depth:], clean[depth:], strict=True):
            a, b = a.double().numpy(), b.double().numpy()
            norms = np.sqrt((a**2).sum(1)) * np.sqrt((b**2).sum(1))
            per_depth.append(((a * b).sum(1) / norms).mean())
        cosines.append(per_depth)
    return np.array(all_measures), np.array(cosines)


@torch.no_grad()
def slow_lens(model: PreTrainedModel, tokens: np.ndarray, prefix: int) -> dict[str, np.ndarray]:
    """Log-probability, top, KL and entropy, (n, L + 1, S) each, one token and depth at a time."""
    results: dict[str, list[Any]] = {name: [] for name in ("log_prob", "top", "kl", "entropy")}
    for row in tokens:
        sample = torch.from_numpy(row)
        states, _ = states_of(model, sample)
        of_sample: dict[str, list[Any]] = {name: [] for name in results}
        for depth_states in states:
            values: dict[str, list[Any]] = {name: [] for name in results}
            for position in range(prefix - 1, len(row) - 1):
                target = row[position + 1]
                logits = unembed(model, depth_states[position]).double().numpy()
                last = unembed(model, states[-1][position]).double().numpy()
                p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
                q = np.exp(last - last.max()) / np.exp(last - last.max()).sum()
                values["log_prob"].append(np.log(p[target]))
                values["top"].append(p.argmax() == target)
                values["kl"].append(sum(b * np.log(b / a) for a, b in zip(p, q, strict=True)))
                values["entropy"].append(-sum(a * np.log(a) for a in p))
            for name in results:
                of_sample[name].append(values[name])
        for name in results:
            results[name].append(of_sample[name])
    return {name: np.array(values) for name, values in results.items()}


def output_projection(model: PreTrainedModel, layer: int) -> nn.Module:
    """What mixes the heads of a layer, counted from 0."""
    module: Any = layers_of(model)[layer]
    if model.config.model_type == "gpt_neox":
        return module.attention.dense
    return (
        module.attn.c_proj if model.config.model_type == "gpt_bigcode" else module.self_attn.o_proj
    )


@torch.no_grad()
def slow_head_ablation(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    layer: int,
    head: int,
    operation: str,
    means: Any = None,
) -> np.ndarray:
    """Measures (n, 3) without a head, edited where the eager model mixes its heads."""
    heads = model.config.num_attention_heads
    rows = []

    def edit(_module: nn.Module, arguments: Any) -> Any:
        mixed = arguments[0].double().clone()  # (1, T, H·d)
        parts = list(mixed[0].chunk(heads, -1))
        others = [part for number, part in enumerate(parts) if number != head]
        parts[head] = {
            "layer_mean": lambda: sum(others) / len(others),
            "remove": lambda: torch.zeros_like(parts[head]),
            "mean": lambda: means[layer][head],
        }[operation]()
        return (torch.cat(parts, -1)[None].float(),)

    model.set_attn_implementation("eager")
    with hooks([output_projection(model, layer).register_forward_pre_hook(edit)]):
        for row in tokens:
            sample = torch.from_numpy(row)
            rows.append(measures_of(model(sample[None], use_cache=False).logits[0], sample, prefix))
    return np.array(rows)


@torch.no_grad()
def slow_head_means(model: PreTrainedModel, tokens: np.ndarray) -> list[list[torch.Tensor]]:
    """Mean outputs (T, d) of every layer and head."""
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    seen: list[list[torch.Tensor]] = [[] for _ in range(layers)]
    model.set_attn_implementation("eager")

    def keep(layer: int) -> Any:
        return lambda _module, arguments: seen[layer].append(arguments[0][0].double())

    handles = [
        output_projection(model, layer).register_forward_pre_hook(keep(layer))
        for layer in range(layers)
    ]
    with hooks(handles):
        for row in tokens:
            model(torch.from_numpy(row)[None], use_cache=False)
    return [list((sum(of_layer) / len(of_layer)).chunk(heads, -1)) for of_layer in seen]


@torch.no_grad()
def written_after(model: PreTrainedModel, context: np.ndarray, count: int) -> list[int]:
    """What greedy decoding writes, token by token without a cache."""
    tokens = [*map(int, context)]
    for _ in range(count):
        tokens.append(int(model(torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
    return tokens[len(context) :]


def slow_lengths(model: PreTrainedModel, tokens: np.ndarray, prefix: int, keep: str) -> np.ndarray:
    """Whether each length of context gives the suffix, bool (n, prefix), by decoding."""
    rows = []
    for row in tokens:
        suffix, given = row[prefix:].tolist(), []
        for length in range(1, prefix + 1):
            context = row[prefix - length : prefix] if keep == "last" else row[:length]
            rest = row[length:].tolist() if keep == "onset" else suffix
            given.append(written_after(model, context, len(rest)) == rest)
        rows.append(given)
    return np.array(rows)


def slow_entropy(model: PreTrainedModel, tokens: np.ndarray, patch: int) -> np.ndarray:
    """Matrix-based entropies (n, L + 1, Q), in float64, from the eigenvalues of one patch after the
    other.
    """
    results = []
    for row in tokens:
        states, _ = states_of(model, torch.from_numpy(row))
        of_sample = []
        for state in states:
            patches = []
            for start in range(0, len(row) - patch + 1, patch):
                z = state[start : start + patch].double().numpy()
                values = np.linalg.svd(z, compute_uv=False) ** 2
                values = values / values.sum()
                patches.append(-np.log(sum(value**2 for value in values)))
            of_sample.append(patches)
        results.append(of_sample)
    return np.array(results)


def slow_neighbours(
    model: PreTrainedModel, row: np.ndarray, count: int, share: float, nearest: int, seed: int
) -> np.ndarray:
    """Neighbours (K, T) of one text, token by token."""
    body: Any = model.base_model
    name = {"gpt_neox": "embed_in", "gpt_bigcode": "wte"}.get(
        model.config.model_type, "embed_tokens"
    )
    table = getattr(body, name).weight.detach().double().numpy()
    lengths = np.sqrt((table**2).sum(1))
    digest = blake2b(row.astype("<i8").tobytes(), digest_size=8).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest)])
    chances = generator.random((count, len(row)))
    choices = generator.integers(nearest, size=(count, len(row)))
    result = np.tile(row, (count, 1))
    for k in range(count):
        for place, token in enumerate(row):
            if chances[k, place] >= share:
                continue
            cosines = table @ table[token] / (lengths * lengths[token])
            ranked = sorted(
                (-round(cosine, 9), other) for other, cosine in enumerate(cosines) if other != token
            )
            result[k, place] = ranked[choices[k, place]][1]
    return result


@torch.no_grad()
def slow_landscape(
    model: PreTrainedModel,
    tokens: np.ndarray,
    texts: list[str],
    count: int,
    share: float,
    nearest: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Losses of neighbours (n, K), numbers of replaced tokens (n, K), rivals (n, 4) and features
    (n, 15), one text and one neighbour at a time.
    """

    def distributions(row: np.ndarray) -> np.ndarray:
        logits = model(torch.from_numpy(row)[None], use_cache=False).logits[0, :-1]
        return logits.double().log_softmax(-1).numpy()

    def chances(row: np.ndarray) -> list[float]:
        return [float(log_p[t]) for log_p, t in zip(distributions(row), row[1:], strict=True)]

    losses, replaced, rivals, features = [], [], [], []
    for row, text in zip(tokens, texts, strict=True):
        own = chances(row)
        standard = []
        for log_p, chance in zip(distributions(row), own, strict=True):
            mean = sum(np.exp(log_p) * log_p)
            standard.append((chance - mean) / np.sqrt(sum(np.exp(log_p) * (log_p - mean) ** 2)))
        loss, k = -sum(own) / len(own), max(1, int(0.2 * len(own)))
        size = len(zlib.compress(text.encode()))
        lowest = [sum(sorted(values)[:k]) / k for values in (own, standard)]
        rivals.append([loss, -sum(own) / size, *lowest])
        neighbours = slow_neighbours(model, row, count, share, nearest, seed)
        of_neighbours = [-sum(chances(other)) / (len(row) - 1) for other in neighbours]
        changes = [sum(a != b for a, b in zip(other, row, strict=True)) for other in neighbours]
        losses.append(of_neighbours)
        replaced.append(changes)
        increments = [value - loss for value in of_neighbours]
        ordered = [of_neighbours[i] for i in sorted(range(count), key=lambda i: changes[i])]
        path = [loss, *ordered]
        steps = [b - a for a, b in pairwise(path)]
        turns = [abs(b - a) for a, b in pairwise(steps)]
        features.append(
            [
                loss,
                *(statistics.fmean(of_neighbours), max(of_neighbours), min(of_neighbours)),
                *(statistics.pvariance(of_neighbours), statistics.pstdev(of_neighbours)),
                *(statistics.fmean(increments), max(increments), min(increments)),
                statistics.pvariance(increments),
                *(statistics.fmean(steps), max(steps), statistics.pvariance(steps)),
                statistics.fmean(map(abs, steps)),
                statistics.fmean(turns),
            ]
        )
    return np.array(losses), np.array(replaced), np.array(rivals), np.array(features)


def last_matrix(model: PreTrainedModel, layer: int) -> nn.Module:
    """What puts out the feed-forward block of a layer, counted from 0."""
    name = {"gpt_neox": "dense_4h_to_h", "gpt_bigcode": "c_proj"}.get(
        model.config.model_type, "down_proj"
    )
    module: Any = layers_of(model)[layer]
    return getattr(module.mlp, name)


@torch.no_grad()
def slow_feed_forward_means(
    model: PreTrainedModel, tokens: np.ndarray
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Mean outputs (T, d) of the feed-forward block of every layer, and mean neurons (T, M)."""
    layers = model.config.num_hidden_layers
    outputs: list[list[torch.Tensor]] = [[] for _ in range(layers)]
    inputs: list[list[torch.Tensor]] = [[] for _ in range(layers)]

    def keep(layer: int) -> Any:
        def call(_module: nn.Module, arguments: Any, output: torch.Tensor) -> None:
            inputs[layer].append(arguments[0][0].double())
            outputs[layer].append(output[0].double())

        return call

    handles = [
        last_matrix(model, layer).register_forward_hook(keep(layer)) for layer in range(layers)
    ]
    with hooks(handles):
        for row in tokens:
            model(torch.from_numpy(row)[None], use_cache=False)
    return [sum(own) / len(own) for own in outputs], [sum(own) / len(own) for own in inputs]


@torch.no_grad()
def slow_feed_forward(
    model: PreTrainedModel,
    tokens: np.ndarray,
    prefix: int,
    removed: dict[int, list[int] | None],
    operation: str,
    means: tuple[list[torch.Tensor], list[torch.Tensor]],
) -> np.ndarray:
    """Measures (n, 3) without the block of each layer in `removed`, or without the neurons that it
    names.
    """

    def on_output(layer: int) -> Any:
        def call(_module: nn.Module, _arguments: Any, output: torch.Tensor) -> torch.Tensor:
            return 0 * output if operation == "remove" else means[0][layer][None].float()

        return call

    def on_input(layer: int, neurons: list[int]) -> Any:
        def call(_module: nn.Module, arguments: Any) -> Any:
            changed = arguments[0].clone()
            for neuron in neurons:
                for position in range(changed.shape[1]):
                    value = 0.0 if operation == "remove" else means[1][layer][position, neuron]
                    changed[0, position, neuron] = value
            return (changed,)

        return call

    model.set_attn_implementation("eager")
    handles = [
        last_matrix(model, layer).register_forward_hook(on_output(layer))
        if neurons is None
        else last_matrix(model, layer).register_forward_pre_hook(on_input(layer, neurons))
        for layer, neurons in removed.items()
    ]
    rows = []
    with hooks(handles):
        for row in tokens:
            sample = torch.from_numpy(row)
            rows.append(measures_of(model(sample[None], use_cache=False).logits[0], sample, prefix))
    return np.array(rows)
