"""Knock-out: equal to a slow implementation, nothing where nothing is removed, and one forward says
what decoding would.
"""

import numpy as np
import pytest
import torch
from slow_knockout import hooked, slow, slow_means, without
from tiny_models import (
    ARCHITECTURES,
    HEADS,
    LAYERS,
    SPECIAL,
    gpt_neox,
    llama_grouped,
    random_tokens,
)
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.io.packing import packed_length, unpack
from engram.io.spans import Spans
from engram.lm.attention_hook import INTERFACE, attention_hook
from engram.lm.conditions import Condition
from engram.lm.interventions import Means, average, knock_out
from engram.lm.models import suffix_logits, token_scores

WINDOW, PREFIX = 16, 8
EXCHANGEABLE = {
    **ARCHITECTURES,
    **{
        name: build
        for name, build in SPECIAL.items()
        if "no_interface" not in name and "upcast" not in name
    },
}
FIXED = [name for name in SPECIAL if name not in EXCHANGEABLE]


def some_cells(share: float = 0.3, seed: int = 0, layers: int = LAYERS) -> np.ndarray:
    return np.random.default_rng(seed).random((layers, packed_length(WINDOW))) < share


def from_layer(first: int, cells: np.ndarray) -> np.ndarray:
    return cells & (np.arange(LAYERS) >= first)[:, None]


