"""What edits of the residual stream cost when what they leave alone is computed once, against
forwards that compute all positions of the layers above an edit.

    python perf/steering.py --samples 2 --edits 64 --rounds 3

SmolLM2-135M's shape with random weights, one thread, CPU time, both ways in alternating rounds; the
median ratio counts. `one depth`: all edits at the middle layer, as steering tests its steps.
`every depth`: an edit behind each layer, as it chooses one. The values of both ways are compared as
well.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from engram.lm.models import PROCESSOR_ROWS, suffix_logits, token_scores
from engram.lm.residual_stream import residual_hook, run_lower_layers, starting_from
from engram.mechanisms.edits import Edit, EditRows, measure_edits

BATCH_TOKENS = 8192


def smollm2() -> LlamaForCausalLM:
    """A model of SmolLM2-135M's shape."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


@torch.inference_mode()
def plain(model: PreTrainedModel, tokens: np.ndarray, prefix: int, edits: list[Edit]) -> np.ndarray:
    """Log-probabilities of suffixes under each edit, (n, E): per depth the layers below once, then
    every pair with all its positions.
    """
    windows = torch.from_numpy(tokens)
    found = np.empty((len(tokens), len(edits)), np.float32)
    for depth in sorted({edit.depth for edit in edits}):
        chosen = [number for number, edit in enumerate(edits) if edit.depth == depth]
        below = run_lower_layers(model, windows, depth, PROCESSOR_ROWS, attention=None)
        pairs = [(sample, number) for number in chosen for sample in range(len(tokens))]
        for start in range(0, len(pairs), PROCESSOR_ROWS):
            sample, number = np.array(pairs[start : start + PROCESSOR_ROWS]).T
            change = EditRows(edits, number, model.device)

            def hook(reached: int, hidden: torch.Tensor, depth=depth, change=change):
                if reached != depth:
                    return None
                edited = change(hidden[:, prefix - 1 : -1])
                return torch.cat([hidden[:, : prefix - 1], edited, hidden[:, -1:]], 1)

            samples = torch.from_numpy(sample)
            with residual_hook(model, hook), starting_from(below, samples):
                logits, _ = suffix_logits(model, windows[samples], prefix)
            scores = token_scores(model, logits, windows[samples][:, prefix:])[1]
            found[sample, number] = scores.mean(1).numpy()
    return found


def compare(
    model: PreTrainedModel, tokens: np.ndarray, prefix: int, edits: list[Edit], rounds: int
) -> dict[str, float]:
    """CPU seconds of both ways, their median ratio, and the largest difference of a value."""
    seconds = np.empty((rounds, 2))
    for round_ in range(rounds):
        began = time.process_time()
        whole = plain(model, tokens, prefix, edits)
        between = time.process_time()
        late = measure_edits(model, tokens, prefix, edits, BATCH_TOKENS)[..., 2]
        seconds[round_] = between - began, time.process_time() - between
    return {
        "plain s": float(np.median(seconds[:, 0])),
        "late s": float(np.median(seconds[:, 1])),
        "ratio": float(np.median(seconds[:, 0] / seconds[:, 1])),
        "difference": float(np.abs(whole - late).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--edits", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefix", type=int, nargs="+", default=[48, 32], help="of 64 tokens")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = smollm2()
    layers, width = model.config.num_hidden_layers, model.config.hidden_size
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, model.config.vocab_size, (options.samples, 64))
    directions = generator.standard_normal((options.edits, width)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ways = {
        "one depth": [Edit(layers // 2, vector, vector, gain=-4.0) for vector in directions],
        "every depth": [
            Edit(depth, directions[0], directions[0], offset=4.0) for depth in range(1, layers + 1)
        ],
    }
    with torch.inference_mode():  # the first forward of a process is slow
        suffix_logits(model, torch.from_numpy(tokens), 1)
    print(f"{options.samples} samples of 64 tokens, {options.edits} edits at one depth")
    for prefix in options.prefix:
        for name, edits in ways.items():
            found = compare(model, tokens, prefix, edits, options.rounds)
            table = pd.DataFrame([{"prefix": prefix, "edits": name, **found}])
            print(table.to_string(index=False, float_format="%.3g"), flush=True)


if __name__ == "__main__":
    main()
