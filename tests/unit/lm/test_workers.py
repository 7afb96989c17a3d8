"""Batches of one model in several threads: the same bytes for any number of them."""

import gc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import ARCHITECTURES, LAYERS, SPECIAL, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.packing import packed_length
from engram.io.workers import in_order, single_threaded_workers
from engram.lm.attention import extract, pooled_attention
from engram.lm.attention_hook import has_interface, implementation
from engram.lm.conditions import Condition
from engram.lm.generation import greedy_continuations, memorization_scores
from engram.lm.interventions import average, knock_out
from engram.store.hidden_state_writer import write_feed_forward, write_hidden_states

WINDOW, PREFIX, BATCH_TOKENS = 16, 8, 4 * 16
MODELS = {**ARCHITECTURES, **SPECIAL}


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def with_threads(count: int, run: Callable[[], list[np.ndarray]]) -> list[bytes]:
    torch.set_num_threads(count)
    return [np.ascontiguousarray(array).tobytes() for array in run()]


def everything(model: PreTrainedModel, rows: int, folder: Path) -> list[np.ndarray]:
    """Scores, continuations, attention, states of layers and knock-outs of random windows."""
    tokens = random_tokens(rows, WINDOW)
    scores = memorization_scores(model, tokens, PREFIX, BATCH_TOKENS)
    written = greedy_continuations(model, tokens[:, :PREFIX], PREFIX, BATCH_TOKENS)
    shards = list(extract(model, tokens, PREFIX, BATCH_TOKENS))
    arrays = [scores.to_numpy(np.float64), written]
    arrays += [array.numpy() for array in pooled_attention(model, tokens, BATCH_TOKENS)]
    for name in ("mean", "max", "extracted", "suffix_log_prob"):
        arrays.append(np.concatenate([getattr(shard, name) for shard in shards]))
    file = folder / f"{torch.get_num_threads()}.h5"
    sequences = pd.DataFrame({"sequence_id": np.arange(rows), "tokens": list(tokens)})
    for write in (write_hidden_states, write_feed_forward):
        write(model, sequences, file, BATCH_TOKENS)
        with h5py.File(file) as states:
            arrays += [states[name][()] for name in sorted(states)]
    return arrays + (knocked_out(model, tokens) if has_interface(model) else [])


def knocked_out(model: PreTrainedModel, tokens: np.ndarray) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    conditions = [Condition()]
    for first in range(LAYERS):
        cells = random.random((LAYERS, packed_length(WINDOW))) < 0.3
        cells &= (np.arange(LAYERS) >= first)[:, None]
        conditions += [Condition(operation, cells=cells) for operation in ("remove", "mean")]
    means = average(model, tokens, BATCH_TOKENS)
    measures = dict(knock_out(model, tokens[:8], PREFIX, conditions, means, BATCH_TOKENS))
    return [means.weights.numpy(), *(measures[i] for i in range(len(conditions)))]


@pytest.mark.parametrize(
    ("name", "rows", "counts"),
    [
        pytest.param("gpt_neox", 60, (2, 5), id="gpt_neox-many"),
        *(pytest.param(name, 24, (3,), id=name) for name in MODELS),
    ],
)
def test_the_number_of_workers_changes_no_byte(
    name: str, rows: int, counts: tuple[int, ...], tmp_path: Path
) -> None:
    """Six batches of every architecture, and of one as many as several workers take in turn."""
    model = MODELS[name]()
    before = model.config._attn_implementation
    expected = with_threads(1, lambda: everything(model, rows, tmp_path))
    for count in counts:
        found = with_threads(count, lambda: everything(model, rows, tmp_path))
        assert [a == b for a, b in zip(expected, found, strict=True)] == [True] * len(expected)
    assert model.config._attn_implementation == before
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_workers_share_an_implementation_until_the_last_is_done() -> None:
    model = gpt_neox()
    before = model.config._attn_implementation
    other = "sdpa" if before == "eager" else "eager"
    with implementation(model, other):
        with implementation(model, other):
            assert model.config._attn_implementation == other
        assert model.config._attn_implementation == other
    assert model.config._attn_implementation == before


def test_two_implementations_at_once_are_refused() -> None:
    model, opened, done = gpt_neox(), Event(), Event()

    def hold() -> None:
        with implementation(model, "sdpa"):
            opened.set()
            assert done.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert opened.wait(10)
        try:
            with pytest.raises(RuntimeError, match="two implementations of attention at once"):
                implementation(model, "eager").__enter__()
            with implementation(model, "sdpa"), implementation(model, "sdpa"):
                pass
        finally:
            done.set()
        holding.result()
    with implementation(model, "eager"), implementation(model, "sdpa"):
        assert model.config._attn_implementation == "sdpa"


def test_models_that_were_switched_are_not_kept_in_memory() -> None:
    model = gpt_neox()
    with implementation(model, "eager"):
        pass
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_results_are_in_the_order_of_the_items() -> None:
    with single_threaded_workers(4) as pool:
        found = list(in_order(pool, lambda item: item**2, iter(range(50)), ahead=6))
    assert found == [(item, item**2) for item in range(50)]