def some_heads(share: float = 0.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((LAYERS, HEADS)) < share


CONDITIONS = [
    Condition(),
    *(
        Condition(operation, cells=from_layer(first, some_cells(seed=first)))
        for operation in ("remove", "mean")
        for first in range(LAYERS)
    ),
    Condition("remove", heads=some_heads(seed=1)),
    Condition("mean", heads=some_heads(seed=2)),
    Condition("layer_mean", heads=some_heads(seed=3)),
    Condition("layer_mean", heads=np.arange(LAYERS * HEADS).reshape(LAYERS, HEADS) == 6),
    Condition("remove", cells=np.ones((LAYERS, packed_length(WINDOW)), bool)),
]


def results(
    model: PreTrainedModel,
    tokens: np.ndarray,
    conditions: list[Condition],
    means: Means | None = None,
    **options: int,
) -> np.ndarray:
    """Measures of every condition, (C, n, 3)."""
    found = dict(knock_out(model, tokens, PREFIX, conditions, means, **options))
    assert sorted(found) == list(range(len(conditions)))
    return np.stack([found[position] for position in range(len(conditions))])


@pytest.mark.parametrize("architecture", EXCHANGEABLE)
def test_every_condition_equals_the_slow_implementation(architecture: str) -> None:
    model, tokens, reference = (
        EXCHANGEABLE[architecture](),
        random_tokens(3, WINDOW),
        random_tokens(4, WINDOW, seed=9),
    )
    fast = results(
        model, tokens, CONDITIONS, average(model, reference, 2 * WINDOW), batch_tokens=5 * WINDOW
    )
    means = slow_means(model, reference)
    for condition, measures in zip(CONDITIONS, fast, strict=True):
        np.testing.assert_allclose(
            measures,
            slow(model, tokens, PREFIX, condition, means),
            atol=1e-5,
            err_msg=str(condition),
        )


@pytest.mark.parametrize("operation", ["remove", "mean"])
def test_a_cell_of_a_blockwise_map_is_all_its_pairs_of_tokens(operation: str) -> None:
    model, tokens = gpt_neox(), random_tokens(3, WINDOW)
    means, generator = average(model, tokens[1:], 2 * WINDOW), np.random.default_rng(0)
    kept, blocks, expanded = some_cells(0.1), [], []
    for spans in (Spans(0, PREFIX, WINDOW - PREFIX, 3), Spans(0, PREFIX, WINDOW - PREFIX, 4)):
        cells = generator.random((LAYERS, spans.packed)) < 0.3
        blocks.append(Condition(operation, cells=cells, spans=spans))
        expanded.append(Condition(operation, cells=spans.expand(cells)))
    together = [blocks[0], Condition(operation, cells=kept), blocks[1]]  # in one batch
    expected = [expanded[0], together[1], expanded[1]]
    np.testing.assert_allclose(
        results(model, tokens, together, means),
        results(model, tokens, expected, means),
        atol=1e-6,
    )


# --- properties
# --------------------------------------------------------------------------------------------------


def plain(model: PreTrainedModel, tokens: np.ndarray) -> np.ndarray:
    """Measures of the eager model without any hook, (n, 3)."""
    model.set_attn_implementation("eager")
    batch = torch.from_numpy(tokens)
    with torch.inference_mode():
        matches, log_probabilities = token_scores(
            model, suffix_logits(model, batch, PREFIX)[0], batch[:, PREFIX:]
        )
    return torch.stack(
        (matches.all(1).float(), matches.float().mean(1), log_probabilities.mean(1)), 1
    ).numpy()


@pytest.mark.parametrize("architecture", EXCHANGEABLE)
def test_an_empty_region_changes_nothing_bit_for_bit(architecture: str) -> None:
    model, tokens = EXCHANGEABLE[architecture](), random_tokens(3, WINDOW)
    means = average(model, tokens, 99 * WINDOW)
    nothing, no_heads = some_cells(0), np.zeros((LAYERS, HEADS), bool)
    empty = [
        Condition(),
        *(Condition(o, cells=nothing) for o in ("remove", "mean")),
        *(Condition(o, heads=no_heads) for o in ("remove", "mean", "layer_mean")),
    ]
    expected = plain(model, tokens)
    for measures in results(model, tokens, empty, means, batch_tokens=3 * WINDOW):
        np.testing.assert_array_equal(measures, expected)


def test_an_empty_region_beside_others_in_a_batch_is_the_plain_batch_bit_for_bit() -> None:
    model, tokens = gpt_neox(), random_tokens(3, WINDOW)
    conditions = [
        Condition(cells=some_cells()),
        Condition(),
        Condition("mean", cells=some_cells(seed=1)),
    ]
    found = results(
        model, tokens, conditions, average(model, tokens, 99 * WINDOW), batch_tokens=9 * WINDOW
    )
    np.testing.assert_array_equal(found[1], plain(model, np.tile(tokens, (3, 1)))[3:6])


def written_by(model: PreTrainedModel, rows: int) -> np.ndarray:
    """Windows whose suffix the model writes itself."""
    tokens = torch.from_numpy(random_tokens(rows, WINDOW))
    with torch.no_grad():
        for position in range(PREFIX, WINDOW):
            tokens[:, position] = model(tokens[:, :position]).logits[:, -1].argmax(-1)
    return tokens.numpy()


def test_removing_everything_destroys_extraction() -> None:
    model = gpt_neox()
    tokens = written_by(model, 8)
    intact, nothing_left = results(
        model,
        tokens,
        [Condition(), Condition(cells=np.ones((LAYERS, packed_length(WINDOW)), bool))],
    )
    assert intact[:, 0].all()
    assert not nothing_left[:, 0].any()
    assert (nothing_left[:, 2] < intact[:, 2]).all()


def test_removing_all_cells_of_a_layer_is_removing_its_heads() -> None:
    model, tokens = llama_grouped(), random_tokens(4, WINDOW)
    layer = np.arange(LAYERS) == 1
    cells, heads = (
        np.repeat(layer[:, None], packed_length(WINDOW), 1),
        np.repeat(layer[:, None], HEADS, 1),
    )
    as_cells, as_heads = results(model, tokens, [Condition(cells=cells), Condition(heads=heads)])
    np.testing.assert_allclose(as_cells, as_heads, atol=1e-6)


def test_the_mean_of_one_sample_is_the_sample() -> None:
    model, tokens = gpt_neox(), random_tokens(1, WINDOW)
    means = average(model, tokens, WINDOW)
    everything = [
        Condition("mean", cells=some_cells(1.1)),
        Condition("mean", heads=np.ones((LAYERS, HEADS), bool)),
    ]
    for measures in results(model, tokens, everything, means):
        np.testing.assert_allclose(measures, plain(model, tokens), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_one_forward_tells_what_greedy_decoding_under_the_knock_out_would_write(seed: int) -> None:
    model = gpt_neox()
    condition = Condition(cells=some_cells(0.08, seed))
    tokens = torch.from_numpy(random_tokens(6, WINDOW, seed))
    written = tokens.clone()
    # Decoded token by token by the slow implementation; the even rows' suffixes become what it
    # writes.
    cells = torch.from_numpy(unpack(condition.cells.astype(float)) > 0)  # (L, T, T)

    def change(layer: int, stage: str, values: torch.Tensor) -> torch.Tensor:
        seen = values.shape[1]
        return without(cells[layer, :seen, :seen], values) if stage == "scores" else values

    with torch.no_grad(), hooked(model, change):
        for row in range(len(tokens)):
            for position in range(PREFIX, WINDOW):
                written[row, position] = (
                    model(written[row : row + 1, :position]).logits[0, -1].argmax()
                )
    tokens[::2] = written[::2]
    (found,) = results(model, tokens.numpy(), [condition])
    np.testing.assert_array_equal(found[:, 0] == 1, (tokens == written)[:, PREFIX:].all(1).numpy())
    assert set(found[:, 0]) == {0.0, 1.0}


def test_results_depend_neither_on_the_batch_nor_on_the_company() -> None:
    model, tokens = llama_grouped(), random_tokens(5, WINDOW)
    means = average(model, tokens, 99 * WINDOW)
    together = results(model, tokens, CONDITIONS, means, batch_tokens=7 * WINDOW)
    alone = np.concatenate(
        [
            results(model, tokens, [condition], means, batch_tokens=WINDOW)
            for condition in CONDITIONS
        ]
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_model_is_the_former_one_afterwards() -> None:
    model, tokens = gpt_neox(), torch.from_numpy(random_tokens(2, WINDOW))
    with torch.no_grad():
        before = model(tokens).logits
        results(model, tokens.numpy(), CONDITIONS, average(model, tokens.numpy(), 99 * WINDOW))
        assert torch.equal(model(tokens).logits, before)
    assert all("forward" not in vars(module) for module in model.modules())
    with pytest.raises(RuntimeError, match="broken"), attention_hook(model, lambda *_: None):  # type: ignore[arg-type, return-value]
        raise RuntimeError("broken")
    assert model.config._attn_implementation != INTERFACE


def test_the_mean_of_no_other_head_is_refused() -> None:
    heads = np.zeros((LAYERS, HEADS), bool)
    heads[1] = True
    with pytest.raises(EngramError, match="layer_mean of all 4 heads of layer 2, which leaves no"):
        Condition("layer_mean", heads=heads)
    with pytest.raises(EngramError, match="layer_mean is for heads; choose remove or mean"):
        Condition("layer_mean", cells=some_cells())


@pytest.mark.parametrize("architecture", FIXED)
def test_attention_that_cannot_be_exchanged_is_refused(architecture: str) -> None:
    with pytest.raises(EngramError, match="its attention cannot be exchanged"):
        results(SPECIAL[architecture](), random_tokens(1, WINDOW), [Condition()])
